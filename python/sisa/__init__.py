"""Exact machine unlearning: models from which a person's data can be deleted, byte for byte.

`Workspace` is the engine's own interface, `sisa.sklearn` has estimators of scikit-learn over it
(docs/PYTHON.md).
"""

from ._errors import (
    DamageError,
    DiskError,
    DivergedError,
    ExactnessWarning,
    InputError,
    NotReadyError,
    RetryError,
    SisaError,
)
from ._exports import Card
from ._workspace import Proposal, Workspace

__all__ = [
    "Card",
    "DamageError",
    "DiskError",
    "DivergedError",
    "ExactnessWarning",
    "InputError",
    "NotReadyError",
    "Proposal",
    "RetryError",
    "SisaError",
    "Workspace",
]
__version__ = "0.1.0"
