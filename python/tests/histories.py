"""Histories of shards under a learner of `nets.py`, without a workspace: what `test_torch.py` lives through, another process makes anew.

As a program: reads the rows that are gone at the end of each history, and writes the digests of all states.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Iterator

import nets
import numpy as np

from sisa import worker

NETS = ("mlp", "cnn", "dropout", "batchnorm", "transformer", "mixed")
SHARDS, SLICES, ROWS, EPOCHS = 3, 3, 18, 2
LAYOUT = worker.Layout("classes", 2, 4, [None] * 4, [], [], [], None, 16, {})
_X = np.random.default_rng(1).standard_normal((SHARDS * SLICES * ROWS, 4)).astype(np.float32)


def _seed(*parts: int) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


def _batches(shard: int, step: int, gone: set[int], give_up: bool = False) -> Iterator[worker.Batch]:
    """All rows of slices 1..=step that remain, in an order that depends on nothing but themselves."""
    first = shard * SLICES * ROWS
    rows = [row for row in range(first, first + step * ROWS) if row not in gone]
    visits = sorted((_seed(row, step, epoch), row) for row in rows for epoch in range(EPOCHS))
    none = np.zeros((len(visits), 0), np.uint32)
    for at in range(0, len(visits), LAYOUT.batch):
        x = _X[[row for _, row in visits[at : at + LAYOUT.batch]]]
        some = none[: len(x)]
        yield worker.Batch(LAYOUT, x, some, some.astype(np.uint8), (x[:, 0] > 0).astype(np.uint32), at / len(visits))
        if give_up:
            raise InterruptedError


def _train(name: str, states: list[list[bytes]], shard: int, gone: set[int], give_up: bool = False) -> None:
    """What a shard lacks, each step from the bytes of the one before."""
    learner, kept = getattr(nets, name), states[shard]
    if not kept:
        kept.append(learner.init(LAYOUT, _seed(shard)))
    while len(kept) <= SLICES:
        step = len(kept)
        begins = worker.Step(step, SLICES, EPOCHS * step * ROWS, _seed(shard, step))
        kept.append(learner.step(LAYOUT, begins, kept[-1], _batches(shard, step, gone, give_up)))


def _digests(states: list[list[bytes]]) -> list[str]:
    return [hashlib.sha256(state).hexdigest() for kept in states for state in kept]


def lived(seed: int) -> tuple[list[int], list[str]]:
    """Rows that went in a random history, and the digests of all states at its end."""
    name, draw = NETS[seed % len(NETS)], random.Random(seed)
    states: list[list[bytes]] = [[] for _ in range(SHARDS)]
    gone: set[int] = set()
    for _ in range(4):
        row = draw.randrange(SHARDS * SLICES * ROWS)
        shard, of = divmod(row, SLICES * ROWS)
        gone.add(row)
        # States that saw it go; all before them stay.
        del states[shard][1 + of // ROWS :]
        match draw.randrange(3):
            case 0:  # deferred
                pass
            case 1:  # interrupted
                try:
                    _train(name, states, shard, gone, give_up=True)
                except InterruptedError:
                    pass
            case _:
                _train(name, states, shard, gone)
    for shard in range(SHARDS):
        _train(name, states, shard, gone)
    return sorted(gone), _digests(states)


def main() -> None:
    """The same from scratch."""
    told = []
    for seed, gone in enumerate(json.load(sys.stdin)):
        states: list[list[bytes]] = [[] for _ in range(SHARDS)]
        for shard in range(SHARDS):
            _train(NETS[seed % len(NETS)], states, shard, set(gone))
        told.append(_digests(states))
    print(json.dumps(told))


if __name__ == "__main__":
    main()
