"""Frames whose columns are of several kinds: numbers and text."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._tables import _texts


def _kinds(frame: Any) -> list[tuple[str, Any]] | None:
    """Names and columns of a frame of pandas or polars, or of a table of Arrow; none for anything else."""
    if hasattr(frame, "iloc") and hasattr(frame, "columns"):
        return [(str(name), frame.iloc[:, at]) for at, name in enumerate(frame.columns)]
    if hasattr(frame, "get_columns"):
        return [(column.name, column) for column in frame.get_columns()]
    if hasattr(frame, "column_names") and hasattr(frame, "column"):
        return [(name, frame.column(at)) for at, name in enumerate(frame.column_names)]
    return None


def _is_number(column: Any) -> bool:
    kind = getattr(column, "dtype", None) or getattr(column, "type", None)
    if isinstance(kind, np.dtype):
        return kind.kind in "iufb"
    numeric = getattr(kind, "is_numeric", None)
    if callable(numeric):
        # Of polars, which counts truth values apart.
        return bool(numeric()) or str(kind) == "Boolean"
    if numeric is None:
        numeric = getattr(kind, "_is_numeric", None)
    if numeric is not None:
        return bool(numeric) or getattr(kind, "kind", "") == "b"
    # Of Arrow.
    return str(kind).startswith(("int", "uint", "float", "double", "half", "bool", "decimal"))


def is_mixed(table: Any) -> bool:
    """Whether it is a frame with a column that is no number."""
    columns = _kinds(table)
    return columns is not None and not all(_is_number(column) for _, column in columns)


def mixed_columns(frame: Any) -> tuple[list[tuple[list[str], Any]], int]:
    """Each column's name and items: numbers as a matrix of one column, text as a list."""
    out: list[tuple[list[str], Any]] = []
    rows = 0
    for name, column in _kinds(frame) or []:
        if _is_number(column):
            items = np.asarray(column.to_numpy())
            if items.dtype.kind not in "iuf" or items.dtype == np.float16 or items.dtype == np.uint64:
                items = items.astype(np.float64)
            if items.dtype.kind == "f" and np.isinf(items).any():
                raise ValueError(f"column `{name}` holds infinity, or a value too large")
            matrix: Any = items[:, None]
        else:
            objects = np.empty(len(column), object)
            objects[:] = column.to_pylist() if hasattr(column, "to_pylist") else column.tolist() if hasattr(column, "tolist") else column.to_list()
            matrix = _texts(name, objects)
        rows = len(column)
        out.append(([name], matrix))
    return out, rows
