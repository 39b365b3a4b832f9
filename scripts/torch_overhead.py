"""What `sisa.torch` costs over a plain PyTorch loop on the same rows.

    python scripts/torch_overhead.py --sisa target/release/sisa [--trials N]

Both train the same module with Adam and batches of 256 on one thread. A busy machine is now fast and now
slow, by far more than what is looked for, so the two take turns in one process, of 2,048 rows each: a plain
loop over two tensors in memory, and `sisa.worker` with the learner, whose frames come through a pipe. What a
step costs without rows (its state is read and written) is taken off, and told. What the engine itself does
for an epoch (ordering, gathering, sending) is the processor time of its process, without its workers, for few
epochs and for more; it is done while the worker computes. Prints medians over the trials.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import struct
import subprocess
import tempfile
import threading
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

#: Of a turn, and of an epoch of the engine's.
TURN, ROWS = 2048, 8192
#: Few and more epochs of the engine's. Few are enough that what it tries before a recipe is frozen is the same in both: 16,384 rows at most.
EPOCHS = {"mlp": (2, 32), "cnn": (2, 8)}


def rows(count: int):
    """Images of chance, as bytes, and their classes."""
    import numpy as np

    draw = np.random.default_rng(0)
    return draw.integers(0, 256, (count, 784), dtype=np.uint8), draw.integers(0, 10, count)


def frames(layout, state: bytes, count: int) -> bytes:
    """What the engine sends for a step of so many rows."""
    x, y = rows(count)
    hello = {"protocol": 1, "task": "classes", "outputs": 10, "numbers": 0, "ranges": [], "indicators": [], "categories": [], "label_range": None}
    hello |= {"byte_scales": layout.byte_scales, "batch": 256, "settings": {}}
    parts = [(b"H", json.dumps(hello).encode()), (b"T", struct.pack("<IIQ", 1, 1, count) + bytes(32) + state)]
    for at in range(0, count, 256):
        some = slice(at, at + 256)
        parts.append((b"B", struct.pack("<II", 256, 0) + y[some].astype("<u4").tobytes() + x[some].tobytes()))
    return b"".join(kind + struct.pack("<Q", len(payload)) + payload for kind, payload in [*parts, (b"E", b"")])


def served(learner, asked: bytes) -> None:
    """A worker's work, as `python -m sisa.worker` does it."""
    from sisa import worker

    source, sink = os.pipe()
    to = os.fdopen(sink, "wb")
    thread = threading.Thread(target=lambda: (to.write(asked), to.close()))
    thread.start()
    with os.fdopen(source, "rb") as pipe:
        worker.serve(learner, pipe, io.BytesIO())
    thread.join()


def plain(nets: dict, name: str):
    """A plain loop, to be called."""
    import torch

    x, y = rows(TURN)
    x, y = torch.from_numpy(x).float() / 255, torch.from_numpy(y)
    module = nets[name]()
    optimizer = nets["adam"](module.parameters())

    def loop() -> None:
        order = torch.randperm(TURN)
        for at in range(0, TURN, 256):
            visits = order[at : at + 256]
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(module(x[visits]), y[visits]).backward()
            optimizer.step()

    return loop


def clocks() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def turns(nets: dict, name: str, trials: int) -> None:
    """By turns, and what came of it."""
    import torch

    from sisa import worker

    learner = nets[f"learner_{name}"]
    layout = worker.Layout("classes", 10, 0, [], [], [], [1 / 255] * 784, None, 256, {})
    state = learner.init(layout, bytes(32))
    asked, empty = frames(layout, state, TURN), frames(layout, state, 0)
    loop = plain(nets, name)
    took: dict[str, list[tuple[float, float]]] = {"plain": [], "worker": [], "empty": []}
    for trial in range(trials + 1):
        for what, run in (("plain", loop), ("worker", lambda: served(learner, asked)), ("empty", lambda: served(learner, empty))):
            torch.use_deterministic_algorithms(what != "plain")
            before = clocks()
            run()
            # The first one warms up.
            if trial:
                took[what].append(tuple(now - then for now, then in zip(clocks(), before, strict=True)))
    for at, what in enumerate(("processor", "wall")):
        ratios = sorted(100 * ((one[at] - none[at]) / base[at] - 1) for base, one, none in zip(*took.values(), strict=True))
        middle = {side: 1e3 * statistics.median(one[at] for one in each) for side, each in took.items()}
        quarters = f"the middle half of {trials} from {ratios[trials // 4]:+.1f} to {ratios[-1 - trials // 4]:+.1f} %"
        print(f"{name}: the worker takes {statistics.median(ratios):+.1f} % of {what} time ({quarters};", end=" ")
        print(f"plain {middle['plain'] / TURN * ROWS:.0f} ms for {ROWS} rows, a step without rows {middle['empty']:.1f} ms)", flush=True)


def engine(sisa: Path, folder: Path, name: str, epochs: int) -> float:
    """Processor time of the engine's process, without its workers."""
    import numpy as np

    from sisa import _own

    x, y = rows(ROWS)
    np.savez(folder / "table.npz", X=x, y=y)
    (folder / "nets.py").write_text(NETS)
    (folder / "sisa.toml").write_text(_own.put(CONFIG.format(epochs=epochs), _own.table(f"{folder}/nets.py:learner_{name}", str(folder))))
    process = subprocess.Popen([sisa, "-w", folder, "--threads", "1", "train", "--seed", "1"], stdout=subprocess.DEVNULL)
    used = 0.0
    while process.poll() is None:
        try:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            used = max(used, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
        except (OSError, IndexError):
            pass
        time.sleep(0.01)
    assert process.returncode == 0
    return used


def main() -> None:
    """Both nets."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sisa", type=Path, default=Path("target/release/sisa"))
    parser.add_argument("--trials", type=int, default=21)
    parser.add_argument("--net", default="mlp,cnn")
    args = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8", "OMP_WAIT_POLICY": "PASSIVE"}
    from sisa import worker

    worker._keep_memory()
    nets: dict = {"__name__": "nets"}
    exec(NETS, nets)  # noqa: S102
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; batches of 256")
    for name in args.net.split(","):
        turns(nets, name, args.trials)
        spent = []
        for epochs in EPOCHS[name]:
            with tempfile.TemporaryDirectory() as folder:
                spent.append(engine(args.sisa.resolve(), Path(folder), name, epochs))
        few, more = EPOCHS[name]
        print(f"{name}: the engine itself {1e3 * (spent[1] - spent[0]) / (more - few):.1f} ms of processor time for {ROWS} rows", flush=True)


if __name__ == "__main__":
    main()
