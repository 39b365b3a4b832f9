"""Sites and an aggregator of `sisa.federated` over Flower (docs/FEDERATED.md): `pip install 'sisa-unlearn[flower]'`.

    # the app of a site                                  # the app of the aggregator
    from sisa import Workspace, federated, flower        from sisa import federated, flower

    def site(context):                                   @app.main()
        name = context.node_config["name"]               def main(grid, context):
        ws = Workspace(context.node_config["workspace"])     answers = flower.ask(grid, table)
        return federated.Site(name, ws)                      scores = federated.Aggregator().combine(answers)

    app = flower.client_app(site)

Three messages go to sites. `query.scores`: rows out, an answer back. `query.constituents` and
`query.sums`: to sites that say by name that they lend or give them (`federated.Site(.., also=..)`);
others refuse. There is none that deletes, so a deletion can't be broadcast, which would tell every
site whom it is about.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .federated import Aggregator, Answer, Loan, Site, SiteSums

try:
    from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict  # pyright: ignore[reportMissingImports]
    from flwr.clientapp import ClientApp  # pyright: ignore[reportMissingImports]
    from flwr.serverapp import Grid  # pyright: ignore[reportMissingImports]
except ImportError as error:
    raise ImportError("Flower is not installed: pip install 'sisa-unlearn[flower]'") from error

__all__ = ["ask", "borrow", "client_app", "sums"]


def client_app(site: Callable[[Context], Site]) -> ClientApp:
    """The app of a site, which answers `query.scores`, and `query.constituents` and `query.sums` if the site gives them; nothing else.

    Args:
        site: opens the site of a node, from the node's own configuration.
    """

    def scores(message: Message, context: Context) -> Message:
        """Rows, as the bytes of a file that `Workspace.predict` reads, and the end of its name."""
        asked: Any = message.content["ask"]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "questions" + os.path.basename(str(asked["suffix"])))
            with open(path, "wb") as file:
                file.write(asked["table"])
            answer = site(context).scores(path)
        about: dict[str, Any] = {key: value for key, value in answer.items() if key != "scores"}
        records: dict[str, Any] = {"about": ConfigRecord(about), "scores": ArrayRecord({"scores": Array(answer["scores"])})}
        return Message(RecordDict(records), reply_to=message)

    def constituents(message: Message, context: Context) -> Message:
        return _told(dict(site(context).constituents()), message)

    def sums(message: Message, context: Context) -> Message:
        return _told(dict(site(context).sums()), message)

    app = ClientApp()
    app.query("scores")(scores)
    app.query("constituents")(constituents)
    app.query("sums")(sums)
    return app


def _told(about: dict[str, Any], message: Message) -> Message:
    return Message(RecordDict({"about": ConfigRecord(about)}), reply_to=message)


def ask(grid: Grid, table: bytes, *, suffix: str = ".csv", nodes: Iterable[int] | None = None, timeout: float = 600) -> list[Answer]:
    """The answers of sites to the rows of a table, by the name of the site.

    Args:
        grid: of the server's app.
        table: the bytes of a file with the rows, without columns of ids: sites refuse those.
        suffix: the end of the file's name, which says what it is: `.csv`, `.parquet`, ..
        nodes: whom to ask; all without it.
        timeout: seconds until an answer counts as lacking.

    Raises:
        RuntimeError: a site did not answer.
    """
    asked = RecordDict({"ask": ConfigRecord({"table": table, "suffix": suffix})})
    return sorted(map(_answer, _replies(grid, "scores", asked, nodes, timeout)), key=lambda answer: answer["site"])


def borrow(grid: Grid, aggregator: Aggregator, *, nodes: Iterable[int] | None = None, timeout: float = 600) -> list[str]:
    """Borrows the constituents of sites for an aggregator, from the moment of asking on; the names of the sites.

    Raises:
        RuntimeError: a site did not answer, or lends nothing.
        RetryError: what a site lent was older than a receipt of it.
    """
    asked = aggregator.clock()
    abouts = [_about(reply) for reply in _replies(grid, "constituents", RecordDict(), nodes, timeout)]
    loans = [
        Loan(site=str(about["site"]), epoch=str(about["epoch"]), seconds=float(about["seconds"]), constituents=list(about["constituents"]))
        for about in abouts
    ]
    for loan in loans:
        aggregator.borrow(loan, asked)
    return sorted(loan["site"] for loan in loans)


def sums(grid: Grid, *, nodes: Iterable[int] | None = None, timeout: float = 600) -> list[SiteSums]:
    """The sums of sites, for `Aggregator.add`.

    Raises:
        RuntimeError: a site did not answer, or gives none.
    """
    abouts = [_about(reply) for reply in _replies(grid, "sums", RecordDict(), nodes, timeout)]
    told = [SiteSums(site=str(about["site"]), epoch=str(about["epoch"]), sums=bytes(about["sums"])) for about in abouts]
    return sorted(told, key=lambda one: one["site"])


def _replies(grid: Grid, query: str, asked: RecordDict, nodes: Iterable[int] | None, timeout: float) -> list[Message]:
    to = sorted(grid.get_node_ids() if nodes is None else nodes)
    replies = list(grid.send_and_receive([Message(asked, dst_node_id=node, message_type=f"query.{query}") for node in to], timeout=timeout))
    failed = [f"node {reply.metadata.src_node_id}: {reply.error.reason}" for reply in replies if reply.has_error()]
    if failed or len(replies) < len(to):
        raise RuntimeError("; ".join(failed) or f"{len(to) - len(replies)} of {len(to)} sites did not answer within {timeout} s")
    return replies


def _about(reply: Message) -> Any:
    return reply.content["about"]


def _answer(reply: Message) -> Answer:
    about = _about(reply)
    arrays: Any = reply.content["scores"]
    scores = np.asarray(arrays["scores"].numpy(), dtype=np.float32)
    return Answer(
        site=str(about["site"]),
        classes=[str(name) for name in about["classes"]],
        scores=scores,
        weight=float(about["weight"]),
        epoch=str(about["epoch"]),
    )
