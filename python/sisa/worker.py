"""Runs a learner of your own as a worker: ``python -m sisa.worker FILE.py:NAME`` (docs/OWN-MODELS.md).

The engine starts it, one process for each constituent, and asks it over its standard input. What
the file names is any object with the methods of `Learner`; `sisa.torch.TorchLearner` is one for
PyTorch. Whatever is printed goes to the error stream.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO, Protocol

import numpy as np


#: Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@dataclass(frozen=True)
class Layout:
    """What rows look like: the same for all rows of a generation."""

    #: What is learnt: ``classes`` or ``number``.
    task: str
    #: Scores of a row: one a class, or one.
    outputs: int
    #: How many number columns.
    numbers: int
    #: The declared ends of each number, or None.
    ranges: list[tuple[float, float] | None]
    #: The numbers of which it matters that they are missing.
    indicators: list[int]
    #: How many values each category column can take.
    categories: list[int]
    #: The declared scale of each byte column.
    byte_scales: list[float]
    #: The declared ends of a number that is learnt, or None.
    label_range: tuple[float, float] | None
    #: Rows of a batch.
    batch: int
    #: The settings under ``[learner]``, as they are.
    settings: dict[str, Any]

    @cached_property
    def scales(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """`byte_scales` as float32."""
        return np.array(self.byte_scales, np.float32)


@dataclass(frozen=True)
class Batch:
    """Some rows, as views of the bytes that came."""

    layout: Layout
    #: float32, rows x numbers; NaN where missing.
    numbers: np.ndarray[Any, np.dtype[np.float32]]
    #: uint32, rows x category columns.
    categories: np.ndarray[Any, np.dtype[np.uint32]]
    #: uint8, rows x byte columns.
    bytes: np.ndarray[Any, np.dtype[np.uint8]]
    #: Of each row its class (uint32) or number (float32); None where rows are to be scored.
    labels: np.ndarray[Any, Any] | None
    #: How far into the step the first row is, from 0 to below 1.
    progress: float

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True)
class Step:
    """A step that begins."""

    #: Which step, from 1.
    index: int
    #: Steps of the first batch of records.
    of: int
    #: Rows that will be visited.
    visits: int
    #: 32 bytes, of this shard and step: where all draws come from.
    seed: bytes


class Learner(Protocol):
    """A function of bytes. The same arguments must give the same bytes, in any process."""

    def environment(self) -> dict[str, str]:
        """What its bits depend on, in words: versions, threads, instruction set."""
        ...

    def init(self, layout: Layout, seed: bytes) -> bytes:
        """The state before any row."""
        ...

    def step(self, layout: Layout, step: Step, state: bytes, batches: Iterator[Batch]) -> bytes:
        """The state after a step. All batches are to be taken."""
        ...

    def load(self, layout: Layout, state: bytes) -> Any:
        """What scores rows by a state."""
        ...

    def scores(self, layout: Layout, loaded: Any, batch: Batch) -> np.ndarray[Any, Any]:
        """float32, rows x outputs: probabilities, or the number."""
        ...


def serve(learner: Learner, source: BinaryIO, sink: BinaryIO) -> None:
    """Answers frames until there are no more."""
    worker = _Worker(source, sink)
    try:
        worker.run(learner)
    except Exception as error:
        worker.answer(b"X", f"{type(error).__name__}: {error}".encode())
        raise


class _Worker:
    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self.source, self.sink = source, sink

    def answer(self, kind: bytes, payload: bytes = b"") -> None:
        self.sink.write(kind + struct.pack("<Q", len(payload)))
        self.sink.write(payload)
        self.sink.flush()

    def frame(self) -> tuple[bytes, bytes] | None:
        head = self.source.read(9)
        if len(head) < 9:
            return None
        return head[:1], self.source.read(struct.unpack("<Q", head[1:])[0])

    def run(self, learner: Learner) -> None:
        layout: Layout | None = None
        loaded: dict[bytes, Any] = {}
        while (frame := self.frame()) is not None:
            kind, payload = frame
            if kind == b"H":
                layout = _layout(json.loads(payload))
                environment = {str(key): str(value) for key, value in learner.environment().items()}
                self.answer(b"R", json.dumps({"environment": environment}).encode())
                continue
            if layout is None:
                raise ValueError("the first frame is no greeting")
            if kind == b"I":
                self.answer(b"S", learner.init(layout, payload))
            elif kind == b"T":
                index, of, visits = struct.unpack_from("<IIQ", payload)
                step = Step(index, of, visits, payload[16:48])
                self.answer(b"K")
                batches = self.batches(layout)
                state = learner.step(layout, step, payload[48:], batches)
                if next(batches, None) is not None:
                    raise ValueError("the learner's step did not take all batches")
                self.answer(b"S", state)
            elif kind == b"L":
                loaded[payload[:4]] = learner.load(layout, payload[4:])
                self.answer(b"K")
            elif kind == b"Q":
                batch = _batch(layout, memoryview(payload)[4:], labelled=False)
                scores = np.ascontiguousarray(learner.scores(layout, loaded[payload[:4]], batch), dtype="<f4")
                self.answer(b"P", scores.tobytes())
            else:
                raise ValueError(f"a frame {kind!r} is not known")

    def batches(self, layout: Layout) -> Iterator[Batch]:
        """The batches of a step; each is answered when the next one is asked for."""
        while True:
            frame = self.frame()
            if frame is None:
                # Whoever wanted the step is gone.
                sys.exit(1)
            kind, payload = frame
            if kind == b"E":
                return
            if kind != b"B":
                raise ValueError(f"a frame {kind!r} within a step")
            yield _batch(layout, memoryview(payload), labelled=True)
            self.answer(b"K")


def _layout(hello: dict[str, Any]) -> Layout:
    if hello["protocol"] != 1:
        raise ValueError(f"protocol {hello['protocol']}, and this worker speaks 1")

    def pair(ends: list[float] | None) -> tuple[float, float] | None:
        return None if ends is None else (ends[0], ends[1])

    return Layout(
        task=hello["task"],
        outputs=hello["outputs"],
        numbers=hello["numbers"],
        ranges=[pair(ends) for ends in hello["ranges"]],
        indicators=hello["indicators"],
        categories=hello["categories"],
        byte_scales=hello["byte_scales"],
        label_range=pair(hello["label_range"]),
        batch=hello["batch"],
        settings=hello["settings"],
    )


def _batch(layout: Layout, payload: memoryview, *, labelled: bool) -> Batch:
    rows, progress = struct.unpack_from("<II", payload)
    at = 8

    def take(kind: str, width: int) -> np.ndarray[Any, Any]:
        nonlocal at
        array = np.frombuffer(payload, kind, rows * width, at)
        at += array.nbytes
        return array

    numbers = take("<f4", layout.numbers).reshape(rows, layout.numbers)
    categories = take("<u4", len(layout.categories)).reshape(rows, len(layout.categories))
    labels = take("<u4" if layout.task == "classes" else "<f4", 1) if labelled else None
    plain = take("u1", len(layout.byte_scales)).reshape(rows, len(layout.byte_scales))
    return Batch(layout, numbers, categories, plain, labels, progress / 2**32)


def named(target: str) -> Learner:
    """The learner that a text ``FILE.py:NAME`` names."""
    file, _, name = target.rpartition(":")
    if not file or not name.isidentifier():
        raise ValueError(f"the learner {target!r} is no FILE.py:NAME")
    file = os.path.abspath(file)
    spec = importlib.util.spec_from_file_location("sisa_learner", file)
    if spec is None or spec.loader is None:
        raise ValueError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules["sisa_learner"] = module
    folder = os.path.dirname(file)
    # As if the file was run, which may import others beside it.
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    learner: Learner = getattr(module, name)
    return learner


def _keep_memory() -> None:
    """Has the C library keep what is freed, up to 256 MB, for what is asked for next.

    By default it gives large pieces back to the system each time, and every batch of a network then waits for the
    system to clear its pages again. Only glibc has this setting, and no bit depends on it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        # Pieces from 32 MB on, the most that it allows, come from the system as before.
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        mallopt(_M_TRIM_THRESHOLD, 256 << 20)


def main() -> None:
    """Serves the learner that the command line names."""
    _keep_memory()
    sink = os.fdopen(os.dup(1), "wb")
    # What is printed is no answer.
    os.dup2(2, 1)
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m sisa.worker FILE.py:NAME")
    # Nothing is written beside the file.
    sys.dont_write_bytecode = True
    sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[1].rpartition(":")[0])))
    serve(named(sys.argv[1]), sys.stdin.buffer, sink)


if __name__ == "__main__":
    main()
