"""A head or a LoRA in PyTorch on a frozen encoder, and sisa's own `ridge` over the same encoder's vectors
(docs/OWN-MODELS.md).

    python python/examples/frozen/compare.py FOLDER [DATA] [--encoder nets] [--rows 60000] [--shards 5] [--slices 4]
        [--epochs 5] [--people 5]

DATA holds Fashion-MNIST as IDX files, gzipped; without it the 1,797 digits of scikit-learn are taken, which
want more epochs. The first five classes stand for what is public: the encoder of `nets` is trained on them
and on nothing else; that of `lite0` comes with a package. The other five are people's, four images in a row
each (the data says nothing of whose they are). Of every learner: how well it answers, how large its states
are, and what a deletion costs; `processor` is processor time in seconds, of this process and its workers.
Prints one object of JSON a learner.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import json
import os
import resource
import shutil
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

import sisa

IMAGES_OF_ONE = 4
#: Rows are encoded so many at a time, always: the bits of a vector may depend on it.
ENCODED_AT_ONCE = 256

CONFIG = """[data]
subject = "subject"
[label]
column = "y"
values = ["5", "6", "7", "8", "9"]
[columns]
{columns}
[shards]
shards = {shards}
slices = {slices}
[learner]
{learner}
"""


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("data", type=Path, nargs="?")
    arguments.add_argument("--encoder", choices=("nets", "lite0"), default="nets")
    for name, default in {"rows": 60_000, "shards": 5, "slices": 4, "epochs": 5, "people": 5}.items():
        arguments.add_argument(f"--{name}", type=int, default=default)
    asked = arguments.parse_args()
    asked.folder.mkdir(parents=True)
    for file in ("nets.py", "lite0.py"):
        shutil.copy(Path(__file__).with_name(file), asked.folder)
    sys.path.insert(0, str(asked.folder))
    nets = importlib.import_module(asked.encoder)
    # Several threads wait for one another by spinning, which is slow where others work too.
    torch.set_num_threads(1)

    (images, labels), (test, test_labels) = digits() if asked.data is None else (part(asked.data, name) for name in ("train", "t10k"))
    images, labels = images[: asked.rows], labels[: asked.rows]
    public, whose = labels < 5, labels >= 5
    if asked.encoder == "nets":
        encoder = pretrained(nets, images[public], labels[public])
        save_file(encoder.state_dict(), nets.WEIGHTS)
    else:
        encoder = nets.Encoder(images.shape[1])
    vectors, of_public = encoded(encoder, images[whose]), encoded(encoder, images[public])
    ends = [float(np.floor(of_public.min())), float(np.ceil(of_public.max()))]
    y, subjects = labels[whose], np.arange(whose.sum()) // IMAGES_OF_ONE
    tested = test_labels >= 5
    passes = f'kind = "linear"\n[schedule]\nkind = "replay"\nepochs = {asked.epochs}'
    ridge = 'kind = "ridge"\nmap = { kind = "relu", dimension = 512 }\nbins = 1\nstrength = 1e-3'
    pixels = f'"x0..x{images.shape[1] - 1}" = "byte"'
    by = {
        "head": ("X", images[whose], test[tested], pixels, passes),
        "lora": ("X", images[whose], test[tested], pixels, passes),
        "ridge": ("v", vectors, encoded(encoder, test[tested]), f'v = {{ kind = "embedding", size = {encoder.numbers}, range = {ends} }}', ridge),
    }
    for name, (key, rows, asked_rows, columns, learner) in by.items():
        own = None if name == "ridge" else f"{asked.folder}/{asked.encoder}.py:{name}"
        ws = sisa.Workspace(asked.folder / name, learner=own)
        config = CONFIG.format(columns=columns, shards=asked.shards, slices=asked.slices, learner=learner)
        before = processor()
        told = ws.train({key: rows, "y": y, "subjects": subjects}, config=config, seed=1)
        spent = round(processor() - before, 2)
        answer = {
            "encoder": asked.encoder,
            "learner": name,
            "load": round(os.getloadavg()[0], 2),
            "rows": len(rows),
            "accuracy": round(ws.evaluate({key: asked_rows, "y": test_labels[tested]})["accuracy"], 4),
            "state_bytes": max(path.stat().st_size for path in (asked.folder / name).glob("checkpoints/g*/**/*.ckpt")),
            "encoder_bytes": nets.WEIGHTS.stat().st_size,
            "training": {"row_passes": told["row_passes"], "seconds": round(told["seconds"], 2), "processor": spent},
        }
        print(json.dumps(answer | forget(ws, np.unique(subjects), asked.people)), flush=True)


def forget(ws: sisa.Workspace, subjects: np.ndarray, people: int) -> dict:
    """Deletes some people, one after the other, and repairs after each; then all is looked at again."""
    effective, repairs = [], []
    middle = statistics.median
    for person in np.random.default_rng(1).permutation(subjects)[:people].tolist():
        told = ws.delete([person], defer=True)
        effective.append(told["effective"]["seconds"])
        start, before = time.perf_counter(), processor()
        repaired = ws.repair() if not ws.status()["complete"] else {"row_passes": 0}
        repairs.append((repaired["row_passes"], time.perf_counter() - start, processor() - before))
    assert ws.verify(retrain=True, sample=1)["same"]
    repair = {name: round(middle(each), 2) for name, each in zip(("row_passes", "seconds", "processor"), zip(*repairs))}
    return {"effective_ms": round(1e3 * middle(effective), 1), "repair": repair}


def processor() -> float:
    """Processor time of this process and of those that it has seen end, in seconds."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def pretrained(nets, images: np.ndarray, labels: np.ndarray, epochs: int = 3):
    """The encoder, after training it with a head of its own on what is public."""
    torch.manual_seed(0)
    encoder = nets.Encoder(images.shape[1])
    whole = torch.nn.Sequential(encoder, torch.nn.Linear(encoder.numbers, 5))
    optimizer = nets.adam(whole.parameters())
    for _ in range(epochs):
        for some in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            x = torch.from_numpy(images[some.numpy()]).float() / 255
            torch.nn.functional.cross_entropy(whole(x), torch.from_numpy(labels[some.numpy()])).backward()
            optimizer.step()
    return encoder.eval()


def encoded(encoder, images: np.ndarray) -> np.ndarray:
    """The vectors of images."""
    padded = np.zeros((-(-len(images) // ENCODED_AT_ONCE) * ENCODED_AT_ONCE, images.shape[1]), np.uint8)
    padded[: len(images)] = images
    with torch.inference_mode():
        some = [encoder(torch.from_numpy(part).float() / 255).numpy() for part in np.split(padded, len(padded) // ENCODED_AT_ONCE)]
    return np.concatenate(some)[: len(images)]


def part(data: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    def read(kind: str, head: int) -> np.ndarray:
        return np.frombuffer(gzip.decompress((data / f"{name}-{kind}-ubyte.gz").read_bytes()), np.uint8, offset=head)

    labels = read("labels-idx1", 8).astype(np.int64)
    return read("images-idx3", 16).reshape(len(labels), 784), labels


def digits() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Images of 8 x 8 bytes; of every five one to test."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images, test = (images * 15).astype(np.uint8), np.arange(len(labels)) % 5 == 0
    return (images[~test], labels[~test]), (images[test], labels[test])


if __name__ == "__main__":
    main()
