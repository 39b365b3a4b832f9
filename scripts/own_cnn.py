"""A CNN in PyTorch over images, in shards and slices and as one model: accuracy, deletions, repairs (docs/OWN-
MODELS.md).

    python scripts/own_cnn.py target/release/sisa DATA FOLDER [--rows 60000] [--epochs 10] [--shards 10] [--slices 5] [--people 3]

Run it with a Python that has the package and torch. DATA holds Fashion-MNIST as IDX files, gzipped; FOLDER
must not be there, and is left. The data names nobody, so four images in a row are taken to be one person's.
The learner is python/examples/cnn.py. Deletions are deferred, by the command line and by a process of Python
that has not loaded torch, and each is repaired before the next. Prints one object of JSON: work in row-
passes, times in seconds; `line` is from the start of a command to its line `effective`, and `processor` is
the processor time of a command and of all its workers, which other programs disturb least.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

LEARNER = f"{Path(__file__).resolve().parents[1]}/python/examples/cnn.py:learner"
IMAGES_OF_ONE = 4

CONFIG = """[data]
subject = "subject"
record = ["id"]
[label]
column = "y"
values = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
[columns]
"x0..x783" = "byte"
[shards]
shards = {shards}
slices = {slices}
{learner}[schedule]
kind = "replay"
epochs = {epochs}
"""

#: Deletes a person in a process that knows no torch.
DELETE = """
import json, sys, time
import sisa
start = time.perf_counter()
told = sisa.Workspace(sys.argv[1]).delete([sys.argv[2]], defer=True)
print(json.dumps({"effective": told["effective"]["seconds"], "call": time.perf_counter() - start, "torch": "torch" in sys.modules}))
"""


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("sisa")
    arguments.add_argument("data", type=Path)
    arguments.add_argument("folder", type=Path)
    for name, default in {"rows": 60_000, "epochs": 10, "shards": 10, "slices": 5, "people": 3}.items():
        arguments.add_argument(f"--{name}", type=int, default=default)
    asked = arguments.parse_args()
    asked.folder = asked.folder.resolve()
    asked.folder.mkdir(parents=True)
    train, test = (part(asked.data, name) for name in ("train", "t10k"))
    train = {name: values[: asked.rows] for name, values in train.items()}
    np.savez(asked.folder / "train.npz", **train)
    np.savez(asked.folder / "test.npz", X=test["X"], y=test["y"])
    told = {"load": os.getloadavg()[0], "images": len(train["X"]), "epochs": asked.epochs}
    for name, shards, slices in (("one", 1, 1), ("shards", asked.shards, asked.slices)):
        told[name] = trained(asked.sisa, asked.folder / name, asked, shards, slices)
        print(name, json.dumps(told[name]), file=sys.stderr, flush=True)
    root = asked.folder / "shards"
    people = np.random.default_rng(1).permutation(np.unique(train["subjects"]))[: 2 * asked.people].tolist()
    by_command = [deleted(asked.sisa, root, person, by_command=True) for person in people[: asked.people]]
    by_python = [deleted(asked.sisa, root, person, by_command=False) for person in people[asked.people :]]
    told |= {"by_command": medians(by_command), "by_python": medians(by_python), "repair": medians([one["repair"] for one in by_command + by_python])}
    told["accuracy_after"] = accuracy(asked.sisa, root, asked)
    told["verified"] = command(asked.sisa, root, "verify", "--retrain", "--sample", "1")["verified"]["same"]
    told["load_after"] = os.getloadavg()[0]
    print(json.dumps(told))


def part(data: Path, name: str) -> dict[str, np.ndarray]:
    """Images, labels, and whose they are taken to be."""

    def read(kind: str, head: int) -> np.ndarray:
        return np.frombuffer(gzip.decompress((data / f"{name}-{kind}-ubyte.gz").read_bytes()), np.uint8, offset=head)

    y = read("labels-idx1", 8)
    ids = np.arange(len(y))
    return {"X": read("images-idx3", 16).reshape(len(y), 784), "y": y.astype(np.int64), "ids": ids, "subjects": ids // IMAGES_OF_ONE}


def trained(sisa: str, root: Path, asked: argparse.Namespace, shards: int, slices: int) -> dict:
    from sisa import _own

    root.mkdir()
    (root / "sisa.toml").write_text(CONFIG.format(shards=shards, slices=slices, epochs=asked.epochs, learner=_own.table(LEARNER, str(root))))
    clock = Clock()
    told = command(sisa, root, "train", str(asked.folder / "train.npz"), "--seed", "1")["trained"]
    process = clock.told()
    states = [path.stat().st_size for path in root.glob("checkpoints/g*/**/*.ckpt")]
    return {
        "row_passes": told["row_passes"],
        "training": round(told["seconds"], 2),
        **process,
        "checkpoints": len(states),
        "checkpoint_bytes": max(states),
        "accuracy": accuracy(sisa, root, asked),
    }


def accuracy(sisa: str, root: Path, asked: argparse.Namespace) -> float:
    return round(command(sisa, root, "eval", str(asked.folder / "test.npz"))["evaluated"]["accuracy"], 4)


class Clock:
    """From when it is made on: seconds, and processor time of the processes that ended."""

    def __init__(self) -> None:
        self.start = self.now()

    @staticmethod
    def now() -> tuple[float, float]:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.perf_counter(), used.ru_utime + used.ru_stime

    def told(self) -> dict[str, float]:
        return {name: round(now - then, 3) for name, now, then in zip(("process", "processor"), self.now(), self.start)}


def deleted(sisa: str, root: Path, person: int, *, by_command: bool) -> dict:
    """A deferred deletion and its repair."""
    clock = Clock()
    if by_command:
        told = effective(sisa, root, person)
    else:
        done = subprocess.run([sys.executable, "-c", DELETE, str(root), str(person)], check=True, capture_output=True, text=True)
        told = json.loads(done.stdout)
        assert not told.pop("torch"), "torch was loaded"
    told |= clock.told()
    clock = Clock()
    repaired = command(sisa, root, "repair")["repaired"]
    told["repair"] = {"row_passes": repaired["row_passes"], "training": repaired["seconds"], **clock.told()}
    print(json.dumps(told), file=sys.stderr, flush=True)
    return told


def effective(sisa: str, root: Path, person: int) -> dict:
    """Deletes by the command line: how long until it says that nothing answers from the person any more."""
    start = time.perf_counter()
    words = [os.path.abspath(sisa), "-w", str(root), "--json", "delete", "--subject", str(person), "--defer"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        lines = ((json.loads(line), time.perf_counter() - start) for line in process.stdout)
        told = {answer["type"]: {"effective": answer.get("seconds"), "line": round(took, 4)} for answer, took in lines}
    if process.returncode:
        sys.exit(f"{words}: exit code {process.returncode}")
    return told["effective"]


def medians(found: list[dict]) -> dict:
    return {name: round(statistics.median(one[name] for one in found), 4) for name in found[0] if name != "repair"}


def command(sisa: str, root: Path, *words: str) -> dict[str, dict]:
    done = subprocess.run([os.path.abspath(sisa), "-w", str(root), "--json", *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{words}: {done.stderr}{done.stdout}")
    return {answer["type"]: answer for answer in map(json.loads, done.stdout.splitlines())}


if __name__ == "__main__":
    main()
