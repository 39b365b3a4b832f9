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

A site that says so by name also lends its *constituents* for a time, from which the aggregator
answers by itself (`Site.constituents`, `Aggregator.borrow`), or gives away its *sums*
(`Site.sums`, `Aggregator.add`), which add up to the model of all records, bit for bit, and reveal
more than anything else here.

How messages travel is the caller's: they are dictionaries of text, numbers, bytes and one array.
There is no message that deletes, and none that holds an id: a deletion is asked for at the site
(`Site.forget`, or its service), by whoever may.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any, Literal, NamedTuple, TypedDict, TypeVar

import numpy as np

from ._calls import Listener
from ._errors import InputError, RetryError
from ._lent import Lent, add_sums
from ._tables import Table
from ._workspace import Workspace

__all__ = ["Aggregator", "Answer", "Held", "Loan", "Site", "SiteSums", "Together"]

Told = TypeVar("Told", "Answer", "SiteSums")


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


class Loan(TypedDict):
    """Constituents that a site lends."""

    site: str
    epoch: str
    #: For how long, from when they were asked for.
    seconds: float
    #: One for each shard that can answer.
    constituents: list[bytes]


class SiteSums(TypedDict):
    """What the rows of a site add up to."""

    site: str
    epoch: str
    sums: bytes


class Held(NamedTuple):
    """A constituent that an aggregator holds."""

    site: str
    shard: int
    step: int
    #: What a receipt would name, to end the lease.
    lineage: str
    #: When the lease ends, by the aggregator's clock.
    until: float


class Site:
    """A site: its workspace answers, and never leaves.

    Args:
        name: by which others know the site.
        ws: its workspace.
        also: what it gives beside scores: `constituents`, `sums`. Read docs/FEDERATED.md first.
        lease: for how many seconds constituents are lent.
    """

    def __init__(
        self, name: str, ws: Workspace, *, also: Collection[Literal["constituents", "sums"]] = (), lease: float = 3600
    ) -> None:
        unknown = sorted(set(also) - {"constituents", "sums"})
        if isinstance(also, str) or unknown:
            raise ValueError(f"also: {also!r}; it is a list of `constituents` and `sums`, or empty")
        if not lease > 0:
            raise ValueError(f"lease: {lease}; it is a number of seconds above 0")
        self.name, self.ws, self.also, self.lease = name, ws, frozenset(also), lease

    def scores(self, table: Table) -> Answer:
        """The scores of the rows of a table, as of one moment.

        Raises:
            InputError: a column says whom the rows are about; leave it out.
            RetryError: the workspace moved on again and again meanwhile.
        """
        for _ in range(10):
            classes, scores, _, epoch = self.ws._scores_of_nobody(table)
            with Listener(None) as listener:
                weight, still = self.ws._engine.weight(listener)
            if still == epoch:
                return Answer(site=self.name, classes=classes, scores=scores, weight=weight, epoch=epoch)
        raise RetryError(f"site {self.name}: deletions came faster than an answer; ask again")

    def constituents(self) -> Loan:
        """The constituents in service, for as long as `lease` says. They hold neither rows nor keys.

        Raises:
            InputError: the site does not lend, or states of its learner hold rows or are sums of
                them.
        """
        self._gives("constituents")
        with Listener(None) as listener:
            constituents, epoch = self.ws._engine.constituents(listener)
        return Loan(site=self.name, epoch=epoch, seconds=float(self.lease), constituents=constituents)

    def sums(self) -> SiteSums:
        """What the rows in service add up to, for learners whose states do (`ridge` without random features).

        Whoever sees them before and after one deletion can read all features of what went.

        Raises:
            InputError: the site gives none, or states of its learner do not add up with others'.
        """
        self._gives("sums")
        with Listener(None) as listener:
            sums, epoch = self.ws._engine.sums(listener)
        return SiteSums(site=self.name, epoch=epoch, sums=sums)

    def forget(self, subjects: Any, *, request_id: str | None = None, sign: str | os.PathLike[str] | None = None) -> dict[str, Any]:
        """Deletes people's records here, and returns what an aggregator may see of it: the receipt, which names nobody.

        Args:
            subjects: ids of whom the records are about.
            request_id: the name of the request.
            sign: a key file, for a signed receipt in its envelope.
        """
        told = self.ws.delete(subjects, request_id=request_id)
        return self.ws.receipt(told["request"], sign=sign)

    def _gives(self, what: Literal["constituents", "sums"]) -> None:
        if what not in self.also:
            raise InputError(f"site {self.name} gives no {what}; it would by `Site(.., also=[\"{what}\"])`, and docs/FEDERATED.md says what they reveal")


