"""What is taken for a table, and as which: paths, streams of Arrow, and arrays of NumPy."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from typing import TypeGuard


@runtime_checkable
class ArrowStream(Protocol):
    """A table that streams itself: of pandas, polars, PyArrow or DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


#: One table, or several that are read one after the other.
Table: TypeAlias = "str | os.PathLike[str] | ArrowStream | np.ndarray[Any, Any] | Mapping[str, Any] | Sequence[Any]"

#: A path; or a name for messages with a stream, or with pairs of column names (one name for a vector) and items.
Part: TypeAlias = "str | tuple[str, Any]"

#: So few rows are read by their arrays.
FEW_ROWS = 256

#: How the arrays of a mapping are called as columns, where NPZ files have them too.
_NAMES = {"ids": "id", "subjects": "subject"}


def parts(table: Table | None) -> list[Part]:
    """The parts of a table, for the engine. Nothing is copied that NumPy or Arrow hold already."""
    if table is None:
        return []
    if isinstance(table, (str, os.PathLike)):
        return [os.fspath(table)]
    if isinstance(table, Mapping):
        return [("the arrays", _arrays(table))]
    if isinstance(table, np.ndarray):
        return [("the array", _arrays({"X": table}))]
    name = type(table).__name__
    if _is_frame(table):
        return [(name, _frame(table))]
    if hasattr(table, "__arrow_c_stream__"):
        return [(name, table)]
    if isinstance(table, (list, tuple)) and all(isinstance(one, (str, os.PathLike)) or _is_table(one) for one in table):
        return [part for one in table for part in parts(one)]
    raise TypeError(
        f"{name} is not read as a table; give a DataFrame, a table of Arrow, {{name: array}}, a matrix of NumPy, or paths of files"
    )


def _is_table(one: object) -> bool:
    return isinstance(one, (Mapping, np.ndarray)) or hasattr(one, "__arrow_c_stream__")


def _is_frame(table: object) -> TypeGuard[Any]:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(table, pandas.DataFrame)


def _frame(frame: Any) -> Any:
    """A frame of pandas, as a stream; without PyArrow, which pandas needs for that, as arrays."""
    pandas = sys.modules["pandas"]
    if not frame.columns.is_unique or not all(isinstance(name, str) for name in frame.columns):
        frame = frame.rename(columns=str)
    changed = {}
    for name, kind in frame.dtypes.items():
        # A category of numbers is its numbers: as codes nobody could tell which.
        if isinstance(kind, pandas.CategoricalDtype) and kind.categories.dtype.kind in "iufb":
            whole = kind.categories.dtype.kind in "iu"
            changed[name] = frame[name].astype("Int64" if whole and frame[name].hasnans else kind.categories.dtype)
    if changed:
        frame = frame.assign(**changed)
    if len(frame) <= FEW_ROWS and all(isinstance(kind, np.dtype) and kind.kind in "iufb" for kind in frame.dtypes):
        # A stream takes pandas longer than the answer does.
        return _arrays({name: frame[name].to_numpy() for name in frame.columns}, named=False)
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return _arrays({name: frame[name].to_numpy() for name in frame.columns}, named=False)
    return frame


def _arrays(arrays: Mapping[str, Any], *, named: bool = True) -> list[tuple[list[str] | str, Any]]:
    """Arrays side by side.

    Of a matrix ``X`` the columns are ``x0``, ``x1``, .., as of an NPZ file, of any other ``name0``,
    ``name1``, ..; of floats the latter are vectors, which an embedding declares.
    """
    out: list[tuple[list[str] | str, Any]] = []
    for key, items in arrays.items():
        array = np.from_dlpack(items) if not isinstance(items, np.ndarray) and hasattr(items, "__dlpack__") else np.asarray(items)
        if array.ndim not in (1, 2):
            raise TypeError(f"array `{key}` has {array.ndim} dimensions; columns have 1, matrices 2")
        if array.ndim == 2:
            stem = "x" if named and key == "X" else key
            names = [f"{stem}{at}" for at in range(array.shape[1])]
            if array.dtype.kind == "f" and array.shape[1] > 1 and not (named and key == "X"):
                out.extend((key, column) for _, column in _columns(names, array))
                continue
        else:
            names = [_NAMES.get(key, key) if named else key]
        for some, column in _columns(names, array):
            out.append((some, column))
    return out


def _columns(names: list[str], array: np.ndarray[Any, Any]) -> list[tuple[list[str], Any]]:
    kind = array.dtype.kind
    if kind == "f" and array.dtype.itemsize == 2:
        array = array.astype(np.float32)
    if kind == "u" and array.dtype.itemsize == 8:
        # Beyond 63 bits there is no number for all of them, only their digits.
        array = array.astype(np.int64) if array.size == 0 or array.max() < 2**63 else array.astype(str).astype(object)
    if array.dtype.kind in "USOT":
        columns = [array] if array.ndim == 1 else [array[:, at] for at in range(array.shape[1])]
        return [([name], _texts(name, column)) for name, column in zip(names, columns)]
    return [(names, array[:, None] if array.ndim == 1 else array)]


def _texts(name: str, items: np.ndarray[Any, Any]) -> Any:
    """Texts of an array of them; numbers of an array of objects that are all numbers."""
    if items.dtype.kind == "S":
        items = np.char.decode(items, "utf-8")
    objects = items.tolist()
    missing = [_is_missing(item) for item in objects]
    some = [item for item, none in zip(objects, missing) if not none]
    if some and all(isinstance(item, (int, float, np.integer, np.floating)) and not isinstance(item, bool) for item in some):
        if any(missing) or any(isinstance(item, (float, np.floating)) for item in some):
            if all(isinstance(item, (int, np.integer)) for item in some):
                # Whole numbers with gaps stay whole: as floats they would be no ids.
                return [None if none else str(item) for item, none in zip(objects, missing)]
            return np.array([np.nan if none else item for item, none in zip(objects, missing)], np.float64)[:, None]
        return np.array(objects, np.int64)[:, None]
    for item in some:
        if not isinstance(item, str):
            raise TypeError(f"array `{name}` holds an object of type {type(item).__name__}; write text, or a number in all rows")
    return [None if none else item for item, none in zip(objects, missing)]


def _is_missing(item: object) -> bool:
    return item is None or (isinstance(item, float) and item != item) or type(item).__name__ in ("NAType", "NaTType")


def ids(given: Any, what: str) -> list[str]:
    """Ids as text: of texts and whole numbers, as they stand in a table."""
    if given is None:
        return []
    if isinstance(given, (str, bytes)) or not hasattr(given, "__iter__"):
        given = [given]
    return [_id(one, what) for one in given]


def _id(one: Any, what: str) -> str:
    if isinstance(one, str):
        return str(one)
    if isinstance(one, (int, np.integer)) and not isinstance(one, bool):
        return str(int(one))
    if isinstance(one, (np.str_,)):
        return str(one)
    raise TypeError(f"{what} holds {one!r} of type {type(one).__name__}; ids are text or whole numbers, spelt as in the table")


def record_ids(given: Any) -> list[list[str]]:
    """Ids of records: one for each column that names them."""
    if given is None:
        return []
    if isinstance(given, (str, int, np.integer)):
        given = [given]
    return [[_id(part, "records") for part in one] if isinstance(one, (tuple, list)) else [_id(one, "records")] for one in given]
