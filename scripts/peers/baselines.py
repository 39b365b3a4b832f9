"""Accuracy of the same training by PyTorch, for comparison with the engine at one shard (docs/ACCURACY.md).

    python3 baselines.py DATA_DIR [--out DIR] [--only adult,letter,fashion]

Writes baselines.json and letter_test_rows.txt (for accuracy.py) and prints a line for each model, whose figures are the constants
BASELINES of accuracy.py. DATA_DIR holds adult.csv.gz, letter.csv.gz and fashion-mnist/*.gz. Needs numpy, pandas and torch; runs on one
thread of the CPU for some minutes.

S = 1 (no shards), one pass = every training row once. For the engine this is S = 1, R = 1.

- Data. Adult: train and test by the `split` column, label `income`, `id` and `split` dropped; 6 numeric columns
  (age, fnlwgt, education_num, capital_gain, capital_loss, hours_per_week) with log1p of capital_gain and capital_loss
  (before standardising), 8 categories one-hot over the values found in the training rows, `?` a value like any other, a
  value not seen in training all zeros. Letter: 16 numbers; the 4,000 test rows are the first 4,000 of
  numpy.random.default_rng(0).permutation(20000), listed in letter_test_rows.txt (0-based rows below the header,
  ascending). Fashion-MNIST: its own 60,000 / 10,000, pixels / 255, not standardised.
- Numbers: (x - mean) / sqrt(mean((x - mean)^2)) of the training rows, in float64, then float32. One-hot columns are
  0 or 1, not standardised.
- Models: softmax regression; MLP with one hidden layer of relu (Adult 64, letter 128, Fashion 128). Adult has two
  softmax outputs. Weights Glorot-uniform, U(-a, a) with a = sqrt(6 / (inputs + outputs)), biases zero.
- Training: float32, mean cross entropy of the batch, batch 256, each pass a fresh uniform permutation, the short last
  batch of a pass kept (its mean over its own rows), constant rate, no penalty, no clipping, no early stopping. Passes: Adult 10,
  letter 30, Fashion 10. SGD: v = 0.9 v + g, w = w - rate v.
- final: the weights after the last step. mean: the arithmetic mean of the weights after each step of the last pass.
- Seeds 0, 1, 2 (initial weights and order). Accuracy: share of test rows whose largest score is the label.
- Rate: tuned for final and for mean apart, by accuracy on a validation part: numpy.random.default_rng(2024)
  .permutation(n) over the training rows in file order (for letter: the remaining rows, ascending); its first n // 6
  entries validate, the rest train, with scaling and categories from the rest alone and the same passes. Rates
  0.01 0.03 0.1 0.3 1; if the best is at an end, the next of 1, 3, 10, ... is tried too,
  until it is not. Ties: the smaller rate. Mean of tuning seeds 100, 101, 102 (Fashion: 100 alone). Then all training rows,
  seeds 0, 1, 2. The test rows have no part in the choice.
"""

import argparse
import gzip
import json
import os
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before numpy is loaded

import numpy as np
import pandas as pd
import torch

BATCH = 256
SEEDS = (0, 1, 2)
TUNING_SEEDS = {"fashion": (100,), "letter": (100, 101, 102), "adult": (100, 101, 102)}
EPOCHS = {"fashion": 10, "letter": 30, "adult": 10}
HIDDEN = {"fashion": 128, "letter": 128, "adult": 64}
MODELS = ("softmax", "mlp")
LADDER = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0)
GRID = (1e-2, 3e-2, 1e-1, 3e-1, 1.0)
SERVED = ("final", "mean")
VALIDATION_SEED = 2024
VALIDATION_SHARE = 6  # one sixth of the training rows

ADULT_NUMERIC = ("age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week")
ADULT_LOG = ("capital_gain", "capital_loss")
ADULT_CATEGORIES = (
    "workclass", "education", "marital_status", "occupation",
    "relationship", "race", "sex", "native_country",
)


# ---- data: (inputs, labels) of some rows, encoded by what `fit` rows show ----


def standardised(columns, fit):
    """Mean and population deviation of the fit rows; a constant column becomes zeros."""
    x = np.asarray(columns, dtype=np.float64)
    mean, deviation = x[fit].mean(axis=0), x[fit].std(axis=0)
    return (x - mean) / np.where(deviation > 0, deviation, np.inf)


