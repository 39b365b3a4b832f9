"""Many small networks at once: one hidden layer of rectified units, softmax, plain gradient descent. NumPy alone.

All weights of a network are one row of a matrix (models x weights), so that distances and projections of the methods are a
line each.
"""

from __future__ import annotations

import numpy as np

HIDDEN = 16
BATCH = 64


class Shape:
    """The sizes of a network: inputs, hidden units, classes."""

    def __init__(self, inputs: int, classes: int) -> None:
        self.inputs, self.classes = inputs, classes
        self.parts = [(inputs, HIDDEN), (1, HIDDEN), (HIDDEN, classes), (1, classes)]
        self.weights = sum(rows * columns for rows, columns in self.parts)

    def draw(self, models: int, rng: np.random.Generator) -> np.ndarray:
        """Weights to begin with, models x weights: uniform within 1 / sqrt(inputs of the layer)."""
        layers = []
        for rows, columns in self.parts:
            bound = 0.0 if rows == 1 else rows**-0.5
            layers.append(rng.uniform(-bound, bound, (models, rows * columns)))
        return np.concatenate(layers, axis=1).astype(np.float32)

    def views(self, weights: np.ndarray) -> list[np.ndarray]:
        """The layers of all models, each models x rows x columns."""
        found, at = [], 0
        for rows, columns in self.parts:
            found.append(weights[:, at : at + rows * columns].reshape(-1, rows, columns))
            at += rows * columns
        return found

    def probabilities(self, weights: np.ndarray, X: np.ndarray) -> np.ndarray:
        """Of rows (rows x inputs, or models x rows x inputs): models x rows x classes."""
        return self._forward(weights, X)[1]

    def _forward(self, weights: np.ndarray, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, bias, second, offset = self.views(weights)
        hidden = np.maximum(X @ first + bias, 0)
        scores = hidden @ second + offset
        scores = np.exp(scores - scores.max(axis=2, keepdims=True))
        return hidden, scores / scores.sum(axis=2, keepdims=True)

    def gradient(self, weights: np.ndarray, X: np.ndarray, y: np.ndarray, forget: bool = False) -> np.ndarray:
        """Of the mean loss of rows, models x weights.

        The loss is -log p_y; with `forget` it is FedOSD's -log(1 - p_y / 2), which falls as p_y falls and has a gradient
        that ends (Pan et al. 2025, "Federated Unlearning with Gradient Descent and Conflict Mitigation", AAAI).
        """
        first, _, second, _ = self.views(weights)
        hidden, p = self._forward(weights, X)
        if X.ndim == 2:
            X, y = X[None], y[None]
        at = np.broadcast_to(y[:, :, None], (*p.shape[:2], 1))
        of_label = np.take_along_axis(p, at, 2)
        # d(-log p_y) / d(scores) is p - 1_y; that of the other loss is p_y / (2 - p_y) (1_y - p).
        delta = p.copy()
        np.put_along_axis(delta, at, of_label - 1, 2)
        if forget:
            delta *= -of_label / (2 - of_label)
        delta /= X.shape[1]
        back = (delta @ second.transpose(0, 2, 1)) * (hidden > 0)
        parts = [X.transpose(0, 2, 1) @ back, back.sum(1, keepdims=True), hidden.transpose(0, 2, 1) @ delta, delta.sum(1, keepdims=True)]
        return np.concatenate([part.reshape(len(weights), -1) for part in parts], axis=1).astype(np.float32)

    def train(self, weights: np.ndarray, X: np.ndarray, y: np.ndarray, epochs: float, rate: float, rng: np.random.Generator) -> np.ndarray:
        """Descends over the rows in an order of each model's own, for so many epochs (a part of one is its first batches)."""
        weights = weights.copy()
        models, rows = len(weights), len(y)
        left = round(epochs * -(-rows // BATCH))
        while left > 0 and rows:
            order = rng.random((models, rows), dtype=np.float32).argsort(axis=1)
            for start in range(0, rows, BATCH)[:left]:
                batch = order[:, start : start + BATCH]
                weights -= np.float32(rate) * self.gradient(weights, X[batch], y[batch])
            left -= -(-rows // BATCH)
        return weights
