#!/usr/bin/env python3
"""Forgetting over sites: averaging with three approximate methods against sites as shards, which forget exactly (docs/FEDERATED.md).

    scripts/sites/compare.py health [--table data/health_visits.csv.gz] [--models 32]
    scripts/sites/compare.py adult --table adult.csv.gz --alpha 0.1
    scripts/sites/compare.py health --quick

A site, and then the ten persons of one site whom models of the other sites understand least, are to be forgotten. Every row of the
tables is of that many models; what is told apart and remembered is told of models and not of rows, with the noise floor (retrained against
retrained), the control (nothing done) and the placebo (the method asked to forget what was never there) beside it. NumPy alone, all
in memory, the same for the same arguments but for the seconds. How exact a deletion of the engine is, its own tests say; this says what the
others leave.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

# Matrices are small: threads of their own would wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import measures
import methods
import numpy as np
import tables
from methods import Cost, Federation, Rows
from nets import Shape

ROOT = Path(__file__).resolve().parents[2]
#: Rows of a site that it is asked about.
ASKED = 400


class Study:
    """One table, and one thing that is to be forgotten: a site, or persons of it."""

    def __init__(self, sites: list[tables.Site], gone: int, persons: np.ndarray | None, models: int, seed: int) -> None:
        self.sites, self.gone, self.models, self.seed = sites, gone, models, seed
        self.shape = Shape(sites[0].X.shape[1], 1 + max(site.y.max() for site in sites))
        self.all: list[Rows] = [(site.X, site.y) for site in sites]
        leaves = np.ones(len(sites[gone].y), bool) if persons is None else np.isin(sites[gone].person, persons)
        self.rows: Rows = (sites[gone].X[leaves], sites[gone].y[leaves])
        rest: Rows = (sites[gone].X[~leaves], sites[gone].y[~leaves])
        self.left = [k for k in range(len(sites)) if k != gone or persons is not None]
        self.retained = [rest if k == gone else self.all[k] for k in self.left]
        self.client = persons is None
        self.lines: list[list[str]] = []

    def federation(self, sites: list[Rows], key: int) -> Federation:
        rng = np.random.default_rng([self.seed, key])
        return methods.average(self.shape, self.shape.draw(self.models, rng), sites, methods.ROUNDS, rng, keep=True)

    def evidence(self, answer: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        X, y = self.rows
        return measures.evidence(answer(X[:ASKED]), y[:ASKED])

    def accuracy(self, answer: Callable[[np.ndarray], np.ndarray]) -> list[str]:
        """On the rows that the sites which are left held out, of the mean model: of all rows, the mean over sites, and that of the worst."""
        found = np.array([100 * (answer(self.sites[k].X_held).argmax(2) == self.sites[k].y_held).mean() for k in self.left])
        rows = np.array([len(self.sites[k].y_held) for k in self.left])
        return [f"{percent:.1f}" for percent in (found @ rows / rows.sum(), found.mean(), found.min())]

    def line(self, name: str, answer: Callable[[np.ndarray], np.ndarray], apart: tuple[np.ndarray, np.ndarray] | None,
             kept: tuple[np.ndarray, np.ndarray] | None, cost: Cost | None, seconds: float) -> None:
        def told(pair: tuple[np.ndarray, np.ndarray] | None) -> str:
            return "-" if pair is None else "{:.2f} [{:.2f}, {:.2f}]".format(*measures.interval(*pair, self.seed))

        kilobytes = "-" if cost is None else f"{cost.vectors * self.shape.weights * 4 / 1e3:.0f}"
        rounds = "-" if cost is None else str(cost.rounds)
        self.lines.append([name, *self.accuracy(answer), told(apart), told(kept), rounds, kilobytes, f"{1e3 * seconds / self.models:.0f}"])

    def of(self, weights: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        return lambda X: self.shape.probabilities(weights, X)

    def averaging(self, original: Federation) -> None:
        clock = time.process_time()
        again, other = self.federation(self.retained, 1), self.federation(self.retained, 2)
        seconds = (time.process_time() - clock) / 2
        r, q = (self.evidence(self.of(made.weights)) for made in (again, other))
        every = Cost(methods.ROUNDS, 2 * methods.ROUNDS * len(self.retained))
        self.line("FedAvg, trained again (floor)", self.of(again.weights), (q, r), None, every, seconds)
        control = self.evidence(self.of(original.weights))
        self.line("FedAvg, nothing done (control)", self.of(original.weights), (control, r), (control, r), Cost(), 0)
        indices = {len(self.all): self.left, len(self.retained): list(range(len(self.retained)))}
        local = self.all[self.gone]

        def runs(name: str) -> Callable[[Federation, int], tuple[np.ndarray, Cost]]:
            def run(made: Federation, key: int) -> tuple[np.ndarray, Cost]:
                rng = np.random.default_rng([self.seed, 9, key])
                if name == "FedEraser":
                    return methods.eraser(self.shape, made, self.retained, indices[len(made.updates[0])], rng)
                if name == "gradient ascent":
                    return methods.ascent(self.shape, made, self.rows, self.retained, local, len(self.all), rng)
                return methods.steepest(self.shape, made, self.rows, self.retained, len(self.all), rng)

            return run

        for name in ("FedEraser", "gradient ascent", "FedOSD"):
            clock = time.process_time()
            weights, cost = runs(name)(original, 0)
            seconds = time.process_time() - clock
            u, v = self.evidence(self.of(weights)), self.evidence(self.of(runs(name)(again, 1)[0]))
            self.line(name, self.of(weights), (u, r), (u, v), cost, seconds)

    def shards(self) -> None:
        """Sites as shards: what is forgotten is left out, or its constituent trained again under its own key."""

        def ensemble(parts: list[np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
            return lambda X: np.mean([self.shape.probabilities(part, X) for part in parts], axis=0)

        def train(k: int, rows: Rows, key: int) -> np.ndarray:
            return methods.constituent(self.shape, self.models, rows, [self.seed, 5, key, k])

        served = [train(k, rows, 0) for k, rows in enumerate(self.all)]
        clock = time.process_time()
        unlearned = [served[k] if self.client or k != self.gone else train(k, self.retained[at], 0) for at, k in enumerate(self.left)]
        seconds = 0.0 if self.client else time.process_time() - clock
        again, other = ([train(k, rows, key) for k, rows in zip(self.left, self.retained, strict=True)] for key in (1, 2))
        u, r, q = (self.evidence(ensemble(parts)) for parts in (unlearned, again, other))
        control = self.evidence(ensemble(served))
        self.line("sites as shards, trained again (floor)", ensemble(again), (q, r), None, None, 0)
        self.line("sites as shards, nothing done (control)", ensemble(served), (control, r), (control, r), Cost(), 0)
        # Asked to forget what was never there it does nothing: the placebo is what was trained again.
        self.line("**sites as shards, forgotten**", ensemble(unlearned), (u, r), (u, r), Cost(), seconds)

    def table(self, title: str) -> str:
        head = ["method", "all rows, %", "mean of sites, %", "worst site, %", "told apart [90 %]", "remembered [90 %]", "rounds", "kB sent", "CPU ms a model"]
        lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *self.lines)]
        return "\n".join([title, "", *lines, ""])


def hardest(sites: list[tables.Site], gone: int, models: int, seed: int, count: int) -> np.ndarray:
    """The persons of a site of whose rows models of the other sites are most wrong: chosen by nothing that saw anybody of the site."""
    shape = Shape(sites[0].X.shape[1], 1 + max(site.y.max() for site in sites))
    site = sites[gone]
    parts = [methods.constituent(shape, min(models, 8), (other.X, other.y), [seed, 7, k]) for k, other in enumerate(sites) if k != gone]
    p = np.mean([shape.probabilities(part, site.X).mean(0) for part in parts], axis=0)
    loss = -np.log(p[np.arange(len(site.y)), site.y].clip(1e-6))
    persons = np.unique(site.person)
    of_person = np.array([loss[site.person == person].mean() for person in persons])
    return persons[np.argsort(-of_person, kind="stable")[:count]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=("health", "adult"))
    parser.add_argument("--table", type=Path)
    parser.add_argument("--alpha", type=float, default=1.0, help="of the Dirichlet distribution by which Adult's classes fall to six sites")
    parser.add_argument("--rows", type=int, default=6000, help="of Adult")
    parser.add_argument("--models", type=int, default=32, help="an even number")
    parser.add_argument("--persons", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="eight models, a tenth of the persons: shows that it runs, and nothing else")
    asked = parser.parse_args()
    if asked.models < 4 or asked.models % 2:
        parser.error("--models is an even number from 4 on: halves of them judge each other")
    if asked.quick:
        asked.models, asked.rows, methods.ROUNDS = 8, 1200, 4
    rng = np.random.default_rng(asked.seed)
    if asked.data == "health":
        sites = tables.health(asked.table or ROOT / "data/health_visits.csv.gz", rng, 600 if asked.quick else 0)
        what = "six hospitals"
    elif asked.table is None:
        parser.error("--table names adult.csv.gz")
    else:
        sites = tables.adult(asked.table, asked.alpha, 6, asked.rows, rng)
        what = f"Adult, six sites by Dirichlet {asked.alpha:g}"
    sizes = [len(site.y) for site in sites]
    gone = int(np.argsort(sizes, kind="stable")[len(sites) // 2])
    print(f"{what}: {sizes} rows to train on; site {gone} forgets. {asked.models} models a side.\n", flush=True)
    persons = hardest(sites, gone, asked.models, asked.seed, asked.persons)
    whole = Study(sites, gone, None, asked.models, asked.seed)
    original = whole.federation(whole.all, 0)
    for study, title in (
        (whole, f"A site is forgotten ({sizes[gone]} rows):"),
        (Study(sites, gone, persons, asked.models, asked.seed), f"The {len(persons)} hardest persons of a site are forgotten:"),
    ):
        study.averaging(original)
        study.shards()
        print(study.table(title), flush=True)


if __name__ == "__main__":
    main()
