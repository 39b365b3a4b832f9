"""What `sisa.torch` costs over a plain PyTorch loop on the same rows.

    python scripts/torch_overhead.py --sisa target/release/sisa [--trials N] [--rows N]

Both train the same module with Adam and batches of 256 on one thread, in processes of their own and by turns: one over one shard of one slice,
through the engine and its worker's pipes, the other in a plain loop over two tensors in memory. Starting, importing and checkpointing are left out
by training for few and for more epochs and taking the difference. Prints the median over the trials of the ratios of CPU time (of all processes
on each side) and of wall time.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NETS = '''
import torch
from torch import nn
from sisa.torch import TorchLearner


def mlp(layout=None):
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))


def cnn(layout=None):
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(800, 10),
    )


def adam(parameters):
    return torch.optim.Adam(parameters, 1e-3)


learner_mlp = TorchLearner(mlp, adam, nn.functional.cross_entropy, batch=256)
learner_cnn = TorchLearner(cnn, adam, nn.functional.cross_entropy, batch=256)
'''

CONFIG = """
[data]
sources = ["table.npz"]
[label]
column = "y"
values = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
[columns]
"x0..x783" = {{ kind = "byte", scale = 0.00392156862745098 }}
[shards]
shards = 1
slices = 1
[learner]
kind = "linear"
[schedule]
kind = "replay"
epochs = {epochs}
"""

#: Few and more. Few are enough that what is tried before a recipe is frozen is the same in both.
EPOCHS = {"mlp": (2, 32), "cnn": (2, 5)}


def rows(count: int):
    """Images of chance, as bytes, and their classes."""
    import numpy as np

    draw = np.random.default_rng(0)
    return draw.integers(0, 256, (count, 784), dtype=np.uint8), draw.integers(0, 10, count)


def engine(folder: Path, name: str, count: int, epochs: int) -> None:
    """Trains by the engine's command."""
    import numpy as np

    from sisa import _own

    x, y = rows(count)
    np.savez(folder / "table.npz", X=x, y=y)
    learner = _own.table(f"{folder}/nets.py:learner_{name}", str(folder))
    (folder / "sisa.toml").write_text(_own.put(CONFIG.format(epochs=epochs), learner))
    subprocess.run([os.environ["SISA"], "-w", str(folder), "--threads", "1", "train", "--seed", "1"], check=True)


def plain(folder: Path, name: str, count: int, epochs: int) -> None:
    """Trains in a plain loop."""
    sys.path.insert(0, str(folder))
    import nets
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    x, y = rows(count)
    x, y = torch.from_numpy(x).float() / 255, torch.from_numpy(y)
    module = getattr(nets, name)()
    optimizer = nets.adam(module.parameters())
    for _ in range(epochs):
        order = torch.randperm(count)
        for at in range(0, count, 256):
            visits = order[at : at + 256]
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(module(x[visits]), y[visits]).backward()
            optimizer.step()


def timed(folder: Path, side: str, name: str, count: int, epochs: int) -> tuple[float, float]:
    """CPU seconds of a side's processes, and wall seconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryDirectory(dir=folder) as work:
        (Path(work) / "nets.py").write_text(NETS)
        command = [sys.executable, __file__, "--side", side, "--net", name, "--rows", str(count), "--epochs", str(epochs), "--folder", work]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> None:
    """Trials of both by turns."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sisa", type=Path, default=Path("target/release/sisa"))
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--rows", type=int, default=8192)
    parser.add_argument("--side")
    parser.add_argument("--net", default="mlp,cnn")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    if args.side:
        {"engine": engine, "plain": plain}[args.side](args.folder, args.net, args.rows, args.epochs)
        return
    os.environ["SISA"] = str(args.sisa.resolve())
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {args.rows} rows, batch 256")
    with tempfile.TemporaryDirectory() as folder:
        for name in args.net.split(","):
            ratios = []
            for _ in range(args.trials):
                spent = {}
                for side in ("plain", "engine"):
                    few, more = (timed(Path(folder), side, name, args.rows, epochs) for epochs in EPOCHS[name])
                    spent[side] = [b - a for a, b in zip(few, more, strict=True)]
                ratios.append([e / p for e, p in zip(spent["engine"], spent["plain"], strict=True)])
                print(f"{name}: plain {spent['plain']}, engine {spent['engine']}", flush=True)
            cpu, wall = (statistics.median(column) for column in zip(*ratios, strict=True))
            print(f"{name}: {100 * (cpu - 1):+.1f} % of CPU time, {100 * (wall - 1):+.1f} % of wall time (medians of {args.trials} ratios)")


if __name__ == "__main__":
    main()
