"""What stands before a model in a pipeline, and has learnt from everyone."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.pipeline import make_pipeline as _make_pipeline
from sklearn.utils import get_tags

from ._errors import ExactnessWarning, InputError

_INSTEAD = (
    "numbers are scaled in each shard from its own records, text is a category without an encoder, and a missing value is an input of its "
    "own; ranges and values can be declared (`ranges=`, `categories=`)"
)


def _learning(step: Any) -> list[str]:
    """The names of the transformers in a step that learn something from the rows they are fitted on."""
    if step is None or isinstance(step, str):
        return []
    if isinstance(step, Pipeline):
        return [name for _, inner in step.steps for name in _learning(inner)]
    if isinstance(step, FeatureUnion):
        return [name for _, inner in step.transformer_list for name in _learning(inner)]
    if hasattr(step, "transformers") and hasattr(step, "remainder"):
        # A ColumnTransformer wants to be fitted whatever is in it.
        return [name for _, inner, _ in step.transformers for name in _learning(inner)] + _learning(step.remainder)
    return [type(step).__name__] if get_tags(step).requires_fit else []


def warn_of_transformers(estimator: Any) -> None:
    """Warns if the estimator is being fitted as the end of a pipeline that learns before it."""
    frame = inspect.currentframe()
    while frame is not None:
        pipeline = frame.f_locals.get("self")
        if isinstance(pipeline, Pipeline) and pipeline.steps and pipeline.steps[-1][1] is estimator:
            names = [name for _, step in pipeline.steps[:-1] for name in _learning(step)]
            if names:
                warnings.warn(
                    f"{', '.join(names)} learnt from everyone, and a deletion from {type(estimator).__name__} does not undo that; {_INSTEAD}",
                    ExactnessWarning,
                    stacklevel=2,
                )
            return
        frame = frame.f_back


def make_pipeline(*steps: Any, **settings: Any) -> Pipeline:
    """As `sklearn.pipeline.make_pipeline`, for steps of which none but the last learns from the rows.

    Raises:
        InputError: one of the others does.
    """
    names = [name for step in steps[:-1] for name in _learning(step)]
    if names:
        raise InputError(f"{', '.join(names)} would learn from everyone, and no deletion would undo that; leave it out: {_INSTEAD}")
    return _make_pipeline(*steps, **settings)
