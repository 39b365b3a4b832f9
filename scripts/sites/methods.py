"""Training over sites by averaging, three methods that forget approximately, and sites as shards. In memory only.

A *site* is its rows (X, y). What is to be forgotten is a site, or some rows of one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from nets import Shape

RATE = 0.2
ROUNDS = 40
#: FedEraser keeps every second round's updates, and calibrates by half of the local work.
INTERVAL, CALIBRATION = 2, 0.5
RECOVERY = 4

Rows = tuple[np.ndarray, np.ndarray]


@dataclass
class Cost:
    """What a method takes beside what is there."""

    rounds: int = 0
    #: Vectors of all weights sent by or to a site.
    vectors: int = 0
    #: Vectors of all weights that the server keeps meanwhile.
    kept: int = 0


@dataclass
class Federation:
    """Models that were trained, and what was kept of it."""

    weights: np.ndarray
    start: np.ndarray
    #: Of every INTERVAL-th round each site's update.
    updates: list[list[np.ndarray]] = field(default_factory=list)


def norm(vectors: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors, axis=-1, keepdims=True) + np.float32(1e-12)


def mean(updates: list[np.ndarray], sites: list[Rows]) -> np.ndarray:
    """Weighted by rows, as FedAvg does it."""
    rows = np.array([len(y) for _, y in sites], np.float32)
    return np.einsum("kmp,k->mp", np.stack(updates), rows / rows.sum()).astype(np.float32)


def average(shape: Shape, weights: np.ndarray, sites: list[Rows], rounds: int, rng: np.random.Generator, keep: bool = False) -> Federation:
    """FedAvg (McMahan et al. 2017): each round every site trains an epoch from the common weights, and the mean of their updates is added."""
    made = Federation(weights, weights)
    for number in range(rounds):
        updates = [shape.train(made.weights, X, y, 1, RATE, rng) - made.weights for X, y in sites]
        if keep and number % INTERVAL == 0:
            made.updates.append(updates)
        made.weights = made.weights + mean(updates, sites)
    return made


def eraser(shape: Shape, made: Federation, retained: list[Rows], kept: list[int], rng: np.random.Generator) -> tuple[np.ndarray, Cost]:
    """FedEraser (Liu et al. 2021, IWQoS). The server kept updates U_k of every second round. From the first weights on it replays them
    without the site: each retained site trains a little from the weights as they are now, which gives a direction V_k, and the
    step is |U_k| V_k / |V_k|. The first step is U_k itself. `kept` says which of the kept updates are those of the retained sites."""
    weights = made.start + mean([made.updates[0][k] for k in kept], retained)
    for updates in made.updates[1:]:
        steps = []
        for k, (X, y) in zip(kept, retained, strict=True):
            fresh = shape.train(weights, X, y, CALIBRATION, RATE, rng) - weights
            steps.append(norm(updates[k]) * fresh / norm(fresh))
        weights = weights + mean(steps, retained)
    rounds = len(made.updates) - 1
    return weights, Cost(rounds, 2 * rounds * len(retained), sum(len(updates) for updates in made.updates))


def ascent(
    shape: Shape, made: Federation, gone: Rows, retained: list[Rows], local: Rows, sites: int, rng: np.random.Generator
) -> tuple[np.ndarray, Cost]:
    """Projected gradient ascent (Halimi et al. 2022, "Federated Unlearning: How to Efficiently Erase a Client in FL?"). The site that forgets,
    one of N, ascends the loss of what is to be forgotten for 5 epochs, from the reference w_ref = (N w - w_k) / (N - 1), which is the mean of the others, and is brought back into
    the ball around it whose radius is a third of the mean distance of w_ref to weights drawn at random. Then some rounds of FedAvg
    without what was forgotten. Gradients are clipped at 5; the rate is a tenth of training's."""
    own = shape.train(made.weights, *local, 1, RATE, rng)
    reference = (sites * made.weights - own) / np.float32(sites - 1)
    drawn = np.mean([norm(reference - shape.draw(len(own), rng)) for _ in range(10)], axis=0)
    radius = drawn / 3
    weights, (X, y) = reference.copy(), gone
    for _ in range(5):
        order = rng.permutation(len(y))
        for start in range(0, len(y), 64):
            batch = order[start : start + 64]
            step = shape.gradient(weights, X[batch], y[batch])
            weights = weights + np.float32(RATE / 10) * step * np.minimum(1, 5 / norm(step))
            away = weights - reference
            weights = reference + away * np.minimum(1, radius / norm(away))
    weights = average(shape, weights.astype(np.float32), retained, RECOVERY, rng).weights
    # The site gets the weights and sends its own; then rounds both ways.
    return weights, Cost(RECOVERY + 1, 2 + 2 * RECOVERY * len(retained), 0)


def steepest(
    shape: Shape, made: Federation, gone: Rows, retained: list[Rows], sites: int, rng: np.random.Generator, rounds: int = 10
) -> tuple[np.ndarray, Cost]:
    """FedOSD (Pan et al. 2025, AAAI), of so many sites in all. Descends -log(1 - p_y / 2) of what is to be forgotten along g_u without its part in the span of the other
    sites' gradients A: d = g_u - A^T (A A^T)^+ A g_u, rescaled to |g_u|. Then rounds of FedAvg whose steps lose their part back towards
    the weights from before."""
    weights = made.weights
    for _ in range(rounds):
        wanted = shape.gradient(weights, *gone, forget=True)
        others = np.stack([shape.gradient(weights, X, y) for X, y in retained], axis=1)
        inner = np.linalg.pinv(others @ others.transpose(0, 2, 1), hermitian=True)
        along = inner @ (others @ wanted[:, :, None])
        free = wanted - (others.transpose(0, 2, 1) @ along)[:, :, 0]
        weights = weights - np.float32(RATE) * free * norm(wanted) / norm(free)
    for _ in range(RECOVERY):
        step = mean([shape.train(weights, X, y, 1, RATE, rng) - weights for X, y in retained], retained)
        back = made.weights - weights
        part = (step * back).sum(1, keepdims=True) / norm(back) ** 2
        weights = weights + step - np.maximum(part, 0) * back
    return weights.astype(np.float32), Cost(rounds + RECOVERY, 2 * rounds * sites + 2 * RECOVERY * len(retained), 0)


def constituent(shape: Shape, models: int, rows: Rows, seed: list[int]) -> np.ndarray:
    """A site as a shard: a model of its rows alone, by keys of its own."""
    rng = np.random.default_rng(seed)
    return shape.train(shape.draw(models, rng), *rows, ROUNDS, RATE, rng)
