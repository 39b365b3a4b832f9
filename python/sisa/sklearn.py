"""Estimators of scikit-learn from which people can be deleted: `fit`, `predict`, `unlearn`.

    >>> clf = SisaClassifier("forest").fit(X, y, subjects=patients)
    >>> clf.unlearn([125024])

An estimator keeps its records and models in a workspace, and is a reference to it: what it answers is what the workspace answers, after
every deletion by whomever. A pickle holds no weight and no row.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d, validate_data

from . import _declare
from ._errors import ExactnessWarning, InputError, NotReadyError
from ._exactness import make_pipeline, warn_of_transformers
from ._frames import is_mixed, mixed_columns
from ._workspace import Progress, Workspace, _Listener

if TYPE_CHECKING:
    from . import answers
    from ._tables import Part

__all__ = ["ExactnessWarning", "SisaClassifier", "SisaRegressor", "make_pipeline"]

#: Items that are taken as they are; others become float64.
_DTYPES = [np.float64, np.float32, np.int64, np.int32, np.uint8]
#: How each kind of learner is scheduled, where the count of epochs is given.
_SCHEDULES = {"forest": "once", "ridge": "once", "boost": "window"}

_FOLDERS: weakref.WeakValueDictionary[str, _Folder] = weakref.WeakValueDictionary()


class _Folder:
    """A temporary folder that goes with the last estimator of this process that refers to it."""

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="sisa-")
        _FOLDERS[self.path] = self
        weakref.finalize(self, _Folder._remove, self.path, os.getpid())

    @staticmethod
    def _remove(path: str, process: int) -> None:
        # A forked process has a copy of the object, and must leave its parent's folder alone.
        if os.getpid() == process:
            shutil.rmtree(path, ignore_errors=True)


class _Samples(NamedTuple):
    """What is fitted: names and items of the inputs, labels, and whom each sample is about."""

    inputs: list[tuple[list[str], Any]]
    y: np.ndarray[Any, Any]
    subjects: np.ndarray[Any, Any] | None
    groups: _declare.Groups


class _Sisa(BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor share."""

    classes_: np.ndarray[Any, Any]
    n_features_in_: int
    workspace_: str
    schema_: str
    generation_: str
    recipe_: str
    report_: answers.Training
    _folder: _Folder | None = None
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

    def _samples(self, X: Any, y: Any, subjects: Any) -> _Samples:
        """What is fitted, looked at before anything is made."""
        warn_of_transformers(self)
        inputs, rows = self._table(X, reset=True)
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        if rows < 2:
            raise ValueError(f"n_samples={rows}: at least two records are needed")
        y = column_or_1d(y, warn=True)
        check_consistent_length(inputs[0][1], y)
        who = None if subjects is None else _subjects(subjects, rows)
        return _Samples(inputs, y, who, _declare.Groups(rows, who))

    def _fit(self, samples: _Samples, label: str, y: Any) -> None:
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

        folder = _Folder() if self.workspace is None else None
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
        ranges = self.ranges or {}
        if not isinstance(ranges, Mapping):
            ranges = dict(zip(self._names(self.n_features_in_), ranges))
        return _declare.numbers(names, items, groups, ranges, indicators=self.learner in ("linear", "mlp", None))

    def _learner(self, ws: Workspace, config: str, columns: list[str], sizes: tuple[int, int]) -> str:
        """`[shards]`, `[learner]` and `[schedule]`: what suits such rows, and what was asked for."""
        with _Listener(None) as listener:
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
        """Deletes people, exactly: the estimator is from now on what `fit` without them gives. See `sisa.Workspace.delete`."""
        check_is_fitted(self)
        if not self._has_subjects():
            raise InputError("fit was told of no subjects, so a sample is about nobody with an id; `unfit(X, y)` deletes samples by what they hold")
        return self._open().delete(subjects, request_id=request_id, defer=defer, progress=progress)

    def unfit(
        self, X: Any, y: Any, subjects: Any = None, *, request_id: str | None = None, defer: bool = False, progress: Progress = None
    ) -> answers.Deletion:
        """Deletes samples by what they hold: each takes one that was fitted and is the same, of identical ones the last.

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
            who = _subjects(subjects, rows)
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
        self._folder = _FOLDERS.get(state.get("workspace_", ""))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "generation_")


def _subjects(subjects: Any, rows: int) -> np.ndarray[Any, Any]:
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


class SisaClassifier(ClassifierMixin, _Sisa):  # type: ignore[misc]
    """A classifier from which people can be deleted.

    Args:
        learner: ``forest``, ``boost``, ``ridge``, ``linear`` or ``mlp``; none for the one that suits the rows.
        shards, slices, epochs: as in docs/CONFIG.md; what suits the rows where they are none.
        settings: of the learner, by their names in docs/CONFIG.md.
        ranges: ends of number columns: a list of pairs, or pairs by name. Read off the rows, rounded, where they are not given.
        categories: values of text columns by name. Read off the rows where they are not given.
        workspace: a folder to keep; by default a temporary one that goes with the object.
        threads: how many work; by default as many as there are cores, and one in a worker process.
        random_state: derives the keys from a number, so that others can do the same again. None draws secret ones: take that for people's data.
    """

    def fit(self, X: Any, y: Any, subjects: Any = None) -> SisaClassifier:
        """Imports the samples and trains.

        Args:
            X: samples by features; a DataFrame may have columns of text, which are categories.
            y: classes.
            subjects: whom each sample is about; without it each is about somebody else.
        """
        samples = self._samples(X, y, subjects)
        check_classification_targets(samples.y)
        classes = np.unique(samples.y)
        if len(classes) < 2:
            raise ValueError(f"y has one class only, {classes[0]!r}; classes are declared, so a second one is needed")
        self.classes_ = classes
        self._fit(samples, f"values = {_declare.toml([str(name) for name in self._spelt()])}", self._label(samples.y))
        return self

    def _spelt(self) -> list[Any]:
        """The classes as cells: as they are, where text and whole numbers tell them apart, else as their places."""
        names = self.classes_.tolist()
        plain = all(isinstance(name, int) and not isinstance(name, bool) for name in names)
        text = all(isinstance(name, str) and name == name.strip() != "" and name.isprintable() for name in names)
        return names if plain or text else list(range(len(names)))

    def _label(self, y: Any) -> Any:
        spelt = self._spelt()
        places = np.searchsorted(self.classes_, column_or_1d(y))
        if isinstance(spelt[0], str):
            return np.array(spelt, object)[places].tolist()
        return np.array(spelt, np.int64)[places][:, None]

    def predict_proba(self, X: Any) -> np.ndarray[Any, Any]:
        """The probability of each class for each sample, in the order of `classes_`."""
        scores: np.ndarray[Any, Any] = self._scores(X)[0].astype(np.float64)
        return scores

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """The class of each sample."""
        decided = self._scores(X)[1]
        classes: np.ndarray[Any, Any] = self.classes_[decided]
        return classes


class SisaRegressor(RegressorMixin, _Sisa):  # type: ignore[misc]
    """A regressor from which people can be deleted. Its arguments are those of `SisaClassifier`, and

    Args:
        label_range: the ends between which the label lies; read off the rows, rounded, where it is not given. ``ridge`` and ``forest`` take a label
            beyond it for the end.
    """

    def __init__(
        self,
        learner: str | None = "forest",
        *,
        shards: int | None = None,
        slices: int | None = None,
        epochs: int | None = None,
        settings: Mapping[str, Any] | None = None,
        ranges: Mapping[str, Any] | Iterable[Any] | None = None,
        label_range: tuple[float, float] | None = None,
        categories: Mapping[str, Iterable[Any]] | None = None,
        workspace: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            learner,
            shards=shards,
            slices=slices,
            epochs=epochs,
            settings=settings,
            ranges=ranges,
            categories=categories,
            workspace=workspace,
            threads=threads,
            random_state=random_state,
        )
        self.label_range = label_range

    def fit(self, X: Any, y: Any, subjects: Any = None) -> SisaRegressor:
        """Imports the samples and trains. The arguments are those of `SisaClassifier.fit`, but for `y`, which are numbers."""
        samples = self._samples(X, y, subjects)
        label = self._label(samples.y)
        if not np.isfinite(label).all():
            raise ValueError("y holds NaN or infinity")
        ends = self.label_range or _declare.outward(*samples.groups.ends(label[:, 0]))
        self._fit(samples, f"range = {_declare.pair(*ends)}", label)
        return self

    def _label(self, y: Any) -> Any:
        return column_or_1d(y).astype(np.float64)[:, None]

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """The number for each sample."""
        numbers: np.ndarray[Any, Any] = self._scores(X)[0][:, 0].astype(np.float64)
        return numbers
