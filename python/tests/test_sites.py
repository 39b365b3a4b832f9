"""The formulas of `scripts/sites`: gradients against differences, what each method keeps to, and measures that know what they should."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "sites"))

import measures  # noqa: E402
import methods  # noqa: E402
from nets import Shape  # noqa: E402

SHAPE = Shape(5, 3)


def rows(count: int, seed: int) -> methods.Rows:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, 5)).astype(np.float32)
    return X, (X[:, 0] + 0.5 * seed * X[:, 1] > 0).astype(int) + (X[:, 2] > 1)


@pytest.mark.parametrize("forget", [False, True])
def test_gradients_are_those_of_the_losses(forget: bool) -> None:
    (X, y), weights = rows(40, 1), SHAPE.draw(2, np.random.default_rng(3))
    gradient = SHAPE.gradient(weights, X, y, forget)

    def loss(weights: np.ndarray) -> np.ndarray:
        # In doubles, as single precision has no such differences.
        p = SHAPE.probabilities(weights.astype(np.float64), X.astype(np.float64))[:, np.arange(40), y]
        return (-np.log(1 - p / 2) if forget else -np.log(p)).mean(1)

    for at in range(0, SHAPE.weights, 7):
        step = np.zeros(SHAPE.weights)
        step[at] = 1e-6
        slope = (loss(weights + step) - loss(weights - step)) / 2e-6
        # A unit may bend between the two.
        assert np.allclose(gradient[:, at], slope, atol=2e-4), at


def test_every_method_keeps_to_its_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "RATE", 0.1)
    sites, rng = [rows(200, seed) for seed in range(3)], np.random.default_rng(4)
    made = methods.average(SHAPE, SHAPE.draw(4, rng), sites, 6, rng, keep=True)
    assert len(made.updates) == 3 and all(len(updates) == 3 for updates in made.updates)
    # FedEraser of one retained site: its step is as long as the one that was kept.
    short = methods.Federation(made.weights, made.start, made.updates[:2])
    erased, cost = methods.eraser(SHAPE, short, sites[:1], [0], rng)
    step = erased - made.start - made.updates[0][0]
    assert np.allclose(np.linalg.norm(step, axis=1), np.linalg.norm(made.updates[1][0], axis=1), rtol=1e-4)
    assert (cost.rounds, cost.vectors, cost.kept) == (1, 2, 6)
    # What comes after is training; without it the formulas are bare.
    monkeypatch.setattr(methods, "RECOVERY", 0)
    # One step of FedOSD: as long as the gradient, and at a right angle to those of the others.
    moved, _ = methods.steepest(SHAPE, made, sites[2], sites[:2], 3, rng, rounds=1)
    step = (made.weights - moved) / methods.RATE
    wanted = SHAPE.gradient(made.weights, *sites[2], forget=True)
    assert np.allclose(np.linalg.norm(step, axis=1), np.linalg.norm(wanted, axis=1), rtol=1e-3)
    for X, y in sites[:2]:
        other = SHAPE.gradient(made.weights, X, y)
        cosine = (step * other).sum(1) / np.linalg.norm(step, axis=1) / np.linalg.norm(other, axis=1)
        assert (abs(cosine) < 1e-2).all(), cosine
    # Ascent ends on the ball around the mean of the others, where that is small: as if weights were drawn near by.
    near = made.weights + np.float32(1e-3)
    monkeypatch.setattr(Shape, "draw", lambda *_: near)
    risen, _ = methods.ascent(SHAPE, made, sites[2], sites[:2], sites[2], 3, np.random.default_rng(5))
    own = SHAPE.train(made.weights, *sites[2], 1, methods.RATE, np.random.default_rng(5))
    reference = (3 * made.weights - own) / 2
    radius = np.linalg.norm(reference - near, axis=1) / 3
    assert np.allclose(np.linalg.norm(risen - reference, axis=1), radius, rtol=1e-2)


def test_what_is_alike_is_not_told_apart_and_what_is_not_is() -> None:
    rng = np.random.default_rng(6)
    alike = [rng.normal(size=(32, 20)) for _ in range(2)]
    value, low, high = measures.interval(*alike, 1)
    assert 0.5 <= value < 0.72 and low <= high
    assert measures.interval(alike[0] + 3, alike[1], 1)[0] == 1.0
    # One row of twenty that moves, which a mean hardly shows and the sum of ratios does.
    one = alike[0].copy()
    one[:, 7] += 6
    assert measures.interval(one, alike[1], 1)[0] > 0.95
    assert measures.auc(np.array([1.0, 2.0]), np.array([1.0, 0.0])) == 0.875
    p = np.array([[[0.25, 0.75]]])
    assert np.allclose(measures.evidence(p, np.array([1])), np.log(3))
