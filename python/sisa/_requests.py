"""What is asked of a workspace about records: that they go, come, or hold something else."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from ._calls import Listener, Progress, converged, deletion, lines, log, unknown
from ._tables import Part, Table, parts

if TYPE_CHECKING:
    from . import _sisa, answers


class Requests:
    """The part of `Workspace` that changes records."""

    _engine: _sisa.Engine

    def delete(
        self,
        subjects: Iterable[str | int] | str | int | None = None,
        *,
        records: Iterable[Any] | None = None,
        rows: Table | None = None,
        request_id: str | None = None,
        defer: bool = False,
        suppress: bool = True,
        progress: Progress = None,
    ) -> answers.Deletion:
        """Deletes people's records, or single ones, from slices and models, exactly.

        When the call returns the deletion is in effect and, unless deferred, repaired: every file
        is what training on what remains would have written. The same `request_id` with the same ids
        reports the first outcome and does nothing more.

        Args:
            subjects: ids of whom the records are about.
            records: ids of records; with several columns a tuple each.
            rows: a table in the form of the one that was imported: each row takes one record that
                holds the same.
            request_id: the name of the request, for receipts; one is made up without it.
            defer: leaves the training to a later `repair` or `train`; shards serve what they had
                before they saw the records.
            suppress: whether later imports refuse the ids.
            progress: see `Progress`.
        """
        return self._delete_parts(parts(rows), request_id, defer, progress, subjects, records, suppress)

    def _delete_parts(
        self,
        rows: list[Part],
        request_id: str | None,
        defer: bool,
        progress: Progress,
        subjects: Any = None,
        records: Any = None,
        suppress: bool = True,
    ) -> answers.Deletion:
        who = deletion(subjects, records, request_id, defer, suppress)
        with Listener(progress) as listener:
            told, *places = self._engine.delete(who, rows, listener)
        answer = {**_answer(told, "deleted"), **unknown(who, places)}
        if answer["unknown"]:
            log.warning("request %s: some of what it names is not there; see unknown_subjects, unknown_records, unknown_rows", answer["request"])
        converged(answer["repair"] or {"diverged": []}, answer)
        return cast("answers.Deletion", answer)

    def forecast(
        self, subjects: Iterable[str | int] | str | int | None = None, *, records: Iterable[Any] | None = None, rows: Table | None = None
    ) -> answers.Forecast:
        """What a deletion would do and cost. Nothing is changed."""
        who = deletion(subjects, records, None, False, True)
        with Listener(None) as listener:
            told, *places = self._engine.forecast(who, parts(rows), listener)
        return cast("answers.Forecast", {**json.loads(told), **unknown(who, places)})

    def unsuppress(self, subjects: Iterable[str | int] | str | int | None = None, *, records: Iterable[Any] | None = None) -> int:
        """Takes ids off the list of those that imports refuse. Returns how many were on it."""
        with Listener(None) as listener:
            told = self._engine.unsuppress(deletion(subjects, records, None, False, True), listener)
        return int(json.loads(told)["ids"])

    def append(
        self, table: Table, *, batch: str | None = None, defer: bool = False, progress: Progress = None
    ) -> answers.Appending:
        """Adds a batch of records to what is in service, and trains on it; deletion stays exact over all batches (docs/APPEND.md).

        Args:
            table: the batch, in the form of what was imported.
            batch: its name. The same rows under it are done already, and others refused; one is
                made from the rows without it.
            defer: leaves the training to a later `train`; what was trained before serves until
                then.
            progress: see `Progress`.
        """
        with Listener(progress) as listener:
            appended, *repaired = lines(self._engine.append(parts(table), batch, defer, listener))
        return cast("answers.Appending", {**appended, "repair": converged(repaired[0]) if repaired else None})

    def correct(
        self, table: Table, *, request_id: str | None = None, defer: bool = False, progress: Progress = None
    ) -> answers.Correction:
        """Lets records hold something else, exactly, as if they had come so (docs/APPEND.md).

        When the call returns the correction is in effect and, unless deferred, repaired, as a
        deletion is. Rows whose records are not there, or would be about somebody who is suppressed,
        correct nothing: `left_rows` says where they stand.

        Args:
            table: in the form of what was imported, label and all: each row is what the record of
                its id is to hold.
            request_id: the name of the request. The same rows under it report the first outcome.
            defer: leaves the training to a later `repair` or `train`.
            progress: see `Progress`.
        """
        with Listener(progress) as listener:
            told, left = self._engine.correct(parts(table), request_id, defer, listener)
        answer = {**_answer(told, "corrected"), "left_rows": left}
        if left:
            log.warning("request %s: some of its rows corrected nothing; see left_rows", answer["request"])
        converged(answer["repair"] or {"diverged": []}, answer)
        return cast("answers.Correction", answer)

    def forecast_correction(self, table: Table) -> answers.CorrectionForecast:
        """What a correction would do and cost. Nothing is changed."""
        with Listener(None) as listener:
            told, left = self._engine.forecast_correction(parts(table), listener)
        return cast("answers.CorrectionForecast", {**json.loads(told), "left_rows": left})

    def expire(
        self,
        before: str | datetime.date,
        *,
        column: str | None = None,
        request_id: str | None = None,
        defer: bool = False,
        progress: Progress = None,
    ) -> answers.Expiring:
        """Deletes all records that are older than a date, in one request, exactly. Nobody is suppressed by it.

        Args:
            before: the first date that stays: a date, or a text such as "2023-01-31". Records
                without a date stay too, and `undated` counts them.
            column: the column of dates, where more than one is declared a date.
            request_id: the name of the request. The same date under it reports the first outcome.
            defer: leaves the training to a later `repair` or `train`.
            progress: see `Progress`.
        """
        with Listener(progress) as listener:
            told = self._engine.expire(_expiry(before, column, request_id, defer), listener)
        answer = _answer(told, "deleted")
        converged(answer["repair"] or {"diverged": []}, answer)
        return cast("answers.Expiring", answer)

    def forecast_expiry(self, before: str | datetime.date, *, column: str | None = None) -> answers.Forecasted:
        """What `expire` would do and cost, which is much: old records are in every slice. Nothing is changed."""
        with Listener(None) as listener:
            told = self._engine.forecast_expiry(_expiry(before, column, None, False), listener)
        return cast("answers.Forecasted", json.loads(told))


def _answer(told: str, kind: str) -> dict[str, Any]:
    """The line of the request, with how it came into effect and was repaired."""
    of = {line["type"]: line for line in lines(told)}
    return {**of[kind], "effective": of["effective"], "repair": of.get("repaired")}


def _expiry(before: str | datetime.date, column: str | None, request_id: str | None, defer: bool) -> dict[str, Any]:
    """Which records are too old, all of its fields."""
    if not isinstance(before, (str, datetime.date)):
        raise TypeError(f"before is {before!r} of type {type(before).__name__}; write a date, or a text such as '2023-01-31'")
    date = before if isinstance(before, str) else before.isoformat()
    return {"before": date, "column": column, "request_id": request_id, "defer": defer}
