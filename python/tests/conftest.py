"""Tables that the tests share, and what they compare."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

#: A configuration for `numbers`, of a learner that deletes by taking rows out and of one that trains again.
CONFIG = """
[data]
subject = "subject"
record = ["id"]
missing = [""]
[label]
column = "y"
values = ["0", "1"]
[columns]
"x0..x3" = {{ kind = "number", range = [-8, 8] }}
[shards]
shards = 2
slices = 3
[learner]
kind = "{learner}"
"""


def numbers(rows: int = 600, seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays as an NPZ file has them; values that a decimal, a double and a single agree on."""
    rng = np.random.default_rng(seed)
    X = (rng.integers(-1000, 1000, (rows, 4)) / 128).astype(np.float32)
    return {
        "X": X,
        "y": (X[:, 0] + X[:, 1] > 0).astype(np.int64),
        "ids": np.arange(rows) + 10_000,
        "subjects": np.arange(rows) // 3,
    }


def columns(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same, a name a column."""
    named = {f"x{at}": arrays["X"][:, at] for at in range(4)}
    return {**named, "y": arrays["y"], "id": arrays["ids"], "subject": arrays["subjects"]}


def digest(root: str | Path) -> str:
    """Names and bytes of all slices and checkpoints."""
    found = hashlib.sha256()
    files = [*Path(root).glob("shards/g*/**/*.slice"), *Path(root).glob("checkpoints/g*/**/*.ckpt")]
    assert files, "nothing was trained"
    for path in sorted(files):
        found.update(str(path.relative_to(root)).encode())
        found.update(path.read_bytes())
    return found.hexdigest()


def python(code: str, *args: object, timeout: float = 60) -> str:
    """What a script of its own process prints."""
    done = subprocess.run([sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def trained(tmp_path: Path):
    """A workspace in `tmp_path` that was trained on `numbers`."""
    import sisa

    ws = sisa.Workspace(tmp_path / "ws", threads=2)
    ws.train(numbers(), config=CONFIG.format(learner="boost"), seed=1)
    return ws
