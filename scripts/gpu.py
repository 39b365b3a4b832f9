"""Trains a network in PyTorch in shards and slices, on one GPU or on the CPU, deletes a person, compares bytes, and measures.

    python scripts/gpu.py target/release/sisa [--device cuda] [--net cnn] [--rows 20000] [--epochs 2]

Needs the Python package with torch (docs/OWN-MODELS.md). Two workspaces with the same keys are trained, from one a person is deleted and
the other is trained without that person: every checkpoint must be the same. Prints one object of JSON. `train_seconds` is the training alone,
with the start of its workers, which import torch; `command_seconds` is all of `sisa train`, with the import of the rows and the probe. Beside
them `plain_loop_seconds` is a plain loop in this process over as many rows, in batches of as many.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

LEARNER = """
import torch
from torch import nn
from sisa.torch import TorchLearner

def net(layout):
    if {net!r} == "mlp":
        return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 49, 10))

def adam(parameters):
    return torch.optim.Adam(parameters, 1e-3)

learner = TorchLearner(net, adam, nn.functional.cross_entropy, 256, device={device!r})
"""

CONFIG = """[data]
subject = "subject"
[label]
column = "y"
values = [{classes}]
[columns]
"x0..x783" = "byte"
[shards]
shards = 2
slices = 3
{learner}
[schedule]
kind = "replay"
epochs = {epochs}
"""


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("sisa")
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--net", default="mlp", choices=["mlp", "cnn"])
    arguments.add_argument("--rows", type=int, default=20_000)
    arguments.add_argument("--epochs", type=int, default=2)
    asked = arguments.parse_args()
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (asked.rows, 784), dtype=np.uint8)
    rows = {"X": x, "y": x[:, :10].argmax(1).astype(np.int64), "subjects": np.arange(asked.rows) // 2}
    with tempfile.TemporaryDirectory() as home:
        one, other = (workspace(Path(home) / name, asked) for name in ("one", "other"))
        np.savez(one / "rows.npz", **rows)
        kept = rows["subjects"] != 7
        np.savez(other / "rows.npz", **{name: values[kept] for name, values in rows.items()})
        trained, seconds = command(asked.sisa, one, "train", "rows.npz", "--seed", "1")
        passes = trained["row_passes"]
        deleted, _ = command(asked.sisa, one, "delete", "--subject", "7", "--defer", kind="effective")
        _, repair = command(asked.sisa, one, "repair", kind="repaired")
        command(asked.sisa, other, "train", "rows.npz", "--seed", "1")
        states = [{path.name: path.read_bytes() for path in root.glob("checkpoints/g*/**/*.ckpt")} for root in (one, other)]
        same = states[0] == states[1] and len(states[0]) == 6
        sys.path.insert(0, str(one))
        plain = loop(rows, passes, asked)
        print(
            json.dumps(
                {
                    "device": asked.device,
                    "net": asked.net,
                    "row_passes": passes,
                    "train_seconds": round(trained["seconds"], 2),
                    "command_seconds": round(seconds, 2),
                    "plain_loop_seconds": round(plain, 2),
                    "effective_ms": round(1e3 * deleted["seconds"], 1),
                    "repair_seconds": round(repair, 2),
                    "same_bytes": same,
                }
            )
        )
    sys.exit(0 if same else 1)


def workspace(root: Path, asked: argparse.Namespace) -> Path:
    root.mkdir()
    (root / "net.py").write_text(LEARNER.format(net=asked.net, device=asked.device))
    from sisa import _own

    config = CONFIG.format(
        classes=", ".join(f'"{c}"' for c in range(10)),
        learner=_own.table(f"{root}/net.py:learner", str(root)),
        epochs=asked.epochs,
    )
    (root / "sisa.toml").write_text(config)
    return root


def command(sisa: str, root: Path, *words: str, kind: str = "trained") -> tuple[dict, float]:
    """The answer of this kind, and the seconds that the command took."""
    start = time.monotonic()
    done = subprocess.run([os.path.abspath(sisa), "-w", ".", "--json", *words], cwd=root, capture_output=True, text=True)
    seconds = time.monotonic() - start
    if done.returncode:
        sys.exit(f"{words}: {done.stderr}{done.stdout}")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return next((answer for answer in answers if answer["type"] == kind), {}), seconds


def loop(rows: dict[str, np.ndarray], passes: int, asked: argparse.Namespace) -> float:
    """What a person would write, over as many rows."""
    import net
    import torch

    torch.set_num_threads(1)
    module = net.net(None).to(asked.device)
    optimizer = net.adam(module.parameters())
    x, y = torch.from_numpy(rows["X"]), torch.from_numpy(rows["y"])
    order = torch.randperm(len(x)).repeat(passes // len(x) + 1)[:passes]
    start = time.monotonic()
    for at in range(0, passes, 256):
        picked = order[at : at + 256]
        optimizer.zero_grad(set_to_none=True)
        inputs = (x[picked].float() / 255).to(asked.device)
        torch.nn.functional.cross_entropy(module(inputs), y[picked].to(asked.device)).backward()
        optimizer.step()
    if asked.device == "cuda":
        torch.cuda.synchronize()
    return time.monotonic() - start


if __name__ == "__main__":
    main()
