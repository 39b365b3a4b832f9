"""One peer of sets.py, as a process of its own: fits, serves, and deletes where it can.

    python sets_peer.py TABLE.npz '{"peer": .., ..}'

TABLE.npz holds x (rows x inputs, float32), y, test_x and test_y (whole numbers). Prints one JSON object: `train`, `predict_rows`,
`accuracy`, `memory` and, for DaRE, `delete` (seconds of each single deletion, one after the other), `batch_seconds` and `memory_counted`.
It needs NumPy and the peer alone, since DaRE wants an older Python than the other peers. `memory` is by how many bytes the resident set grew while fitting.
"""
import json
import os
import sys
import time

import numpy as np

BATCH = 100


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def forest(ask):
    """A forest of scikit-learn, or DaRE's."""
    if ask["peer"] == "DaRE":
        import dare
        return dare.Forest(n_estimators=ask["trees"], max_depth=ask["depth"], k=ask["cuts"], topd=0, random_state=ask["seed"])
    import sklearn.ensemble
    return getattr(sklearn.ensemble, ask["peer"])(ask["trees"], max_depth=ask["depth"], min_samples_split=ask["split"], n_jobs=ask["threads"],
                                                  random_state=ask["seed"])


class Ridge:
    """RidgeClassifier on the inputs, or on max(0, inputs W + b) with normal W and b. `strength` multiplies the mean square of the features, as the engine's does."""

    def __init__(self, strength, dimension, seed):
        self.strength, self.dimension, self.rng = strength, dimension, np.random.default_rng(seed)

    def features(self, x):
        return np.maximum(x @ self.w + self.b, 0) if self.dimension else x

    def fit(self, x, y):
        from sklearn.linear_model import RidgeClassifier
        if self.dimension:
            self.w = (self.rng.standard_normal((x.shape[1], self.dimension)) / np.sqrt((x * x).sum(1).mean())).astype(np.float32)
            self.b = self.rng.standard_normal(self.dimension).astype(np.float32)
        phi = self.features(x)
        # Rows times their mean square is the mean of the Gram matrix's diagonal.
        alpha = self.strength * float(np.einsum("ij,ij->", phi, phi, dtype=np.float64)) / phi.shape[1]
        self.model = RidgeClassifier(alpha=alpha, solver="cholesky").fit(phi, y)

    def predict(self, x):
        return self.model.predict(self.features(x))


def deletions(model, rows, count, seed):
    """Single deletions of DaRE's forest, then one of a hundred records."""
    chosen = np.random.default_rng([seed, 7]).permutation(rows)[:count + BATCH].astype(np.int32)
    singles = []
    for row in chosen[:count]:
        start = time.perf_counter()
        model.delete(np.array([row], dtype=np.int32))
        singles.append(time.perf_counter() - start)
    start = time.perf_counter()
    model.delete(chosen[count:])
    return {"delete": singles, "batch_seconds": time.perf_counter() - start}


def warm(ask, x, y):
    """A first fit on 200 rows: imports and pools of threads are not what is compared."""
    if ask["peer"] == "RidgeClassifier":
        Ridge(ask["strength"], 0, 0).fit(x[:200], y[:200])
    else:
        forest({**ask, "trees": 2}).fit(x[:200], y[:200])


def main():
    ask, table = json.loads(sys.argv[2]), np.load(sys.argv[1])
    x, y, test_x, test_y = (table[name] for name in ("x", "y", "test_x", "test_y"))
    model = Ridge(ask["strength"], ask["dimension"], ask["seed"]) if ask["peer"] == "RidgeClassifier" else forest(ask)
    warm(ask, x, y)
    before = resident()
    start = time.perf_counter()
    model.fit(x, y)
    found = {"train": time.perf_counter() - start, "memory": resident() - before}
    accuracy, seconds = 0.0, []
    for _ in range(3):
        start = time.perf_counter()
        served = model.predict(test_x)
        seconds.append(time.perf_counter() - start)
        accuracy = float((np.asarray(served).ravel() == test_y).mean())
    found.update(accuracy=accuracy, predict_rows=len(test_x) / sorted(seconds)[1])
    if ask["peer"] == "DaRE":
        found["memory_counted"] = int(sum(model.get_memory_usage()))
        found.update(deletions(model, len(x), ask["deletions"], ask["seed"]))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