class Together:
    """One model of the rows of several sites, until one of them deletes.

    Attributes:
        sums: its bytes: those of one workspace with all rows.
        sites: whose rows they are.
    """

    def __init__(self, sums: bytes, parts: list[SiteSums], current: Callable[[Iterable[SiteSums]], object]) -> None:
        self.sums, self.sites = sums, [part["site"] for part in parts]
        self._epochs = [SiteSums(site=part["site"], epoch=part["epoch"], sums=b"") for part in parts]
        self._current, self._lent = current, Lent.of_sums(sums)

    def scores(self, table: Table) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Scores of the rows of a table, rows by classes.

        Raises:
            RetryError: the aggregator took a receipt of one of the sites since; add up anew.
        """
        self._current(self._epochs)
        return self._lent.scores(table)[1]


class _Borrowed:
    """The constituents of a site that are left."""

    def __init__(self, loan: Loan, until: float) -> None:
        self.until = until
        self._bytes = {member.lineage: bytes for bytes in loan["constituents"] for member in Lent([bytes]).members}
        self.lent = Lent(loan["constituents"])

    def without(self, lineages: Collection[str]) -> bool:
        """Drops some; returns whether any is left."""
        left = {lineage: bytes for lineage, bytes in self._bytes.items() if lineage not in lineages}
        if left and len(left) < len(self._bytes):
            self.lent = Lent(list(left.values()))
        self._bytes = left
        return bool(left)


class Aggregator:
    """Brings together what sites say. It sees scores and receipts; and what sites lend or give away by name.

    Args:
        clock: seconds that only grow; leases end by it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._least: dict[str, int] = {}
        self._revoked: dict[str, set[str]] = {}
        self._borrowed: dict[str, _Borrowed] = {}

    def take(self, site: str, receipt: dict[str, Any]) -> None:
        """Takes note of a receipt (docs/RECEIPT.md) of a site: answers that stand on less of its ledger do not count any more, and what was
        borrowed of the lineages that it names is dropped, and never used again."""
        self._least[site] = max(self._least.get(site, 0), int(receipt["ledger_sequence"]))
        revoked = self._revoked.setdefault(site, set())
        revoked |= _revoked(receipt)
        if site in self._borrowed and not self._borrowed[site].without(revoked):
            del self._borrowed[site]

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
        return _mean(self._current(_of(answers, without)))

    # What sites lend.

    def borrow(self, loan: Loan, asked: float | None = None) -> None:
        """Holds what a site lends in the place of what it lent before, until the lease ends or a receipt names it.

        Args:
            loan: of `Site.constituents`.
            asked: when it was asked for, by `clock`: the lease runs from then. Now, without it.

        Raises:
            InputError: its bytes are damaged, or no constituents of one site.
            RetryError: it is older than a receipt of the site, or its time is over; borrow again.
        """
        site, now = loan["site"], self.clock()
        until = (now if asked is None else asked) + loan["seconds"]
        if until <= now:
            raise RetryError(f"what site {site} lent came after its time; borrow again")
        self._check(site, loan["epoch"])
        borrowed = _Borrowed(loan, until)
        # A state that was revoked never comes back, whatever a site says of its ledger.
        if borrowed.without(self._revoked.get(site, ())):
            self._borrowed[site] = borrowed
        else:
            self._borrowed.pop(site, None)
            raise RetryError(f"all that site {site} lent was revoked by a receipt; borrow again")

    def held(self) -> list[Held]:
        """What is borrowed now, by site and shard."""
        self._expire()
        return [
            Held(site, member.shard, member.step, member.lineage, borrowed.until)
            for site, borrowed in sorted(self._borrowed.items())
            for member in borrowed.lent.members
        ]

    def give_back(self, site: str) -> None:
        """Drops what was borrowed of a site."""
        self._borrowed.pop(site, None)

    def scores(self, table: Table, without: Collection[str] = ()) -> np.ndarray[Any, np.dtype[np.float64]]:
        """As `combine`, by what was borrowed: to the bit what the sites would answer. No site hears of the question.

        Raises:
            RetryError: nothing is borrowed, or all leases have ended.
        """
        self._expire()
        if not self._borrowed:
            raise RetryError("nothing is borrowed, or all leases have ended; borrow again")
        used = {site: borrowed.lent for site, borrowed in self._borrowed.items() if site not in without}
        answers = []
        for site, lent in used.items():
            classes, scores = lent.scores(table)
            weight = sum(member.weight for member in lent.members)
            answers.append(Answer(site=site, classes=classes, scores=scores, weight=weight, epoch=""))
        # A lease may have ended meanwhile, also by a receipt that another thread took.
        self._expire()
        if any(site not in self._borrowed or self._borrowed[site].lent is not lent for site, lent in used.items()):
            raise RetryError("a lease ended while it was answered; ask again")
        return _mean(_of(answers, ()))

    def _expire(self) -> None:
        now = self.clock()
        for site in [site for site, borrowed in self._borrowed.items() if borrowed.until <= now]:
            del self._borrowed[site]

    # Sums.

    def add(self, parts: Iterable[SiteSums], without: Collection[str] = ()) -> Together:
        """One model of the rows of all sites but those `without`: to the byte that of one workspace with all these rows.

        Raises:
            InputError: the sites do not declare their rows, or their learner, alike.
            RetryError: a part is older than a receipt of its site; ask the site again.
            ValueError: a site gives twice, or none is left.
        """
        counted = self._current(_of(parts, without))
        return Together(add_sums([part["sums"] for part in counted]), counted, self._current)

    def _current(self, told: Iterable[Told]) -> list[Told]:
        told = list(told)
        for one in told:
            self._check(one["site"], one["epoch"])
        return told

    def _check(self, site: str, epoch: str) -> None:
        if int(epoch.rsplit(".", 1)[1]) < self._least.get(site, 0):
            raise RetryError(f"site {site} has deleted since it gave this answer; ask it again")


