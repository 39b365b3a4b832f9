"""A CNN in PyTorch over images, in shards and slices and as one model: accuracy, deletions, repairs (docs/OWN-MODELS.md).

    python scripts/own_cnn.py target/release/sisa DATA FOLDER [--rows 60000] [--epochs 10] [--shards 10] [--slices 5] [--people 3]

Needs the Python package with torch. DATA holds Fashion-MNIST as IDX files, gzipped; FOLDER must not be there, and is left. The data names
nobody, so four images in a row are taken to be one person's. The learner is python/examples/cnn.py. Deletions are deferred, by the command
line and by a process of Python that has not loaded torch, and each is repaired before the next. Prints one object of JSON: times in
seconds, work in row-passes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
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
[learner]
kind = "linear"
[schedule]
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
    asked.folder.mkdir(parents=True)
    train, test = (part(asked.data, name) for name in ("train", "t10k"))
    train = {name: values[: asked.rows] for name, values in train.items()}
    told = {"load": os.getloadavg()[0], "images": len(train["X"]), "epochs": asked.epochs}
    for name, shards, slices in (("one", 1, 1), ("shards", asked.shards, asked.slices)):
        told[name] = trained(asked.folder / name, CONFIG.format(shards=shards, slices=slices, epochs=asked.epochs), train, test)
    root = asked.folder / "shards"
    people = np.random.default_rng(1).permutation(np.unique(train["subjects"]))[: 2 * asked.people].tolist()
    by_command = [deleted(asked.sisa, root, person, by_command=True) for person in people[: asked.people]]
    by_python = [deleted(asked.sisa, root, person, by_command=False) for person in people[asked.people :]]
    told |= {"by_command": medians(by_command), "by_python": medians(by_python), "repair": medians([one["repair"] for one in by_command + by_python])}
    told["accuracy_after"] = accuracy(root, test)
    start = time.perf_counter()
    told["verified"] = command(asked.sisa, root, "verify", "--retrain", "--sample", "1")["verified"]["same"]
    told |= {"verify_seconds": round(time.perf_counter() - start, 2), "load_after": os.getloadavg()[0]}
    print(json.dumps(told))


def part(data: Path, name: str) -> dict[str, np.ndarray]:
    """Images, labels, and whose they are taken to be."""

    def read(kind: str, head: int) -> np.ndarray:
        return np.frombuffer(gzip.decompress((data / f"{name}-{kind}-ubyte.gz").read_bytes()), np.uint8, offset=head)

    y = read("labels-idx1", 8)
    ids = np.arange(len(y))
    return {"X": read("images-idx3", 16).reshape(len(y), 784), "y": y.astype(np.int64), "ids": ids, "subjects": ids // IMAGES_OF_ONE}


def trained(root: Path, config: str, train: dict[str, np.ndarray], test: dict[str, np.ndarray]) -> dict:
    import sisa

    start = time.perf_counter()
    told = sisa.Workspace(root, learner=LEARNER).train(train, config=config, seed=1)
    states = [path.stat().st_size for path in root.glob("checkpoints/g*/**/*.ckpt")]
    return {
        "row_passes": told["row_passes"],
        "training": round(told["seconds"], 2),
        "whole": round(time.perf_counter() - start, 2),
        "checkpoints": len(states),
        "checkpoint_bytes": max(states),
        "accuracy": accuracy(root, test),
    }


def accuracy(root: Path, test: dict[str, np.ndarray]) -> float:
    import sisa

    return round(sisa.Workspace(root).evaluate({"X": test["X"], "y": test["y"]})["accuracy"], 4)


def deleted(sisa: str, root: Path, person: int, *, by_command: bool) -> dict:
    """A deferred deletion and its repair."""
    start = time.perf_counter()
    if by_command:
        told = {"effective": command(sisa, root, "delete", "--subject", str(person), "--defer")["effective"]["seconds"]}
    else:
        done = subprocess.run([sys.executable, "-c", DELETE, str(root), str(person)], check=True, capture_output=True, text=True)
        told = json.loads(done.stdout)
        assert not told.pop("torch"), "torch was loaded"
    told["process"] = time.perf_counter() - start
    start = time.perf_counter()
    repaired = command(sisa, root, "repair")["repaired"]
    told["repair"] = {"row_passes": repaired["row_passes"], "training": repaired["seconds"], "process": time.perf_counter() - start}
    return told


def medians(found: list[dict]) -> dict:
    return {name: round(statistics.median(one[name] for one in found), 4) for name in found[0] if name != "repair"}


def command(sisa: str, root: Path, *words: str) -> dict[str, dict]:
    done = subprocess.run([os.path.abspath(sisa), "-w", str(root), "--json", *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{words}: {done.stderr}{done.stdout}")
    return {answer["type"]: answer for answer in map(json.loads, done.stdout.splitlines())}


if __name__ == "__main__":
    main()
