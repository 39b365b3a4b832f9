"""What `plan` answers."""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class Candidate(TypedDict):
    """``candidate``."""

    type: str
    shards: int
    slices: int
    full_row_passes: float
    one_row_passes: float
    batch_row_passes: float
    batch_row_passes_p95: float
    speed_up: float
    coalesced: float
    break_even: int | None
    checkpoint_bytes: int | None
    seconds: float | None
    full_seconds: float | None
    against: Literal["FewRecords", "FewSubjects", "Disk", "Time"] | None


class RecommendedLearner(TypedDict):
    """The learner that suits rows."""

    kind: str
    reason: str
    shards: int
    slices: int
    settings: dict[str, Any]


class Growth(TypedDict):
    """What batches that come later will cost."""

    batches: int
    share: float
    all: float
    worst: float
    anew: float
    anew_pays: int | None
    slices: int
    deletion_before: float
    deletion_after: float


class Expiry(TypedDict):
    """What expiring a cohort costs."""

    cohort: str
    records: int
    whole_row_passes: float
    within_row_passes: float
    without_row_passes: float


class Plan(TypedDict):
    """``plan``."""

    type: str
    records: int
    subjects: int
    largest_subject: int
    requests: int
    keep: int | None
    state_bytes: int | None
    row_passes_per_second: float | None
    shards: int | None
    slices: int | None
    reason: str
    growth: Growth | None
    expiries: list[Expiry]
    learner: str
    recommended_learner: RecommendedLearner | None


class Planning(Plan):
    """What `plan` answers: ``plan``, with every ``candidate``."""

    candidates: list[Candidate]