def _revoked(receipt: dict[str, Any]) -> set[str]:
    """The lineage keys that a receipt takes out of service: of checkpoints that were purged, and of shards that were trained again."""
    purged = {name.rsplit("-", 1)[-1].removesuffix(".ckpt") for name in receipt["purged"]}
    return purged | {shard["before"] for shard in receipt["shards"] or () if shard["before"] and shard["before"] != shard["after"]}


def _of(told: Iterable[Told], without: Collection[str]) -> list[Told]:
    """Those of the sites that count, by the name of the site."""
    counted = sorted((one for one in told if one["site"] not in without), key=lambda one: one["site"])
    if not counted:
        raise ValueError("no site is left to answer")
    for before, after in zip(counted, counted[1:], strict=False):
        if before["site"] == after["site"]:
            raise ValueError(f"site {after['site']} answers twice")
    return counted


def _mean(answers: list[Answer]) -> np.ndarray[Any, np.dtype[np.float64]]:
    first, weights = answers[0], 0.0
    total = np.zeros(first["scores"].shape, dtype=np.float64)
    for answer in answers:
        if (answer["classes"], answer["scores"].shape) != (first["classes"], first["scores"].shape):
            raise ValueError(f"site {answer['site']} does not answer what site {first['site']} does: other rows, or other classes")
        total += answer["weight"] * answer["scores"].astype(np.float64)
        weights += answer["weight"]
    return total / weights