class Adult:
    """Census income: numbers and categories, two classes."""

    name, classes = "adult", 2

    def __init__(self, folder):
        frame = pd.read_csv(
            os.path.join(folder, "adult.csv.gz"), dtype=str, keep_default_na=False, na_filter=False
        )
        numbers = frame[list(ADULT_NUMERIC)].astype(np.float64)
        for column in ADULT_LOG:
            numbers[column] = np.log1p(numbers[column])
        self.numbers = numbers.to_numpy()
        self.categories = frame[list(ADULT_CATEGORIES)]
        self.labels = (frame["income"] == ">50K").to_numpy().astype(np.int64)
        self.train = np.flatnonzero((frame["split"] == "train").to_numpy())
        self.test = np.flatnonzero((frame["split"] == "test").to_numpy())

    def encode(self, fit):
        """All rows, scaled and one-hot as the fit rows say."""
        parts = [standardised(self.numbers, fit)]
        for column in ADULT_CATEGORIES:
            values = self.categories[column].to_numpy().astype(str)
            known = np.unique(values[fit])
            parts.append((values[:, None] == known[None, :]).astype(np.float64))
        return np.hstack(parts).astype(np.float32)


class Letter:
    """Letter recognition: 16 small integers, 26 classes."""

    name, classes = "letter", 26

    def __init__(self, folder):
        frame = pd.read_csv(os.path.join(folder, "letter.csv.gz"))
        self.labels = np.array([ord(c) - ord("A") for c in frame["lettr"]], dtype=np.int64)
        self.numbers = frame.drop(columns="lettr").to_numpy()
        rows = len(frame)
        self.test = np.sort(np.random.default_rng(0).permutation(rows)[: rows // 5])
        self.train = np.setdiff1d(np.arange(rows), self.test)

    def encode(self, fit):
        """All rows, scaled as the fit rows say."""
        return standardised(self.numbers, fit).astype(np.float32)


class Fashion:
    """Fashion-MNIST: 784 bytes, 10 classes."""

    name, classes = "fashion", 10

    def __init__(self, folder):
        folder = os.path.join(folder, "fashion-mnist")
        images = [self.idx(folder, f"{part}-images-idx3-ubyte.gz", 16) for part in ("train", "t10k")]
        labels = [self.idx(folder, f"{part}-labels-idx1-ubyte.gz", 8) for part in ("train", "t10k")]
        self.labels = np.concatenate(labels).astype(np.int64)
        self.inputs = np.concatenate(images).reshape(len(self.labels), 784).astype(np.float32) / 255
        first = len(labels[0])
        self.train, self.test = np.arange(first), np.arange(first, len(self.labels))

    @staticmethod
    def idx(folder, name, header):
        """The bytes after the header of an idx file."""
        with gzip.open(os.path.join(folder, name)) as file:
            return np.frombuffer(file.read(), dtype=np.uint8, offset=header)

    def encode(self, fit):
        """Pixels / 255, whatever the fit rows are."""
        return self.inputs


DATA = {"adult": Adult, "letter": Letter, "fashion": Fashion}


# ---- training ----


def glorot(generator, n_in, n_out):
    """Weights [inputs, outputs] and zero biases."""
    bound = (6 / (n_in + n_out)) ** 0.5
    w = (torch.rand(n_in, n_out, generator=generator) * 2 - 1) * bound
    return [w.requires_grad_(), torch.zeros(n_out, requires_grad=True)]


def scores(parameters, x):
    """x W + b, relu, x W + b; or the first alone."""
    z = torch.addmm(parameters[1], x, parameters[0])
    return z if len(parameters) == 2 else torch.addmm(parameters[3], torch.relu(z), parameters[2])


def train(x, y, widths, rate, epochs, seed):
    """The final weights and the mean of the weights over the last pass."""
    generator = torch.Generator().manual_seed(seed)
    parameters = [p for pair in zip(widths, widths[1:]) for p in glorot(generator, *pair)]
    optimiser = torch.optim.SGD(parameters, lr=rate, momentum=0.9, foreach=False)
    total, steps = [torch.zeros_like(p, dtype=torch.float64) for p in parameters], 0
    for epoch in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        for batch in order.split(BATCH):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(scores(parameters, x[batch]), y[batch]).backward()
            optimiser.step()
            if epoch == epochs - 1:
                steps += 1
                for t, p in zip(total, parameters):
                    t.add_(p.detach())
    final = [p.detach().clone() for p in parameters]
    return {"final": final, "mean": [(t / steps).float() for t in total]}


def measure(parameters, x, y):
    """Accuracy and mean cross entropy."""
    with torch.no_grad():
        z = scores(parameters, x)
        accuracy = (z.argmax(dim=1) == y).double().mean().item()
        return accuracy, torch.nn.functional.cross_entropy(z, y).item()


class Problem:
    """One data set cut into training and scored rows, with one model."""

    def __init__(self, data, fit, scored, model):
        encoded = data.encode(fit)
        self.x, self.y = torch.from_numpy(encoded[fit]), torch.from_numpy(data.labels[fit])
        self.x_scored = torch.from_numpy(encoded[scored])
        self.y_scored = torch.from_numpy(data.labels[scored])
        hidden = [HIDDEN[data.name]] if model == "mlp" else []
        self.widths = [self.x.shape[1], *hidden, data.classes]
        self.epochs = EPOCHS[data.name]

    def run(self, rate, seed):
        """(accuracy, loss) of both kinds of served weights."""
        states = train(self.x, self.y, self.widths, rate, self.epochs, seed)
        return {s: measure(states[s], self.x_scored, self.y_scored) for s in SERVED}


def validation_split(rows):
    """(fit, validation): see above."""
    shuffled = rows[np.random.default_rng(VALIDATION_SEED).permutation(len(rows))]
    count = len(rows) // VALIDATION_SHARE
    return np.sort(shuffled[count:]), np.sort(shuffled[:count])


def tune(problem, seeds):
    """Validation accuracy of every rate tried and the best rate for each kind of served weights."""
    tried = {}

    def try_rate(rate):
        runs = [problem.run(rate, seed) for seed in seeds]
        tried[rate] = {s: float(np.mean([r[s][0] for r in runs])) for s in SERVED}

    def best(served):
        return max(sorted(tried), key=lambda rate: tried[rate][served])

    for rate in GRID:
        try_rate(rate)
    while True:
        wanted = set()
        for s in SERVED:
            place = LADDER.index(best(s))
            wanted |= {LADDER[p] for p in (place - 1, place + 1) if 0 <= p < len(LADDER)}
        missing = sorted(wanted - set(tried))
        if not missing:
            return {rate: tried[rate] for rate in sorted(tried)}, {s: best(s) for s in SERVED}
        for rate in missing:
            try_rate(rate)


def baseline(data, model):
    """Tune, then train on all training rows with each seed."""
    start = time.process_time()
    fit, held = validation_split(data.train)
    tried, rates = tune(Problem(data, fit, held, model), TUNING_SEEDS[data.name])
    problem = Problem(data, data.train, data.test, model)
    runs = {rate: [problem.run(rate, seed) for seed in SEEDS] for rate in set(rates.values())}
    result = {
        "data": data.name, "model": model, "widths": problem.widths,
        "epochs": problem.epochs, "train_rows": len(data.train), "test_rows": len(data.test),
        "validation_accuracy": {f"{rate:g}": v for rate, v in tried.items()},
    }
    for s in SERVED:
        accuracy = [r[s][0] for r in runs[rates[s]]]
        result[s] = {
            "rate": rates[s], "accuracy": accuracy, "accuracy_mean": float(np.mean(accuracy)),
            "log_loss": [r[s][1] for r in runs[rates[s]]],
        }
    result["cpu_seconds"] = round(time.process_time() - start, 1)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data_dir")
    parser.add_argument("--out", default=".")
    parser.add_argument("--only", default="adult,letter,fashion")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    document = {
        "versions": {"numpy": np.__version__, "pandas": pd.__version__, "torch": torch.__version__},
        "batch": BATCH, "seeds": SEEDS, "tuning_seeds": TUNING_SEEDS,
        "validation": {"seed": VALIDATION_SEED, "share": f"1/{VALIDATION_SHARE}"},
        "results": [],
    }
    for name in arguments.only.split(","):
        data = DATA[name](arguments.data_dir)
        if name == "letter":
            np.savetxt(os.path.join(arguments.out, "letter_test_rows.txt"), data.test, fmt="%d")
        for model in MODELS:
            result = baseline(data, model)
            document["results"].append(result)
            served = (f"{s}: rate {result[s]['rate']:g}, {100 * result[s]['accuracy_mean']:.2f} %" for s in SERVED)
            print(name, model, *served, f"{result['cpu_seconds']} s", sep="; ", flush=True)
        with open(os.path.join(arguments.out, "baselines.json"), "w") as file:
            json.dump(document, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
