"""One workspace: a folder of records, models and the ledger of what was asked and done."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from . import _own, _sisa
from ._calls import Listener, Progress, asked, begun, converged, lines
from ._errors import InputError
from ._exports import Exports
from ._requests import Requests
from ._tables import Part, Table, parts

if TYPE_CHECKING:
    from . import answers


class Proposal(str):
    """The text of a ``sisa.toml``, with what was guessed."""

    notes: list[str]
    columns: list[answers.Column]

    @classmethod
    def _of(cls, text: str, told: dict[str, Any]) -> Proposal:
        proposal = cls(text)
        proposal.notes, proposal.columns = told["notes"], told["columns"]
        return proposal


class Workspace(Requests, Exports):
    """A workspace in a folder. Nothing is read or made before it is asked for something.

    Answers are dictionaries with the names of docs/JSON.md. Many threads may use one workspace, and
    so may other processes and the command line meanwhile: an answer that comes after a deletion is
    in effect knows nothing of what was deleted.

    Args:
        path: the folder.
        threads: how many threads work; by default as many as the machine has cores.
        wait: whether to wait for another process that writes, instead of `RetryError`.
        temporary: the folder goes when the process does, so nothing waits until it is safe from a
            power failure.
        learner: a learner of your own that is to be trained (docs/OWN-MODELS.md): a global of a
            file, such as a `sisa.torch.TorchLearner`, or the text ``FILE.py:NAME`` that names one.
            It is written into ``sisa.toml``, and needed for nothing else.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        threads: int | None = None,
        wait: bool = False,
        temporary: bool = False,
        learner: Any = None,
    ) -> None:
        self._given = (os.path.abspath(path), threads, wait, temporary)
        self._learner = None if learner is None else _own.table(learner, self._given[0])
        self._engine = _sisa.Engine(*self._given)

    @property
    def path(self) -> str:
        """The folder."""
        return self._given[0]

    def __repr__(self) -> str:
        return f"sisa.Workspace({self.path!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _open, self._given

    # Tables in, models out.

    def propose(self, table: Table, **settings: Any) -> Proposal:
        """A configuration for a table: what its columns are, whom it is about, which learner suits it. Nothing is written.

        Settings that are asked for are written in it: label, subject, record, learner, shards,
        slices, holdout, epochs, schedule, checkpoints, rate.
        """
        with Listener(None) as listener:
            text, told = self._engine.propose(parts(table), asked(settings), listener)
        return Proposal._of(text, json.loads(told))

    def train(
        self,
        table: Table | None = None,
        *,
        config: str | None = None,
        seed: int | None = None,
        key: str | os.PathLike[str] | None = None,
        fresh: bool = False,
        progress: Progress = None,
        **settings: Any,
    ) -> answers.Training:
        """Imports a table where there are no records yet, and trains what is missing of the model.

        Without a table it goes on with the records that are there: after an interruption, a
        deferred deletion, or a change of ``sisa.toml``.

        Args:
            table: a DataFrame, a table of Arrow, `{name: array}`, a matrix of NumPy, or paths of
                files.
            config: the text of ``sisa.toml``, to be written into the workspace; one that is there
                and differs is left alone, and the call refused. Without it and without a file one
                is proposed, and written.
            seed: derives the keys from a number, so that others can do the same again. Not for
                people's data.
            key: derives the keys from a key file.
            fresh: starts a new generation from the table, beside the one that serves until the new
                one is whole.
            progress: see `Progress`.
            settings: those of `propose`, and ``no_ids``.

        Raises:
            DivergedError: a shard came to numbers that are not finite.
            InputError: a cell, a column or a setting is wrong.
        """
        rows = parts(table)
        written = self._written(rows, config, settings)
        return self._train_parts(rows, written, seed, key, fresh, progress, settings)

    def _written(self, rows: list[Part], config: str | os.PathLike[str] | None, settings: dict[str, Any]) -> tuple[str, bool] | None:
        """The configuration to be written, with the learner of one's own if there is one."""
        if self._learner is None:
            return None if config is None else (str(config), False)
        file = os.path.join(self.path, "sisa.toml")
        if config is None and os.path.exists(file):
            with open(file, encoding="utf-8") as there:
                if not _own.has(there.read(), self._learner):
                    raise InputError(f"{file} has another learner than this workspace was opened with; write into it\n{self._learner}")
            return None
        if config is None:
            # With the shards and slices that suit what is trained in passes.
            with Listener(None) as listener:
                config, _ = self._engine.propose(rows, asked({**settings, "learner": "mlp"}), listener)
            settings.clear()
        return _own.put(str(config), self._learner), False

    def _train_parts(
        self,
        table: list[Part],
        config: tuple[str, bool] | None,
        seed: int | None,
        key: str | os.PathLike[str] | None,
        fresh: bool,
        progress: Progress,
        settings: dict[str, Any],
    ) -> answers.Training:
        with Listener(progress) as listener:
            text = self._engine.train(table, begun(config, settings, seed, key, fresh), listener)
        told = {line["type"]: line for line in lines(text)}
        answer = {**told["trained"], "schema": told.get("schema"), "evaluated": told.get("evaluated")}
        return cast("answers.Training", converged(answer))

    # Shards trained elsewhere (`sisa.distributed`).

    def import_table(
        self,
        table: Table | None = None,
        *,
        config: str | os.PathLike[str] | None = None,
        seed: int | None = None,
        key: str | os.PathLike[str] | None = None,
        fresh: bool = False,
        progress: Progress = None,
        **settings: Any,
    ) -> answers.Importing:
        """Imports a table and freezes the recipe, as `train` begins, and trains nothing. The arguments are those of `train`."""
        rows = parts(table)
        written = self._written(rows, config, settings)
        with Listener(progress) as listener:
            text = self._engine.import_table(rows, begun(written, settings, seed, key, fresh), listener)
        told = {line["type"]: line for line in lines(text)}
        return cast("answers.Importing", {**told["imported"], "schema": told.get("schema")})

    def to_train(self, *, serving: bool = False) -> list[int]:
        """The shards of which steps are missing: of the newest model, or of the one in service."""
        with Listener(None) as listener:
            return self._engine.to_train(serving, listener)

    def pack(self, shard: int, *, serving: bool = False) -> bytes | None:
        """What a shard lacks, as bytes that `sisa.distributed.train_bundle` trains anywhere; None if nothing is missing.

        They hold the shard's rows, and neither key of the workspace: keep them no longer than you
        need them.
        """
        with Listener(None) as listener:
            return self._engine.pack(shard, serving, listener)

    def unpack(self, checkpoints: bytes) -> answers.Unpacked:
        """Puts checkpoints in place that were trained elsewhere, as far as they follow from the slices as they are now."""
        with Listener(None) as listener:
            return cast("answers.Unpacked", json.loads(self._engine.unpack(checkpoints, listener)))

    def predict(self, table: Table, *, progress: Progress = None) -> np.ndarray[Any, Any]:
        """The answer for each row: the name of its class, or its number."""
        classes, scores, decided, _ = self._scores(table, progress)
        return np.array(classes, dtype=object)[decided] if classes else scores[:, 0]

    def predict_proba(self, table: Table, *, progress: Progress = None) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The probability of each class for each row, in the order of `classes`."""
        classes, scores, _, _ = self._scores(table, progress)
        if not classes:
            raise TypeError("what is learnt is a number, which has no probabilities; use predict")
        return scores

    def _scores(
        self, table: Table, progress: Progress
    ) -> tuple[list[str], np.ndarray[Any, np.dtype[np.float32]], np.ndarray[Any, np.dtype[np.uint32]], str]:
        return self._scores_of(parts(table), progress)

    def _scores_of(
        self, table: list[Part], progress: Progress = None
    ) -> tuple[list[str], np.ndarray[Any, np.dtype[np.float32]], np.ndarray[Any, np.dtype[np.uint32]], str]:
        with Listener(progress) as listener:
            return self._engine.scores(table, listener)

    def _scores_of_nobody(
        self, table: Table
    ) -> tuple[list[str], np.ndarray[Any, np.dtype[np.float32]], np.ndarray[Any, np.dtype[np.uint32]], str]:
        """Refuses a table that says whom its rows are about."""
        with Listener(None) as listener:
            return self._engine.scores_of_nobody(parts(table), listener)

    def _advise(
        self, config: str, columns: list[str], sizes: tuple[int, int], kind: str | None, listener: Listener
    ) -> answers.RecommendedLearner:
        return cast("answers.RecommendedLearner", json.loads(self._engine.advise(config, columns, sizes, kind, listener)))

    @property
    def classes(self) -> list[str]:
        """The names of the classes in the order of their probabilities; none where a number is learnt."""
        return self._scores([], None)[0]

    def evaluate(self, table: Table | None = None, *, progress: Progress = None) -> answers.Evaluated:
        """How good the answers are: on a table with labels, or on the part that was held out."""
        with Listener(progress) as listener:
            return cast("answers.Evaluated", json.loads(self._engine.evaluate(parts(table), listener)))

    # What is trained again, and what is looked at.

    def repair(self, source: Table | None = None, *, drop_slice: bool = False, progress: Progress = None) -> answers.Repaired:
        """Checks every checkpoint and trains what is damaged or missing; so also what deferred deletions left.

        Damaged slices are first written again from the `source` that was imported, or with
        `drop_slice` given up.
        """
        with Listener(progress) as listener:
            return cast("answers.Repaired", converged(json.loads(self._engine.repair(parts(source), drop_slice, listener))))

    def verify(
        self,
        *,
        retrain: bool = False,
        sample: int | None = None,
        receipts: Iterable[str | os.PathLike[str]] = (),
        progress: Progress = None,
    ) -> answers.Verified:
        """Looks at everything again: `same` says whether all is as the ledger says.

        With `retrain` everything, or a `sample` of so many shards, is trained again in a scratch
        folder and every byte compared.
        """
        with Listener(progress) as listener:
            told = self._engine.verify(retrain, sample, [os.fspath(path) for path in receipts], listener)
        return cast("answers.Verified", json.loads(told))

    def migrate(
        self, *, seed: int | None = None, key: str | os.PathLike[str] | None = None, progress: Progress = None
    ) -> answers.Migrated:
        """Brings the records that are there under the columns, shards and slices that ``sisa.toml`` declares now.

        No source is needed: what is new is missing in them, and what they do not tell is refused by
        name (docs/APPEND.md). What serves goes on serving until the new generation is whole.
        """
        with Listener(progress) as listener:
            return cast("answers.Migrated", converged(json.loads(self._engine.migrate(seed, key, listener))))

    def rekey(
        self, *, seed: int | None = None, key: str | os.PathLike[str] | None = None, progress: Progress = None
    ) -> answers.Rekeyed:
        """Trains everything anew under a fresh key, beside what serves."""
        with Listener(progress) as listener:
            return cast("answers.Rekeyed", json.loads(self._engine.rekey(seed, key, listener)))

    # What is there.

    def status(self) -> answers.Status:
        """What is there, what serves, what is missing."""
        with Listener(None) as listener:
            return cast("answers.Status", json.loads(self._engine.status(listener)))

    def log(self) -> list[answers.Request]:
        """The requests in the ledger, in order."""
        return cast("list[answers.Request]", [line for line in self._log() if line["type"] == "request"])

    def rekey_due(self) -> answers.RekeyDue | None:
        """Whether so much was deleted under one key that a fresh one is due."""
        due = [line for line in self._log() if line["type"] == "rekey_due"]
        return cast("answers.RekeyDue", due[0]) if due else None

    def _log(self) -> list[dict[str, Any]]:
        with Listener(None) as listener:
            return lines(self._engine.log(listener))

    def receipt(self, request_id: str | None = None, *, sign: str | os.PathLike[str] | None = None) -> dict[str, Any]:
        """The receipt of a request, or of the last one, as docs/RECEIPT.md describes it; signed with a key file, in its envelope."""
        with Listener(None) as listener:
            told = json.loads(self._engine.receipt(request_id, sign, listener))
        return cast("dict[str, Any]", told if sign is not None else told["receipt"])

    def check_receipt(self, file: str | os.PathLike[str], public: str | os.PathLike[str]) -> dict[str, Any]:
        """What a signed receipt says, if its signature holds under a public key."""
        with Listener(None) as listener:
            return cast("dict[str, Any]", json.loads(self._engine.check_receipt(file, public, listener))["receipt"])

    def keygen(self, file: str | os.PathLike[str]) -> str:
        """Makes a pair of keys to sign receipts with. Returns the path of the public one."""
        with Listener(None) as listener:
            return cast("str", json.loads(self._engine.keygen(file, listener))["public"])

    def plan(
        self,
        table: Table | None = None,
        *,
        sizes: tuple[int, int] | None = None,
        requests: int = 8,
        pilot: bool = True,
        disk: int | None = None,
        time: float | None = None,
        least_records: int = 1000,
        shard_counts: Iterable[int] = (),
        slice_counts: Iterable[int] = (),
        batches: tuple[int, float] | None = None,
        progress: Progress = None,
        **settings: Any,
    ) -> answers.Planning:
        """What S and R would cost, before anything is trained.

        Args:
            table: to look at; without it what the configuration names.
            sizes: records and subjects, instead of counting them.
            requests: deletions that are repaired together.
            pilot: whether to measure the speed of this machine.
            disk: bytes that checkpoints may take.
            time: seconds that the repair may take.
            least_records: that a shard should have.
            shard_counts, slice_counts: candidates; default ones without them.
            batches: how many will be appended, and what each brings, as a share of the records.
        """
        planned = {
            "sizes": sizes,
            "requests": requests,
            "pilot": pilot,
            "disk": disk,
            "time": time,
            "least_records": least_records,
            "shards": list(shard_counts),
            "slices": list(slice_counts),
            "batches": batches,
        }
        with Listener(progress) as listener:
            *candidates, plan = lines(self._engine.plan(parts(table), asked(settings), planned, listener))
        return cast("answers.Planning", {**plan, "candidates": candidates})

    def id_columns(self) -> tuple[str | None, list[str]]:
        """The columns of ids: the subject's, if there is one, and those that name a record."""
        with Listener(None) as listener:
            return self._engine.id_columns(listener)


def _open(path: str, threads: int | None, wait: bool, temporary: bool) -> Workspace:
    return Workspace(path, threads=threads, wait=wait, temporary=temporary)
