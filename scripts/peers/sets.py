#!/usr/bin/env python3
"""Learners of sets beside their peers: the engine's `forest` beside DaRE and scikit-learn's forests, its `ridge` beside RidgeClassifier.

    python3 sets.py SISA_BINARY SCRATCH DATA_DIR [--dare PYTHON] [--quick]

DATA_DIR holds adult.csv.gz (the UCI columns with names, `id`, and `split`: train or test) and fashion-mnist/ with its four files. Adult: rows without a missing
value; of the 30,162 of its training part 24,129 are drawn by the seed, as many as published comparisons train on; all 15,060 of its test part test.
All sides get the very same rows; the peers as float32 with a column for each category, the engine as CSV (also of the
images, with a number for an id, so that one of them can be named).

DaRE (Brophy and Lowd 2021, package `dare-rf`) has wheels up to Python 3.10 and needs an older NumPy, so it runs in a Python of its own:

    python3.10 -m venv DARE && DARE/bin/pip install "numpy<1.24" "scikit-learn<1.4" dare-rf==1.1.4
    python3 sets.py SISA_BINARY SCRATCH DATA_DIR --dare DARE/bin/python
"""
import argparse
import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

import purchase
from engine import Engine

TRAIN_ROWS, SEEDS, THREADS = 24_129, (0, 1, 2), 2
# Ends of the columns as the census defines them, not read off the rows.
RANGES = {"age": (17, 90), "fnlwgt": (12_000, 1_500_000), "education_num": (1, 16), "capital_gain": (0, 100_000), "capital_loss": (0, 4_400),
          "hours_per_week": (1, 99)}
SKEWED = ("capital_gain", "capital_loss")
CATEGORIES = ("workclass", "education", "marital_status", "occupation", "relationship", "race", "sex", "native_country")
FORESTS = {"forest, 5 x 16 trees": 16, "forest, 5 x 20 trees": 20}
FOREST = "kind = \"forest\"\ntrees = {trees}\ndepth = 12\nmin_split = 10"
RELU = 'kind = "relu", dimension = 1024'
IMAGE = 'kind = "image", width = 28, height = 28, dimension = {dimension}'
PEER_FORESTS = {
    "ExtraTreesClassifier, as ours": ("ExtraTreesClassifier", 12, 10), "ExtraTreesClassifier, default": ("ExtraTreesClassifier", None, 2),
    "RandomForestClassifier, as ours": ("RandomForestClassifier", 12, 10), "RandomForestClassifier, default": ("RandomForestClassifier", None, 2)}
DARES = {"DaRE, T = 50": 50, "DaRE, T = 100": 100}


# ---- rows ----


def read_adult(path):
    """Rows without a missing value, by part."""
    with gzip.open(path, "rt", newline="") as file:
        rows = [row for row in csv.DictReader(file) if "?" not in row.values() and "" not in row.values()]
    return {part: [row for row in rows if row["split"] == part] for part in ("train", "test")}


