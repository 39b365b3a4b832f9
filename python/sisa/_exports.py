"""What leaves a workspace: models in open formats, and a card of what is known of one."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Literal, cast

from ._calls import Listener, Progress

if TYPE_CHECKING:
    from . import _sisa, answers


class Card(str):
    """A model card in Markdown, with the same as a dictionary."""

    facts: answers.Card


class Exports:
    """The part of `Workspace` that hands models on."""

    _engine: _sisa.Engine

    def export(
        self, path: str | os.PathLike[str], format: Literal["onnx", "safetensors"] = "onnx", *, progress: Progress = None
    ) -> answers.Exported:
        """Writes what is in service to a file that other programs read, over one that is there (docs/EXPORT.md).

        No deletion reaches this copy: the ledger has its digest, and every later deletion of a
        person whom it saw names it.

        Args:
            path: the file.
            format: ``"onnx"`` for a graph that answers, ``"safetensors"`` for the weights of a
                learner that has some.
            progress: see `Progress`.

        Raises:
            InputError: a column or the learner has no such form.
        """
        with Listener(progress) as listener:
            return cast("answers.Exported", json.loads(self._engine.export(os.fspath(path), format, listener)))

    def export_onnx(self, path: str | os.PathLike[str], *, progress: Progress = None) -> answers.Exported:
        """`export` of an ONNX graph."""
        return self.export(path, "onnx", progress=progress)

    def card(self) -> Card:
        """What is known of the model in service: data as declared, settings, quality on what was held out, deletions, copies."""
        with Listener(None) as listener:
            text, facts = self._engine.card(listener)
        card = Card(text)
        card.facts = json.loads(facts)
        return card
