"""Sites that may not pool their records, answering together (docs/FEDERATED.md).

Each site has a workspace and keys of its own, and nothing that was trained at one site ever enters
another: a site is a group of shards. An aggregator asks sites for *scores* and takes the mean over
all their constituents. So a person is forgotten by the one site that knows them, exactly; and a
site is forgotten by leaving it out, which is exactly what was without it.

    site = federated.Site("north", sisa.Workspace("north"))         # at the site
    answer = site.scores(table)                                     # travels

    aggregator = federated.Aggregator()                             # elsewhere
    scores = aggregator.combine([north, south, west])               # rows by classes
    aggregator.take("north", receipt)                               # from then on no older answer counts

How messages travel is the caller's: an answer is a dictionary of text, numbers and one array. There
is no message that deletes, and none that holds an id: a deletion is asked for at the site
(`Workspace.delete`, or its service), by whoever may.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, TypedDict

import numpy as np

from ._calls import Listener
from ._errors import RetryError
from ._tables import Table
from ._workspace import Workspace

__all__ = ["Aggregator", "Answer", "Site"]


class Answer(TypedDict):
    """What a site says of some rows."""

    site: str
    #: The names of the classes, in order; none where a number is learnt.
    classes: list[str]
    #: Rows by classes, or by one: the mean over the site's constituents.
    scores: np.ndarray[Any, np.dtype[np.float32]]
    #: What the votes of the constituents weigh together: their number, once all are whole.
    weight: float
    #: What the answer stands on: generation, recipe and ledger entry.
    epoch: str


class Site:
    """A site: its workspace answers, and never leaves."""

    def __init__(self, name: str, ws: Workspace) -> None:
        self.name, self.ws = name, ws

    def scores(self, table: Table) -> Answer:
        """The scores of the rows of a table, as of one moment.

        Raises:
            RetryError: the workspace moved on again and again meanwhile.
        """
        for _ in range(10):
            classes, scores, _, epoch = self.ws._scores(table, None)
            with Listener(None) as listener:
                weight, still = self.ws._engine.weight(listener)
            if still == epoch:
                return Answer(site=self.name, classes=classes, scores=scores, weight=weight, epoch=epoch)
        raise RetryError(f"site {self.name}: deletions came faster than an answer; ask again")


class Aggregator:
    """Brings the answers of sites together. It sees scores and receipts, and holds nothing else."""

    def __init__(self) -> None:
        self._least: dict[str, int] = {}

    def take(self, site: str, receipt: dict[str, Any]) -> None:
        """Takes note of a receipt (docs/RECEIPT.md) of a site: answers that stand on less of its ledger do not count any more."""
        self._least[site] = max(self._least.get(site, 0), int(receipt["ledger_sequence"]))

    def combine(self, answers: Iterable[Answer], without: Collection[str] = ()) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The mean over all constituents of all sites but those `without`, rows by classes; in the order of the sites' names, so that the same
        answers give the same bits.

        Constituents count, not rows: a row count before and after a deletion would tell who asked
        for it.

        Raises:
            RetryError: an answer is older than a receipt of its site; ask the site again.
            ValueError: the sites do not answer the same question, or one answers twice, or none is
                left.
        """
        counted = sorted((answer for answer in answers if answer["site"] not in without), key=lambda answer: answer["site"])
        if not counted:
            raise ValueError("no site is left to answer")
        total = np.zeros(counted[0]["scores"].shape, dtype=np.float64)
        weights = 0.0
        before = None
        for answer in counted:
            site, first = answer["site"], counted[0]
            if site == before:
                raise ValueError(f"site {site} answers twice")
            if (answer["classes"], answer["scores"].shape) != (first["classes"], first["scores"].shape):
                raise ValueError(f"site {site} does not answer what site {first['site']} does: other rows, or other classes")
            if int(answer["epoch"].rsplit(".", 1)[1]) < self._least.get(site, 0):
                raise RetryError(f"site {site} has deleted since it gave this answer; ask it again")
            total += answer["weight"] * answer["scores"].astype(np.float64)
            weights += answer["weight"]
            before = site
        return total / weights
