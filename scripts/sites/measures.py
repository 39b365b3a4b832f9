"""Whether models can be told from others by what was to be forgotten: docs/COMPARE.md's `told apart` and `remembered`."""

from __future__ import annotations

import numpy as np


def auc(a: np.ndarray, b: np.ndarray) -> float:
    """That one of `a` is above one of `b`; half of what is equal."""
    return float(((a[:, None] > b[None]) + 0.5 * (a[:, None] == b[None])).mean())


def evidence(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """log p_y - log(1 - p_y) of rows, models x rows (Carlini et al. 2022)."""
    of_label = np.take_along_axis(p, np.broadcast_to(y[None, :, None], (*p.shape[:2], 1)), 2)[:, :, 0].astype(np.float64).clip(1e-6, 1 - 1e-6)
    return np.log(of_label) - np.log1p(-of_label)


def ratios(u: tuple[np.ndarray, np.ndarray], r: tuple[np.ndarray, np.ndarray]) -> float:
    """AUC of the sum over rows of log N(u) - log N(r), Gaussians from the first half of each side's models, asked of the second."""
    (u_fit, u_asked), (r_fit, r_asked) = u, r
    total = []
    for asked in (u_asked, r_asked):
        ratio = 0.0
        for sign, fit in ((1, u_fit), (-1, r_fit)):
            spread = fit.std(0) + 0.05
            ratio = ratio + sign * (-0.5 * ((asked - fit.mean(0)) / spread) ** 2 - np.log(spread))
        total.append(np.sum(ratio, axis=1))
    return auc(*total)


def apart(u: tuple[np.ndarray, np.ndarray], r: tuple[np.ndarray, np.ndarray]) -> float:
    """Models u against r, each in two halves, by their evidence of some rows: the better of the mean loss of the rows, either way round, and of
    `ratios`, both ways. What is alike comes out somewhat above 0.5: the floor goes through the same rule."""
    # -log p of what log p - log(1 - p) is.
    simple = auc(*(np.log1p(np.exp(-np.concatenate(models))).mean(1) for models in (u, r)))
    return max(simple, 1 - simple, (ratios(u, r) + ratios(u[::-1], r[::-1])) / 2)


def interval(u: np.ndarray, r: np.ndarray, seed: int, halvings: int = 8, draws: int = 40) -> tuple[float, float, float]:
    """The mean of `apart` over halvings, and the ends of its 90 % interval over models: those of each half are drawn with replacement, so that no
    model is in both."""
    rng = np.random.default_rng(seed)

    def halved(models: np.ndarray, again: bool) -> tuple[np.ndarray, np.ndarray]:
        first, second = (rng.choice(half, len(half)) if again else half for half in rng.permutation(len(models)).reshape(2, -1))
        return models[first], models[second]

    value = np.mean([apart(halved(u, False), halved(r, False)) for _ in range(halvings)])
    drawn = [apart(halved(u, True), halved(r, True)) for _ in range(draws)]
    return (float(value), *map(float, np.quantile(drawn, [0.05, 0.95])))
