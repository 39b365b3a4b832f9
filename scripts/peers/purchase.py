#!/usr/bin/env python3
"""A seeded table like Purchase-100: 600 bits, 100 classes.

    python3 purchase.py FOLDER [--rows 249215] [--holdout 10000] [--seed 1] [--flip 0.41]
    python3 purchase.py FOLDER --choose SISA_BINARY [--rows 249215] [--holdout 10000] [--seed 1]

Draws 100 prototypes of 600 fair bits. A row is the prototype of a class drawn with equal chances, each bit of it turned over with
probability `flip`, independently. Writes to FOLDER `train.csv` and `test.csv` (columns id, b0..b599, class) for the engine, and
the same rows as `train.x.npy` (uint8), `train.y.npy`, `test.x.npy` and `test.y.npy` for whoever wants arrays.

How FLIP was chosen: `--choose` prints, for 0.400 to 0.415 in steps of 0.005, the accuracy on the held-out rows of one model of the
engine on all rows (S = 1, R = 1, 600-128-100 tanh, momentum 0.9, rate 0.05, batch 256, 12 passes, --seed 1), and of the best classifier
there can be, the nearest prototype. FLIP is the one at which the single model is nearest to 90 %. It printed

    flip 0.400: one model 95.93 %, nearest prototype 98.69 %
    flip 0.405: one model 93.38 %, nearest prototype 97.68 %
    flip 0.410: one model 89.13 %, nearest prototype 95.93 %
    flip 0.415: one model 84.91 %, nearest prototype 93.72 %
"""
import argparse
import shutil
from pathlib import Path

import numpy as np

ROWS, HOLDOUT, BITS, CLASSES, SEED = 249_215, 10_000, 600, 100, 1
FLIP = 0.41


def draw(rows, flip, seed, part):
    """Bits and classes; `part` (0 training, 1 held out) has a stream of its own, so that it doesn't depend on the other's size."""
    prototypes = np.random.default_rng([seed, 9]).integers(0, 2, (CLASSES, BITS), dtype=np.uint8)
    rng = np.random.default_rng([seed, part])
    y = rng.integers(0, CLASSES, rows)
    x = np.empty((rows, BITS), np.uint8)
    for start in range(0, rows, 10_000):
        part_y = y[start:start + 10_000]
        x[start:start + 10_000] = prototypes[part_y] ^ (rng.random((len(part_y), BITS), np.float32) < flip)
    return x, y, prototypes


def name_of(row):
    """The id of a row: seven digits, so that all lines are equally long and can be made as one array of bytes."""
    return f"{row:07d}"


def digits(numbers, width):
    """Numbers as an array of ASCII digits."""
    powers = 10 ** np.arange(width - 1, -1, -1)
    return (numbers[:, None] // powers % 10 + ord("0")).astype(np.uint8)


def write_csv(path, x, y, first=0):
    """id, the values of x (each one digit, or bytes of three digits), class in two digits."""
    width = 1 if x.max(initial=0) < 10 else 3
    with open(path, "wb") as out:
        out.write(("id," + ",".join(f"b{i}" for i in range(x.shape[1])) + ",class\n").encode())
        for start in range(0, len(x), 5_000):
            part = x[start:start + 5_000]
            cells = np.full((*part.shape, width + 1), ord(","), np.uint8)
            cells[:, :, :width] = digits(part.reshape(-1).astype(np.int64), width).reshape(*part.shape, width)
            ids, comma = digits(np.arange(first + start, first + start + len(part)), 7), np.full((len(part), 1), ord(","), np.uint8)
            ends = np.full((len(part), 1), ord("\n"), np.uint8)
            line = np.hstack([ids, comma, cells.reshape(len(part), -1), digits(y[start:start + 5_000], 2), ends])
            out.write(line.tobytes())


def make(folder, rows=ROWS, holdout=HOLDOUT, flip=FLIP, seed=SEED):
    """Writes all files, or nothing if those of the same settings are there."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    made, settings = folder / "purchase.txt", f"{rows} {holdout} {flip} {seed}\n"
    if made.exists() and made.read_text() == settings:
        return folder
    made.unlink(missing_ok=True)
    for part, name, count in ((0, "train", rows), (1, "test", holdout)):
        x, y, _ = draw(count, flip, seed, part)
        np.save(folder / f"{name}.x.npy", x)
        np.save(folder / f"{name}.y.npy", y)
        write_csv(folder / f"{name}.csv", x, y, first=part * 5_000_000)
    made.write_text(settings)
    return folder


def choose(binary, folder, rows, holdout, seed):
    from engine import Engine, config
    for flip in (0.4, 0.405, 0.41, 0.415):
        data = make(Path(folder) / f"flip{flip}", rows, holdout, flip, seed)
        test_x, test_y, prototypes = draw(holdout, flip, seed, 1)
        best = (test_x.astype(np.float32) @ (2 * prototypes.T.astype(np.float32) - 1) - prototypes.sum(1)).argmax(1) == test_y
        engine = Engine(binary, data, 1)
        engine.configure(config('"b0..b599" = { kind = "byte", scale = 1.0 }', [f"{c:02d}" for c in range(CLASSES)], 1, 1, [128], 256, 12))
        engine.run("train", data / "train.csv", "--seed", 1, "--yes")
        one = engine.run("eval", data / "test.csv")[1]["evaluated"]["accuracy"]
        print(f"flip {flip:.3f}: one model {100 * one:.2f} %, nearest prototype {100 * best.mean():.2f} %", flush=True)
        shutil.rmtree(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--holdout", type=int, default=HOLDOUT)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--flip", type=float, default=FLIP)
    parser.add_argument("--choose", metavar="SISA_BINARY")
    arguments = parser.parse_args()
    if arguments.choose:
        choose(arguments.choose, arguments.folder, arguments.rows, arguments.holdout, arguments.seed)
    else:
        make(arguments.folder, arguments.rows, arguments.holdout, arguments.flip, arguments.seed)


if __name__ == "__main__":
    main()
