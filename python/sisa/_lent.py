"""What sites lend, and what their sums add up to: answers without a workspace."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import _sisa
from ._calls import Listener
from ._tables import Table, parts


class Member(NamedTuple):
    """A constituent."""

    shard: int
    step: int
    lineage: str
    weight: float


class Lent:
    """Constituents of one site; or, of sums, one model of all rows in them."""

    def __init__(self, constituents: list[bytes]) -> None:
        self._of(_sisa.Lent(constituents))

    @staticmethod
    def of_sums(sums: bytes) -> Lent:
        lent = Lent.__new__(Lent)
        lent._of(_sisa.Lent.of_sums(sums))
        return lent

    def _of(self, native: _sisa.Lent) -> None:
        self._native = native
        #: In order of their shards; none of sums.
        self.members = [Member(*member) for member in native.members()]

    def scores(self, table: Table) -> tuple[list[str], np.ndarray[Any, np.dtype[np.float32]]]:
        """The names of the classes, and the scores of the rows of a table."""
        with Listener(None) as listener:
            return self._native.scores(parts(table), listener)


def add_sums(all: list[bytes]) -> bytes:
    """The sums of all."""
    return _sisa.add_sums(all)
