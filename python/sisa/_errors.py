"""Exceptions, and the words of this package for what can be done about them."""

from __future__ import annotations

import json
from typing import Any


class SisaError(Exception):
    """Why a call stopped. What was durable before stays so.

    ``exit_code`` is what the command line would end with, ``remedies`` what can be done, as in
    docs/JSON.md under ``error``.
    """

    exit_code = 3

    def __init__(self, message: str, remedies: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.remedies = remedies or []

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.remedies)


class InputError(SisaError, ValueError):
    """The input or the settings are wrong."""

    exit_code = 3


class RetryError(SisaError):
    """Another process was at work; the same call may go through later."""

    exit_code = 5


class DamageError(SisaError):
    """Files of the workspace are damaged."""

    exit_code = 6


class DiskError(SisaError, OSError):
    """The disk refused."""

    exit_code = 7

    # OSError would take its arguments for an error number and a text.
    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class DivergedError(SisaError):
    """A step came to a number that is not finite.

    Its shard serves its last clean step; ``answer`` is what the call would have returned.
    """

    exit_code = 8

    def __init__(self, message: str, remedies: list[dict[str, Any]] | None = None, answer: Any = None) -> None:
        super().__init__(message, remedies)
        self.answer = answer

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.remedies, self.answer)


class NotReadyError(SisaError):
    """There is nothing to answer with until training has run."""

    exit_code = 9


class ExactnessWarning(UserWarning):
    """Something that learnt from everyone stands before the model, and a deletion does not undo what it learnt."""


# As people name them.
for _public in (SisaError, InputError, RetryError, DamageError, DiskError, DivergedError, NotReadyError, ExactnessWarning):
    _public.__module__ = "sisa"

_KINDS: dict[str | None, type[SisaError]] = {
    "input": InputError,
    "retry": RetryError,
    "damage": DamageError,
    "disk": DiskError,
    "not_ready": NotReadyError,
}

_WORDS = {
    "train": "`train()` goes on with the records that are there",
    "import": "`train(table)` imports a table and trains",
    "train_fresh": "`train(table, fresh=True)` starts a new generation from it",
    "migrate": "`migrate()` brings the records that are there under it",
    "propose": "`propose(table)` proposes one",
    "name_label": "`label=` says which column is the label",
    "name_id_columns": "`subject=` names whom a record is about and `record=` what names it; with `no_ids=True` it goes on without, "
    "and records can be deleted by what they hold (`delete(rows=table)`)",
    "name_ids": "`subjects=`, `records=` or `rows=` name them",
    "name_subjects": "`subjects=` names them",
    "name_records": "`records=` names them",
    "name_rows": "`rows=` names records by what they hold",
    "predict": "`predict(table)` answers without a label",
    "export_onnx": "`export(path)` writes trees too, with all that is needed to answer",
    "evaluate_source": "`evaluate(table)` evaluates on a table",
    "log": "`log()` lists the requests",
    "repair": "`repair()` brings what was accepted into effect and trains what is missing",
    "repair_from": "`repair(source=table)` writes damaged slices again from the table they came from",
    "drop_slice": "`repair(drop_slice=True)` gives the records of damaged slices up",
    "name_network": "`learner='mlp'` does it with a network",
    "name_linear": "`learner='linear'` does it with a learner whose loss is convex",
    "keygen": "`keygen(path)` makes a pair of keys",
    "retrain": "`verify(retrain=True)` trains everything again and compares",
    "wait": "with `Workspace(path, wait=True)` a call waits for the other one",
    "pack_again": "`pack(shard)` packs the shard's work again",
    "run_again": "call it again to go on",
    "report": "please report this",
}


def advice(remedies: list[dict[str, Any]]) -> list[str]:
    """Clauses that say how it is done, for those remedies that this package has words for."""
    return [_WORDS[remedy["do"]] for remedy in remedies if remedy["do"] in _WORDS]


def of(line: str) -> BaseException:
    """The exception for an ``error`` of docs/JSON.md."""
    told = json.loads(line)
    if told["kind"] == "interrupted":
        return KeyboardInterrupt(told["message"])
    message = "\n  ".join([told["message"], *advice(told["remedies"])])
    return _KINDS.get(told["kind"], SisaError)(message, told["remedies"])
