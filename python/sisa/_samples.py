"""What an estimator is fitted on, and the folder that it keeps it in."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import column_or_1d

from . import _declare

FOLDERS: weakref.WeakValueDictionary[str, Folder] = weakref.WeakValueDictionary()


class Folder:
    """A temporary folder that goes with the last estimator of this process that refers to it."""

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="sisa-")
        FOLDERS[self.path] = self
        weakref.finalize(self, Folder._remove, self.path, os.getpid())

    @staticmethod
    def _remove(path: str, process: int) -> None:
        # A forked process has a copy of the object, and must leave its parent's folder alone.
        if os.getpid() == process:
            shutil.rmtree(path, ignore_errors=True)


class Samples(NamedTuple):
    """What is fitted: names and items of the inputs, labels, and whom each sample is about."""

    inputs: list[tuple[list[str], Any]]
    y: np.ndarray[Any, Any]
    subjects: np.ndarray[Any, Any] | None
    groups: _declare.Groups


def subject_ids(subjects: Any, rows: int) -> np.ndarray[Any, Any]:
    """Whom each of the rows is about: text or whole numbers."""
    who: np.ndarray[Any, Any] = column_or_1d(np.asarray(subjects))
    if len(who) != rows:
        raise ValueError(f"there are {rows} samples and {len(who)} subjects")
    if who.dtype.kind in "OT":
        kinds = {type(one) for one in who.tolist()}
        if not all(issubclass(kind, (str, int, np.integer)) and kind is not bool for kind in kinds):
            raise ValueError(f"subjects are text or whole numbers, and some are of type {', '.join(sorted(k.__name__ for k in kinds))}")
        who = who.astype(str)
    if who.dtype == np.uint64:
        who = who.astype(str)
    if who.dtype.kind not in "iuU":
        raise ValueError(f"subjects are text or whole numbers, not {who.dtype}")
    return who