def adult(parts, folder, seed, rows):
    """The same rows for both sides: train.csv, test.csv, rows.npz, scaled.npz (numbers standardised). Returns columns of sisa.toml."""
    chosen = sorted(np.random.default_rng(seed).permutation(len(parts["train"]))[:rows])
    sides = {"train": [parts["train"][i] for i in chosen], "test": parts["test"]}
    values = {name: sorted({row[name] for part in parts.values() for row in part}) for name in CATEGORIES}
    header = ("id", *RANGES, *CATEGORIES, "income")
    arrays = {}
    for name, part in sides.items():
        with open(folder / f"{name}.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, header, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(part)
        numbers = np.array([[float(row[n]) for n in RANGES] for row in part])
        hot = np.array([[row[n] == v for n in CATEGORIES for v in values[n]] for row in part])
        arrays[name] = numbers, hot, np.array([row["income"] == ">50K" for row in part], np.int32)
    for name in ("rows", "scaled"):
        sets = {}
        for side, prefix in (("train", ""), ("test", "test_")):
            numbers, hot, y = arrays[side]
            if name == "scaled":
                skewed = [n in SKEWED for n in RANGES]
                base, numbers = np.where(skewed, np.log1p(arrays["train"][0]), arrays["train"][0]), np.where(skewed, np.log1p(numbers), numbers)
                numbers = (numbers - base.mean(0)) / base.std(0)
            sets |= {f"{prefix}x": np.hstack([numbers, hot]).astype(np.float32), f"{prefix}y": y}
        np.savez(folder / f"{name}.npz", **sets)
    columns = [f'{n} = {{ kind = "number", range = [{low}, {high}]{", log1p = true" if n in SKEWED else ""} }}' for n, (low, high) in RANGES.items()]
    columns += [f'{n} = {{ kind = "category", values = {json.dumps(values[n])} }}' for n in CATEGORIES]
    return ('subject = "id"\nrecord = ["id"]\n[label]\ncolumn = "income"\nvalues = ["<=50K", ">50K"]', columns)


def fashion(source, folder, rows):
    """train.csv, test.csv with ids for the engine and fashion.npz for the peers, grey levels from 0 to 1; `rows` of the training part."""
    sets = {}
    for part, side, prefix, count in (("train", "train", "", rows), ("t10k", "test", "test_", 10_000)):
        read = lambda kind, skip: np.frombuffer(gzip.decompress((source / f"{part}-{kind}-ubyte.gz").read_bytes()), np.uint8, offset=skip)
        x, y = read("images-idx3", 16).reshape(-1, 784)[:count], read("labels-idx1", 8)[:count]
        purchase.write_csv(folder / f"{side}.csv", x, y, first=0 if side == "train" else 5_000_000)
        sets |= {f"{prefix}x": x.astype(np.float32) / np.float32(255), f"{prefix}y": y.astype(np.int32)}
    np.savez(folder / "fashion.npz", **sets)
    classes = json.dumps([f"{c:02d}" for c in range(10)])
    return f'subject = "id"\nrecord = ["id"]\n[label]\ncolumn = "class"\nvalues = {classes}', ['"b0..b783" = { kind = "byte", scale = 0.00392156862745098 }']


# ---- sides ----


def peer(python, table, **ask):
    """What sets_peer.py measured."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    script = Path(__file__).resolve().parent / "sets_peer.py"
    done = subprocess.run([python, script, table, json.dumps(ask)], capture_output=True, text=True,
                          env={**os.environ, **dict.fromkeys(names, str(ask.get("threads", 1)))})
    if done.returncode:
        raise RuntimeError(f"{ask}: {done.stderr}")
    return json.loads(done.stdout)


def why_no_dare(python):
    """None where that Python has DaRE, else one line that says what is wrong."""
    if not python:
        return "no Python with it was given (`--dare`)"
    try:
        done = subprocess.run([python, "-c", "import dare; dare.Forest"], capture_output=True, text=True)
    except OSError as error:
        return error.strerror or "that Python can't be run"
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["its import failed"])[-1]


def dare_versions(python):
    """What DaRE runs on: {dare, python, numpy}."""
    code = ("import json, platform, numpy; from importlib.metadata import version; "
            "print(json.dumps({'dare': version('dare-rf'), 'python': platform.python_version(), 'numpy': numpy.__version__}))")
    return json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)


def toml(head, columns, shards, learner):
    return "\n".join(["[data]", head, "[columns]", *columns, "[shards]", f"shards = {shards}", "slices = 1", "[learner]", learner, ""])


def engine(binary, folder, text, train, test, seed, ids, memory):
    """One workspace: training, accuracy, then durable deletions through the command line, one at a time."""
    side = Engine(binary, folder, THREADS)
    side.configure(text)
    # The peers hold their rows already, so the import is not compared: `trained.seconds` has none of it.
    whole, lines = side.run("train", *train, "--seed", seed, "--holdout", 0, "--yes")
    found = {"train": lines["trained"]["seconds"], "import_and_train": whole, "bytes": lines["trained"]["bytes"],
             "accuracy": side.run("eval", *test)[1]["evaluated"]["accuracy"], "delete": []}
    for name in ids:
        whole, lines = side.run("delete", "--subject", name)
        found["delete"].append({"whole": whole, "effective": lines["effective"]["seconds"], "repaired": lines["repaired"]["seconds"],
                                "row_passes": lines["repaired"]["row_passes"]})
    if memory:
        found["in_memory"] = in_memory(side, train, "forest" if 'kind = "forest"' in text else "ridge")
    shutil.rmtree(folder)
    return found


def in_memory(side, train, learner):
    """The `bench_memory` line of this learner, or None from a binary that prints none."""
    lines = side.lines("bench", "--source", *train, "--requests", 1, "--frontier", 0, "--trials", 1)[1]
    found = [line for line in lines if line["type"] == "bench_memory" and line["learner"].startswith(learner)]
    return found[-1] if found else None


# ---- measuring ----


def of_adult(binary, scratch, data, dare, quick, say):
    """Samples of every side by seed, {side: [..]}; sides take turns within a seed."""
    parts, found = read_adult(data / "adult.csv.gz"), {}
    rows, seeds, deletions, durable = (2_000, SEEDS[:1], 20, 2) if quick else (TRAIN_ROWS, SEEDS, 400, 9)
    absent = why_no_dare(dare)
    for seed in seeds:
        folder = scratch / f"adult-{seed}"
        folder.mkdir(parents=True)
        head, columns = adult(parts, folder, seed, rows)
        with open(folder / "train.csv", newline="") as file:
            names = [row["id"] for row in csv.DictReader(file)]
        ids = [names[i] for i in np.random.default_rng([seed, 8]).permutation(len(names))[:durable]]
        sides = {name: (5, FOREST.format(trees=trees)) for name, trees in FORESTS.items()}
        sides["ridge, relu 1024"] = (2, f'kind = "ridge"\nstrength = 1e-4\nbins = 16\nmap = {{ {RELU} }}')
        for name, (shards, learner) in sides.items():
            found.setdefault(name, []).append(engine(binary, folder / "workspace", toml(head, columns, shards, learner), [folder / "train.csv"],
                                                     [folder / "test.csv"], seed, ids, seed == seeds[0]))
        for name, (kind, depth, split) in PEER_FORESTS.items():
            found.setdefault(name, []).append(peer(sys.executable, folder / "rows.npz", peer=kind, trees=100, depth=depth, split=split,
                                                   threads=THREADS, seed=seed))
        found.setdefault("RidgeClassifier, inputs", []).append(
            peer(sys.executable, folder / "scaled.npz", peer="RidgeClassifier", strength=1e-4, dimension=0, threads=THREADS, seed=seed))
        for name, trees in () if absent else DARES.items():
            found.setdefault(name, []).append(peer(dare, folder / "rows.npz", peer="DaRE", trees=trees, depth=20, cuts=5, deletions=deletions, seed=seed))
        shutil.rmtree(folder)
        say(f"Adult, seed {seed}: " + ", ".join(f"{name} {100 * s[-1]['accuracy']:.2f} % {s[-1]['train']:.2f} s" for name, s in found.items()))
    return {"rows": rows, "test_rows": len(parts["test"]), "no_dare": absent, "dare": None if absent else dare_versions(dare), "sides": found}


def of_fashion(binary, scratch, data, quick, say):
    """As `of_adult`, with one seed: training takes seconds, and accuracies of three seeds are in docs/ACCURACY.md."""
    rows, durable = (2_000, 1) if quick else (60_000, 3)
    folder, found = scratch / "fashion", {}
    folder.mkdir(parents=True)
    head, columns = fashion(data / "fashion-mnist", folder, rows)
    for dimension, strength in ((200, 1e-4),) if quick else ((2_000, 1e-5), (4_000, 1e-4)):
        learner = f'kind = "ridge"\nstrength = {strength!r}\nbins = 1\nmap = {{ {IMAGE.format(dimension=dimension)} }}'
        ids = [purchase.name_of(n) for n in np.random.default_rng(8).permutation(rows)[:durable]]
        found[f"ridge, image {dimension}"] = [engine(binary, folder / "workspace", toml(head, columns, 2, learner), [folder / "train.csv"],
                                                     [folder / "test.csv"], 1, ids, True)]
        found[f"RidgeClassifier, relu {dimension}"] = [peer(sys.executable, folder / "fashion.npz", peer="RidgeClassifier", strength=1e-4,
                                                           dimension=dimension, threads=THREADS, seed=1)]
        say(f"Fashion-MNIST, {dimension}: " + ", ".join(f"{name} {100 * s[-1]['accuracy']:.2f} % {s[-1]['train']:.2f} s" for name, s in found.items()))
    found["RidgeClassifier, pixels"] = [peer(sys.executable, folder / "fashion.npz", peer="RidgeClassifier", strength=1e-4, dimension=0,
                                             threads=THREADS, seed=1)]
    shutil.rmtree(folder)
    return {"rows": rows, "test_rows": 10_000, "sides": found}


def measure(binary, scratch, data, dare, quick, say):
    """All samples: {adult: {rows, test_rows, no_dare, sides}, fashion: {..}}."""
    scratch, data = Path(scratch) / "sets", Path(data)
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    found = {"adult": of_adult(binary, scratch, data, dare, quick, say), "fashion": of_fashion(binary, scratch, data, quick, say)}
    shutil.rmtree(scratch)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("scratch")
    parser.add_argument("data")
    parser.add_argument("--dare", metavar="PYTHON")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.binary, arguments.scratch, arguments.data, arguments.dare, arguments.quick,
                             lambda line: print(line, file=sys.stderr, flush=True))))


if __name__ == "__main__":
    main()
