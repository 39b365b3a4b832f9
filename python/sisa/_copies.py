"""What answers say of copies of models, and of a card."""

from __future__ import annotations

from typing import TypedDict


class SeenBy(TypedDict):
    """A copy of a model that saw what a request takes away."""

    entry: int
    time: str
    format: str
    digest: str
    certain: bool


class Export(TypedDict):
    """A copy of a model, as the ledger tells it."""

    entry: int
    time: str
    format: str
    digest: str
    generation: str
    recipe: str
    records: str
    requests: int


class Exported(Export):
    """``exported``."""

    type: str
    path: str
    bytes: int
    members: int
    whole: int
    shards: int


class CardColumn(TypedDict):
    """A column of a card."""

    name: str
    kind: str
    declared: str


class CardDeletions(TypedDict):
    """Deletion requests, added up."""

    requests: int
    unrepaired: int
    ids: int
    records: int
    last: str | None
