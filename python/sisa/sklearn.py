"""Estimators of scikit-learn from which people can be deleted: `fit`, `predict`, `unlearn`.

    >>> clf = SisaClassifier("forest").fit(X, y, subjects=patients)
    >>> clf.unlearn([125024])

An estimator keeps its records and models in a workspace, and is a reference to it: what it answers
is what the workspace answers, after every deletion by whomever. A pickle holds no weight and no
row.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from . import _declare
from ._errors import ExactnessWarning
from ._estimator import Estimator
from ._exactness import make_pipeline

__all__ = ["ExactnessWarning", "SisaClassifier", "SisaRegressor", "make_pipeline"]


class SisaClassifier(ClassifierMixin, Estimator):  # type: ignore[misc]
    """A classifier from which people can be deleted.

    Args:
        learner: ``forest``, ``boost``, ``ridge``, ``linear`` or ``mlp``; none for the one that
            suits the rows.
        shards, slices, epochs: as in docs/CONFIG.md; what suits the rows where they are none.
        settings: of the learner, by their names in docs/CONFIG.md.
        ranges: ends of number columns: a list of pairs, or pairs by name. Read off the rows,
            rounded, where they are not given.
        categories: values of text columns by name. Read off the rows where they are not given.
        workspace: a folder to keep; by default a temporary one that goes with the object.
        threads: how many work; by default as many as there are cores, and one in a worker process.
        random_state: derives the keys from a number, so that others can do the same again. None
            draws secret ones: take that for people's data.
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


class SisaRegressor(RegressorMixin, Estimator):  # type: ignore[misc]
    """A regressor from which people can be deleted.

    Its arguments are those of `SisaClassifier`, and

    Args:
        label_range: the ends between which the label lies; read off the rows, rounded, where it is
            not given. ``ridge`` and ``forest`` take a label beyond it for the end.
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
        """Imports the samples and trains.

        The arguments are those of `SisaClassifier.fit`, but for `y`, which are numbers.
        """
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
