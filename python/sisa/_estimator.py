"""What classifier and regressor share."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d, validate_data

from . import _declare
from ._calls import Listener, Progress
from ._errors import InputError, NotReadyError
from ._exactness import warn_of_transformers
from ._frames import is_mixed, mixed_columns
from ._samples import FOLDERS, Folder, Samples, subject_ids
from ._workspace import Workspace

if TYPE_CHECKING:
    from . import answers
    from ._tables import Part

#: Items that are taken as they are; others become float64.
_DTYPES = [np.float64, np.float32, np.int64, np.int32, np.uint8]
#: How each kind of learner is scheduled, where the count of epochs is given.
_SCHEDULES = {"forest": "once", "ridge": "once", "boost": "window"}


class Estimator(BaseEstimator):  # type: ignore[misc]
    """An estimator over a workspace."""

    classes_: np.ndarray[Any, Any]
    n_features_in_: int
    workspace_: str
    schema_: str
    generation_: str
    recipe_: str
    report_: answers.Training
    _folder: Folder | None = None
    _opened: Workspace | None = None

    def __init__(
        self,
        learner: str | None = "forest",
        *,
        shards: int | None = None,
        slices: int | None = None,
        epochs: int | None = None,
        settings: Mapping[str, Any] | None = None,
        ranges: Mapping[str, Any] | Iterable[Any] | None = None,
        categories: Mapping[str, Iterable[Any]] | None = None,
        workspace: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.learner = learner
        self.shards = shards
        self.slices = slices
        self.epochs = epochs
        self.settings = settings
        self.ranges = ranges
        self.categories = categories
        self.workspace = workspace
        self.threads = threads
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    # Tables.

    def _table(self, X: Any, *, reset: bool) -> tuple[list[tuple[list[str], Any]], int]:
        """The inputs as columns of names and items, and how many rows there are."""
        if is_mixed(X):
            validate_data(self, X, reset=reset, skip_check_array=True)
            return mixed_columns(X)
        X = validate_data(self, X, reset=reset, dtype=_DTYPES, ensure_all_finite="allow-nan")
        return [(self._names(X.shape[1]), X)], X.shape[0]

    def _names(self, count: int) -> list[str]:
        named = getattr(self, "feature_names_in_", None)
        return [f"x{at}" for at in range(count)] if named is None else [str(name) for name in named]

    def _other(self, name: str) -> str:
        """A name that is none of the inputs'."""
        names = set(getattr(self, "feature_names_in_", ()))
        while name in names:
            name += "_"
        return name

    # Training.

    def _samples(self, X: Any, y: Any, subjects: Any) -> Samples:
        """What is fitted, looked at before anything is made."""
        warn_of_transformers(self)
        inputs, rows = self._table(X, reset=True)
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        if rows < 2:
            raise ValueError(f"n_samples={rows}: at least two records are needed")
        y = column_or_1d(y, warn=True)
        check_consistent_length(inputs[0][1], y)
        who = None if subjects is None else subject_ids(subjects, rows)
        return Samples(inputs, y, who, _declare.Groups(rows, who))

    def _fit(self, samples: Samples, label: str, y: Any) -> None:
        inputs, _, who, groups = samples
        columns = [self._declared(names, items, groups) for names, items in inputs]
        y_name, subject = self._other("y"), self._other("subject")
        data = f"[data]\n{'' if who is None else f'subject = {subject!r}'}\n"
        config = f"{_declare.MARK}\n{data}\n[label]\ncolumn = {y_name!r}\n{label}\n[columns]\n"
        config += "".join(line + "\n" for column in columns for line in column.lines)

        names = [name for column in columns for name in column.names]
        table: list[tuple[list[str], Any]] = [(column.names, column.items) for column in columns]
        table.append(([y_name], y))
        if who is not None:
            table.append(([subject], who.tolist() if who.dtype.kind == "U" else who[:, None]))

        folder = Folder() if self.workspace is None else None
        root = folder.path if folder is not None else os.path.abspath(os.fspath(self.workspace or ""))
        ws = self._workspace(root)
        everything = [*names, y_name] + ([] if who is None else [subject])
        schema = config + self._learner(ws, config, everything, (groups.rows, groups.count))
        path = Path(root, "sisa.toml")
        written = schema, path.exists() and path.read_text().startswith(_declare.MARK)
        seed = self.random_state
        if seed is not None and not isinstance(seed, (int, np.integer)):
            seed = check_random_state(seed).randint(2**31)
        fresh = Path(root, "shards", "CURRENT").exists()
        parts: list[Part] = [("the samples", table)]
        seed = None if seed is None else int(seed)
        report = ws._train_parts(parts, written, seed, None, fresh, None, {"no_ids": True})
        # All at once, so that a fit that fails leaves the one before.
        self.workspace_, self.schema_, self.report_ = root, schema, report
        self.generation_, self.recipe_ = report["generation"], report["recipe"]
        self._folder, self._opened = folder, ws

    def _declared(self, names: list[str], items: Any, groups: _declare.Groups) -> _declare.Column:
        if isinstance(items, list):
            return _declare.category(names[0], items, groups, (self.categories or {}).get(names[0]))
        ranges = {} if self.ranges is None else self.ranges
        ends = _declare.one_pair(ranges)
        if ends is not None:
            named = hasattr(self, "feature_names_in_")
            if not named and items.shape[1] > 1 and items.dtype.kind == "f":
                return _declare.embedding("x", items, ends)
            ranges = dict.fromkeys(names, ends)
        elif not isinstance(ranges, Mapping):
            ranges = dict(zip(self._names(self.n_features_in_), ranges))
        return _declare.numbers(names, items, groups, ranges, indicators=self.learner in ("linear", "mlp", None))

    def _learner(self, ws: Workspace, config: str, columns: list[str], sizes: tuple[int, int]) -> str:
        """`[shards]`, `[learner]` and `[schedule]`: what suits such rows, and what was asked for."""
        with Listener(None) as listener:
            placeholder = config + "\n[learner]\nkind = 'forest'\n"
            advised = ws._advise(placeholder, columns, sizes, self.learner, listener)
        shards = self.shards if self.shards is not None else advised["shards"]
        slices = self.slices if self.slices is not None else advised["slices"]
        text = f"\n[shards]\nshards = {shards}\nslices = {slices}\n"
        text += "\n[learner]\n" + _declare.settings(advised["settings"], self.settings or {})
        if self.epochs is not None:
            text += f"\n[schedule]\nkind = '{_SCHEDULES.get(advised['kind'], 'replay')}'\nepochs = {self.epochs}\n"
        return text

    # Answers.

    def _open(self) -> Workspace:
        """The workspace, kept open: its models stay loaded, and follow every deletion."""
        if self._opened is None:
            self._opened = self._workspace(self.workspace_)
        return self._opened

    def _workspace(self, path: str) -> Workspace:
        threads = self.threads
        if threads is None and multiprocessing.parent_process() is not None:
            # One of many processes that share the cores.
            threads = 1
        return Workspace(path, threads=threads, wait=True, temporary=self.workspace is None)

    def _scores(self, X: Any) -> tuple[Any, Any]:
        check_is_fitted(self)
        table, _ = self._table(X, reset=False)
        try:
            _, scores, decided, _ = self._open()._scores_of([("the samples", table)])
        except NotReadyError as error:
            if self.workspace is None and not os.path.isdir(self.workspace_):
                raise NotReadyError(
                    f"the temporary workspace {self.workspace_} is gone with the estimator that was fitted; give `workspace=` a folder to keep one"
                ) from error
            raise
        return scores, decided

    # Deletion.

    def unlearn(
        self, subjects: Any, *, request_id: str | None = None, defer: bool = False, progress: Progress = None
    ) -> answers.Deletion:
        """Deletes people, exactly: the estimator is from now on what `fit` without them gives.

        See `sisa.Workspace.delete`.
        """
        check_is_fitted(self)
        if not self._has_subjects():
            raise InputError("fit was told of no subjects, so a sample is about nobody with an id; `unfit(X, y)` deletes samples by what they hold")
        return self._open().delete(subjects, request_id=request_id, defer=defer, progress=progress)

    def unfit(
        self, X: Any, y: Any, subjects: Any = None, *, request_id: str | None = None, defer: bool = False, progress: Progress = None
    ) -> answers.Deletion:
        """Deletes samples by what they hold: each takes one that was fitted and is the same.

        Of identical ones it takes the last.

        Where `fit` was told of subjects, they belong to what a sample holds.
        """
        check_is_fitted(self)
        table, rows = self._table(X, reset=False)
        check_consistent_length(X, y)
        subject, label = self._other("subject"), self._other("y")
        named = self._has_subjects()
        if named != (subjects is not None):
            raise InputError("fit was told of subjects, and a sample holds its subject: give subjects" if named else "fit was told of no subjects")
        table = [*table, ([label], self._label(y))]
        if subjects is not None:
            who = subject_ids(subjects, rows)
            table.append(([subject], who.tolist() if who.dtype.kind == "U" else who[:, None]))
        return self._open()._delete_parts([("the samples", table)], request_id, defer, progress)

    def _has_subjects(self) -> bool:
        return f"\nsubject = {self._other('subject')!r}\n" in self.schema_

    def _label(self, y: Any) -> Any:
        raise NotImplementedError

    def verify(self, *, progress: Progress = None) -> answers.Verified:
        """Trains everything again and compares every byte. See `sisa.Workspace.verify`."""
        check_is_fitted(self)
        return self._open().verify(retrain=True, progress=progress)

    # A pickle is a reference to the workspace, never a copy of what is in it.

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(cast("dict[str, Any]", super().__getstate__()))
        for of_this_process in ("_folder", "_opened", "report_"):
            state.pop(of_this_process, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._folder = FOLDERS.get(state.get("workspace_", ""))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "generation_")
