"""What calls answer: dictionaries with the names of docs/JSON.md, which says what each of them means.

``type`` names the kind. Only for annotations; nothing here does anything.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from ._copies import CardColumn as CardColumn
from ._copies import CardDeletions as CardDeletions
from ._copies import Export as Export
from ._copies import Exported as Exported
from ._copies import SeenBy as SeenBy
from ._plans import Candidate as Candidate
from ._plans import Plan as Plan
from ._plans import Planning as Planning
from ._plans import RecommendedLearner as RecommendedLearner


class _Progress(TypedDict):
    stage: Literal["importing", "training", "scoring", "working"]
    #: Bytes or rows read, row-passes trained, rows scored; and in all, where that is known.
    done: int
    total: int | None


class Progress(_Progress, total=False):
    """How far a call is, some ten times a second; rows of an import, steps of a training."""

    rows: int
    steps: int
    total_steps: int


class _AlikeIds(TypedDict):
    differs_in: str
    ids: int


class AlikeIds(_AlikeIds, total=False):
    """Ids that are there in another spelling."""

    and_in: str


class Imported(TypedDict):
    """An import."""

    records: int
    held_out: int
    refused: int
    point_zero_ids: int
    alike_ids: list[AlikeIds]
    read_seconds: float
    publish_seconds: float


class Diverged(TypedDict):
    """A shard that came to a number that is not finite."""

    shard: int
    message: str


class Trained(TypedDict):
    """``trained``."""

    type: str
    generation: str
    recipe: str
    imported: Imported | None
    steps: int
    row_passes: int
    bytes: int
    seconds: float
    complete: bool
    diverged: list[Diverged]
    repaired: list[str]


class Importing(TypedDict):
    """``imported``, with the ``schema`` that was proposed, if one was."""

    type: str
    generation: str
    recipe: str
    imported: Imported | None
    to_train: list[int]
    schema: Schema | None


class Unpacked(TypedDict):
    """``unpacked``."""

    type: str
    generation: str
    recipe: str
    shard: int
    published: int
    present: int
    overtaken: int
    diverged: str | None
    complete: bool
    repaired: list[str]


class Distributed(TypedDict):
    """What `sisa.distributed` did: bundles and their bytes out and back, checkpoints put in place and refused, requests closed."""

    shards: int
    bundles: int
    bytes_out: int
    bytes_back: int
    published: int
    overtaken: int
    diverged: list[Diverged]
    repaired: list[str]
    complete: bool


class Column(TypedDict):
    """What became of a column."""

    column: str
    columns: int
    kind: str
    notable: bool
    odd_cells: int
    place: str | None
    remark: str


class Schema(TypedDict):
    """``schema``."""

    type: str
    file: str
    notes: list[str]
    columns: list[Column]


#: One class. (The form of a call, as one of the names is a word of Python.)
Class = TypedDict(
    "Class",
    {
        "class": str,
        "rows": int,
        "answered": int,
        "precision": float,
        "recall": float,
        "auc": "float | None",
        "average_precision": "float | None",
    },
)


class Evaluated(TypedDict, total=False):
    """``evaluated``: of classes and of numbers other fields are there."""

    type: str
    rows: int
    accuracy: float
    balanced_accuracy: float
    log_loss: float
    calibration_error: float
    auc: float | None
    average_precision: float | None
    classes: list[Class]
    worse_than_constant: bool
    constituent_accuracy: float | None
    majority_accuracy: float
    rmse: float
    mae: float
    r2: float
    members: int
    whole_members: int


class Training(Trained):
    """What `train` answers: ``trained``, with ``schema`` if a configuration was proposed and ``evaluated`` if there is a held-out part."""

    schema: Schema | None
    evaluated: Evaluated | None


class Outcome(TypedDict):
    """What became of one id."""

    handle: str
    subject: bool
    outcome: Literal["erased", "not_found", "already_erased", "corrected", "unchanged", "refused"]
    in_slices: int
    held_out: int


class CellWritten(TypedDict):
    """A slice file that is written again."""

    generation: str
    cell: str
    records: int
    come: int


class Effective(TypedDict):
    """``effective``."""

    type: str
    request: str
    seconds: float
    outcomes: list[Outcome]
    cells: list[CellWritten]
    purged: int
    exports: list[SeenBy]
    predicted_row_passes: int
    full_row_passes: int


class Appended(TypedDict):
    """``appended``."""

    type: str
    generation: str
    batch: int
    name: str
    new: bool
    records: int
    held_out: int
    refused: int


class Appending(Appended):
    """What `append` answers: ``appended``, with ``repaired`` unless the training was left."""

    repair: Repaired | None


class Repaired(TypedDict):
    """``repaired``."""

    type: str
    requests: list[str]
    complete: bool
    rebuilt: int
    row_passes: int
    full_row_passes: int | None
    seconds: float
    diverged: list[Diverged]


class Unknown(TypedDict):
    """What a request names that is not there: ids as they were given, and places of rows."""

    unknown_subjects: list[str]
    unknown_records: list[list[str]]
    unknown_rows: list[str]


class Deleted(TypedDict):
    """``deleted``."""

    type: str
    request: str
    repeated: bool
    exports: list[SeenBy]
    unknown: bool
    unknown_lines: list[int]
    unknown_alike: list[AlikeIds]
    undated: int | None
    repaired: bool


class Expiring(Deleted):
    """What `expire` answers: ``deleted``, with ``effective`` and, unless deferred or done before, ``repair``."""

    effective: Effective
    repair: Repaired | None


class Deletion(Expiring, Unknown):
    """What `delete` answers: what `expire` does, and what is not there."""


class Corrected(TypedDict):
    """``corrected``."""

    type: str
    request: str
    repeated: bool
    records: int
    unchanged: int
    left_lines: list[int]
    repaired: bool


class Correction(Corrected):
    """What `correct` answers: ``corrected``, with ``effective`` and ``repair``, and where rows stand that corrected nothing."""

    effective: Effective
    repair: Repaired | None
    left_rows: list[str]


class Forecasted(TypedDict):
    """``forecast``."""

    type: str
    outcomes: list[Outcome]
    cells: list[CellWritten]
    checkpoints: int
    exports: list[SeenBy]
    row_passes: int
    full_row_passes: int
    seconds: float | None
    full_seconds: float | None
    unknown_lines: list[int]
    unknown_alike: list[AlikeIds]
    undated: int | None


class Forecast(Forecasted, Unknown):
    """What `forecast` answers: ``forecast``, and what is not there."""


class CorrectionForecast(Forecasted):
    """What `forecast_correction` answers: ``forecast``, and where rows stand that would correct nothing."""

    left_rows: list[str]


class Finding(TypedDict):
    """One difference."""

    file: str
    offset: int | None
    what: str


class Replay(TypedDict):
    """Where training again gives the same bytes."""

    where: str
    learner: str | None
    environment: dict[str, str]
    probe: str | None


class Verified(TypedDict):
    """``verified``."""

    type: str
    same: bool
    files: int
    bytes: int
    retrained: int
    stopped: int
    by_construction: bool
    by_replay: bool | None
    replay: Replay | None
    findings: list[Finding]
    notes: list[str]


class Migrated(TypedDict):
    """``migrated``."""

    type: str
    generation: str
    new: bool
    changes: list[str]
    records: int
    held_out: int
    row_passes: int
    seconds: float
    complete: bool
    diverged: list[Diverged]


class Rekeyed(TypedDict):
    """``rekeyed``."""

    type: str
    generation: str
    records: int
    row_passes: int
    seconds: float


class Slice(TypedDict):
    """One slice and the checkpoint of its step."""

    rows: int
    checkpoint_bytes: int | None
    kept: bool


class Shard(TypedDict):
    """One shard."""

    shard: int
    cohort: str | None
    serves: int
    full: bool
    held_out: int
    slices: list[Slice]


class Beside(TypedDict):
    """A model that is being built."""

    generation: str
    recipe: str


class Batches(TypedDict):
    """Batches that are one slice of every shard."""

    first: int
    last: int


class Status(TypedDict):
    """``status``."""

    type: str
    generation: str
    recipe: str
    aggregate: str
    complete: bool
    unrepaired: list[str]
    suppressed: int
    ledger_entries: int
    missing_row_passes: int
    full_row_passes: int
    beside: list[Beside]
    batches: int
    later: list[Batches]
    exports: list[Export]
    shards: list[Shard]


class Card(TypedDict):
    """``card``."""

    type: str
    generation: str
    recipe: str
    aggregate: str
    learner: dict[str, Any]
    shards: int
    slices: int
    members: int
    records: int
    held_out: int
    batches: int
    subjects: bool
    label: CardColumn
    columns: list[CardColumn]
    quality: Evaluated | None
    deletions: CardDeletions
    exports: list[Export]
    claim: str
    replay: Replay
    not_claimed: str
    ledger_sequence: int
    ledger_digest: str


class Request(TypedDict):
    """``request``."""

    type: str
    request: str
    accepted_at: str
    effective_at: str | None
    effective_seconds: float | None
    repaired_at: str | None
    repair_seconds: float | None
    outcomes: list[Outcome]
    exports: list[SeenBy]
    predicted_row_passes: int
    row_passes: int | None
    full_row_passes: int


class RekeyDue(TypedDict):
    """``rekey_due``."""

    type: str
    share: float
    limit: float
    deleted: int
