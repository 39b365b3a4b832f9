"""What every call of a workspace has: how it is listened to, and how it is asked and answered."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from . import _errors
from ._tables import ids, record_ids

if TYPE_CHECKING:
    from . import answers

log = logging.getLogger("sisa")

#: Called some ten times a second with ``{"stage", "done", "total", ..}``; or true for a bar of tqdm.
Progress: TypeAlias = "Callable[[answers.Progress], object] | bool | None"


class Listener:
    """Hands on what the engine tells while it works."""

    def __init__(self, progress: Progress) -> None:
        self._bar: Any = None
        if progress is True:
            from tqdm.auto import tqdm

            self._bar = tqdm(unit=" row-passes", unit_scale=True)
            progress = self._show
        self._progress = progress or None

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, event: str, told: Any) -> None:
        if event == "progress":
            if callable(self._progress):
                self._progress(told)
            return
        text, remedy = told
        log.info("%s", "; ".join([text, *_errors.advice([json.loads(remedy)] if remedy else [])]))

    def _show(self, told: answers.Progress) -> None:
        bar = self._bar
        if bar.desc != told["stage"] + ": ":
            bar.set_description(told["stage"])
            bar.reset(total=told["total"])
        bar.update(told["done"] - bar.n)


_ASKED: dict[str, Any] = {
    "label": None,
    "subject": None,
    "record": [],
    "holdout": None,
    "shards": None,
    "slices": None,
    "learner": None,
    "epochs": None,
    "schedule": None,
    "checkpoints": None,
    "rate": None,
    "no_ids": False,
}


def asked(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a call that come before the configuration's, all of them."""
    unknown = settings.keys() - _ASKED.keys()
    if unknown:
        raise TypeError(f"no such setting: {', '.join(sorted(unknown))}; there are {', '.join(_ASKED)}")
    record = settings.get("record", [])
    return {**_ASKED, **settings, "record": [record] if isinstance(record, str) else list(record)}


def begun(config: tuple[str, bool] | None, settings: dict[str, Any], seed: int | None, key: Any, fresh: bool) -> dict[str, Any]:
    """How an import begins, all of its fields."""
    return {"config": config, "asked": asked(settings), "seed": seed, "key": key, "fresh": fresh}


def lines(text: str) -> list[dict[str, Any]]:
    """Lines of JSON."""
    return [json.loads(line) for line in text.splitlines()]


def deletion(subjects: Any, records: Any, request_id: str | None, defer: bool, suppress: bool) -> dict[str, Any]:
    """Whose records are to go, all of its fields."""
    return {
        "subjects": ids(subjects, "subjects"),
        "records": record_ids(records),
        "request_id": request_id,
        "defer": defer,
        "suppress": suppress,
    }


def unknown(asked: dict[str, Any], places: list[Any]) -> dict[str, Any]:
    """The ids that are not there, by their places among those asked for."""
    subjects, records, rows = places
    return {
        "unknown_subjects": [asked["subjects"][at] for at in subjects],
        "unknown_records": [asked["records"][at] for at in records],
        "unknown_rows": rows,
    }


def converged(told: dict[str, Any], answer: Any = None) -> dict[str, Any]:
    """What is told, unless a shard diverged."""
    if told["diverged"]:
        text = "; ".join(f"shard {one['shard']}: {one['message']}" for one in told["diverged"])
        raise _errors.DivergedError(f"training diverged, and these shards serve their last clean step: {text}", answer=answer or told)
    return told
