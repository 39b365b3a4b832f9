"""A configuration for arrays: what is declared of them, as `sisa.toml` has it.

What is read off the rows is a declaration from then on, which no deletion makes anew; so it says as
little of a person as a proposal of the engine does: ends of ranges are those that at least ten
subjects reach, rounded, and values of categories those that ten share.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: So many subjects share what is written down.
SHARED = 10
#: Where there are fewer subjects than this, ten would cut a range short.
FEW = 20 * SHARED
#: More values of a category than this are hashed into as many buckets as are listed here.
VALUES, BUCKETS = 256, 1024

#: The first line of a configuration that may be written over.
MARK = "# Declared by sisa.sklearn, which writes this file at every fit."


@dataclass
class Column:
    """One or more columns of a table side by side: their names and items, and what each is declared as."""

    names: list[str]
    items: Any
    lines: list[str] = field(default_factory=list)


def embedding(name: str, matrix: Any, ends: tuple[Any, Any]) -> Column:
    """All columns of a matrix as one vector, whose numbers have the same ends."""
    line = f"{toml(name)} = {{ kind = 'embedding', size = {matrix.shape[1]}, range = {pair(*ends)} }}"
    return Column([f"{name}{at}" for at in range(matrix.shape[1])], matrix, [line])


def one_pair(ranges: Any) -> tuple[Any, Any] | None:
    """The ends of all numbers, where ranges are two numbers and not a pair for each column."""
    if not isinstance(ranges, (list, tuple, np.ndarray)) or len(ranges) != 2:
        return None
    low, high = ranges
    return (low, high) if np.ndim(low) == np.ndim(high) == 0 and low is not None and high is not None else None


def numbers(names: list[str], matrix: Any, groups: Groups, ranges: Mapping[str, Any], *, indicators: bool) -> Column:
    """Columns of numbers.

    `indicators`: whether it is an input that a number is missing, where some are.
    """
    column = Column(names, matrix)
    if matrix.dtype == np.uint8:
        column.lines = [f"{toml(name)} = 'byte'" for name in names]
        return column
    for at, name in enumerate(names):
        items = matrix[:, at]
        low, high = ranges.get(name) or outward(*groups.ends(items))
        missing = indicators and items.dtype.kind == "f" and bool(np.isnan(items).any())
        column.lines.append(
            f"{toml(name)} = {{ kind = 'number', range = {pair(low, high)}{', indicator = true' if missing else ''} }}"
        )
    return column


def category(name: str, items: list[str | None], groups: Groups, values: Iterable[Any] | None) -> Column:
    """A column of text."""
    listed = [str(value) for value in values] if values is not None else groups.shared(items)
    what = f"values = {toml(listed)}" if 0 < len(listed) <= VALUES or values is not None else f"buckets = {BUCKETS}"
    return Column([name], items, [f"{toml(name)} = {{ kind = 'category', {what} }}"])


class Groups:
    """Whom rows are about; each of them counts once."""

    def __init__(self, rows: int, subjects: np.ndarray[Any, Any] | None) -> None:
        self.rows = rows
        self._order: np.ndarray[Any, Any] | None = None
        self.count = rows
        if subjects is not None:
            _, codes = np.unique(subjects, return_inverse=True)
            self._codes = codes
            self._order = np.argsort(codes, kind="stable")
            self._starts = np.flatnonzero(np.diff(codes[self._order], prepend=-1))
            self.count = len(self._starts)

    def ends(self, items: np.ndarray[Any, Any]) -> tuple[float, float]:
        """The ends that enough subjects reach; not finite where there are no numbers."""
        if items.dtype.kind == "f":
            keep = ~np.isnan(items)
            if not keep.any():
                return (np.nan, np.nan)
        else:
            keep = None
        if self._order is None:
            lows = highs = items if keep is None else items[keep]
        else:
            ordered = items[self._order].astype(np.float64)
            lows = np.fmin.reduceat(ordered, self._starts)
            highs = np.fmax.reduceat(ordered, self._starts)
            lows, highs = lows[~np.isnan(lows)], highs[~np.isnan(highs)]
        nth = SHARED - 1 if self.count >= FEW and len(lows) > 2 * SHARED else 0
        low = np.partition(lows, nth)[nth]
        high = -np.partition(-highs.astype(np.float64), nth)[nth]
        return float(low), float(high)

    def shared(self, items: list[str | None]) -> list[str]:
        """The values that enough subjects have, sorted."""
        who = range(len(items)) if self._order is None else self._codes.tolist()
        seen: dict[str, set[Any]] = {}
        for item, subject in zip(items, who):
            if item is not None:
                seen.setdefault(item.strip(), set()).add(subject)
        least = SHARED if self.count >= FEW else 1
        return sorted(value for value, subjects in seen.items() if len(subjects) >= least)


def outward(low: float, high: float) -> tuple[float, float]:
    """Ends of two significant digits that hold these."""
    if not np.isfinite([low, high]).all():
        return 0.0, 1.0
    step = 10.0 ** np.floor(np.log10(max(abs(low), abs(high), 1e-30)) - 1)
    low, high = float(f"{np.floor(low / step) * step:.12g}"), float(f"{np.ceil(high / step) * step:.12g}")
    return (low, high) if np.float32(low) < np.float32(high) else (low, low + max(1.0, abs(low) * 0.1))


def pair(low: Any, high: Any) -> str:
    """A range."""
    return f"[{float(low)!r}, {float(high)!r}]"


def settings(advised: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """`[learner]`, with what is given in place of what is advised."""
    return "".join(f"{key} = {toml(value)}\n" for key, value in {**advised, **given}.items() if value is not None)


def toml(value: Any) -> str:
    """A value as TOML has it."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {toml(of)}" for key, of in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(of) for of in value) + "]"
    if isinstance(value, (np.integer, np.floating)):
        value = value.item()
    # Of texts, truth values and numbers the form is that of JSON, but for characters beyond 16 bits.
    return json.dumps(value, ensure_ascii=False)
