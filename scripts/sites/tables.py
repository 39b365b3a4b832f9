"""Tables cut into sites: by the hospital that a table names, or by classes drawn from a Dirichlet distribution.

Nothing is scaled by what the rows hold: numbers are divided by constants that are written here.
"""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass
class Site:
    """Rows of one site: to train on, and held out by person."""

    X: np.ndarray
    y: np.ndarray
    person: np.ndarray
    X_held: np.ndarray
    y_held: np.ndarray


HEALTH = {
    "age": 60, "family_size": 10, "family_income": 20_000, "head_education": 25, "chronic_disease": 60, "mental_health": 100,
    "hospital_stays": 3, "therapy_visits": 20, "other_visits": 20, "coinsurance": 100, "individual_deductible": 1, "female": 1, "child": 1, "physical_limits": 1, "took_physical": 1, "eligible_share": 1,
}
#: Of these the logarithm of one more counts, divided by so much.
LOGARITHMS = {"drug_cost": 5, "supply_cost": 5, "capital_gain": 10, "capital_loss": 8}
ADULT = {"age": 90, "education_num": 16, "hours_per_week": 100}


def rows(path: Path, numbers: dict[str, float], words: list[str], label: str) -> tuple[np.ndarray, np.ndarray, list[dict[str, str]]]:
    """Inputs, classes, and the rows as they are."""
    with gzip.open(path, "rt") as file:
        table = list(csv.DictReader(file))
    columns = [[min(float(row[name] or 0) / scale, 3) for row in table] for name, scale in numbers.items()]
    columns += [[np.log1p(float(row[name] or 0)) / scale for row in table] for name, scale in LOGARITHMS.items() if name in table[0]]
    for name in words:
        for value in sorted({row[name] for row in table}):
            columns.append([float(row[name] == value) for row in table])
    classes = sorted({row[label] for row in table})
    return np.array(columns, dtype=np.float32).T, np.array([classes.index(row[label]) for row in table]), table


def cut(X: np.ndarray, y: np.ndarray, person: np.ndarray, at: np.ndarray, rng: np.random.Generator) -> list[Site]:
    """A fifth of the persons of each site is held out."""
    held = rng.random(person.max() + 1)[person] < 0.2
    return [
        Site(X[(at == k) & ~held], y[(at == k) & ~held], person[(at == k) & ~held], X[(at == k) & held], y[(at == k) & held])
        for k in range(at.max() + 1)
    ]


def health(path: Path, rng: np.random.Generator, most: int) -> list[Site]:
    """The six hospitals of the embedded table; a person belongs to the one of their first year."""
    X, y, table = rows(path, HEALTH, ["self_rated_health"], "doctor_visits")
    ids = np.unique([row["person_id"] for row in table], return_inverse=True)[1]
    home: dict[int, int] = {}
    at = np.array([home.setdefault(person, int(row["site"]) - 1) for person, row in zip(ids, table, strict=True)])
    keep = rng.permutation(ids.max() + 1)[ids] < (most or len(ids))
    return cut(X[keep], y[keep], ids[keep], at[keep], rng)


def adult(path: Path, alpha: float, sites: int, most: int, rng: np.random.Generator) -> list[Site]:
    """Adult, of which `most` rows are drawn; each class falls to sites by shares from a Dirichlet distribution (Hsu et al. 2019)."""
    X, y, _ = rows(path, ADULT, ["workclass", "marital_status", "occupation", "relationship", "sex"], "income")
    drawn = rng.permutation(len(y))[:most]
    X, y = X[drawn], y[drawn]
    while True:
        shares = rng.dirichlet([alpha] * sites, y.max() + 1)
        at = (rng.random(len(y))[:, None] > shares.cumsum(1)[y]).sum(1).clip(max=sites - 1)
        # Sites of next to nobody say nothing of a method.
        if np.bincount(at, minlength=sites).min() >= most // (10 * sites):
            return cut(X, y, np.arange(len(y)), at, rng)
