#!/usr/bin/env python3
"""Accuracy after many batches against training anew: half of the rows as the import, the rest as batches.

    scripts/append_accuracy.py [SISA] [--data FOLDER] [--only SET,..] [--batches 100] [--seeds 5] [--threads 2]

SISA is the binary, target/release/sisa by default. FOLDER holds adult.csv.gz and diabetes130.csv.gz; without it only the embedded data
is tried. Each set comes in two orders: shuffled, and drifting: Adult by age, diabetes130 by the number of the encounter, health_visits
by the year of the study. `sisa schema` declares columns, S, R and settings from all rows, so no batch holds a value that is not declared.

Prints, by set, order, learner and seed, the accuracy on the persons held out: before the batches on those of the import, then after the
batches and of one import of all rows on the same persons. Works in a temporary folder.
"""

import argparse
import csv
import gzip
import json
import pathlib
import random
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Label, subject, and what the rows are ordered by where they drift.
SETS = {
    "health_visits": ("doctor_visits", "person_id", "study_year"),
    "adult": ("income", "id", "age"),
    "diabetes130": ("readmitted", "patient_nbr", "encounter_id"),
}


class Sisa:
    def __init__(self, binary, threads):
        self.binary, self.threads = binary, str(threads)

    def __call__(self, work, *args):
        command = [self.binary, "-w", work, "--quiet", "--threads", self.threads, *args]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def accuracy(self, work):
        return 100 * json.loads(self(work, "eval", "--json").splitlines()[0])["accuracy"]


def read(path):
    with gzip.open(path, "rt", newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def write(path, header, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def tried(sisa, folder, name, path, args):
    label, subject, by = SETS[name]
    header, rows = read(path)
    everything = write(folder / f"{name}.csv", header, rows)
    for order in ("shuffled", "drifting"):
        random.Random(3).shuffle(rows)
        if order == "drifting":
            rows.sort(key=lambda row: float(row[header.index(by)]))
        half = len(rows) // 2
        base = write(folder / "base.csv", header, rows[:half])
        cuts = [half + (len(rows) - half) * b // args.batches for b in range(args.batches + 1)]
        batches = [write(folder / f"{b}.csv", header, rows[i:j]) for b, (i, j) in enumerate(zip(cuts, cuts[1:]))]
        for learner in ("mlp", "linear"):
            after, anew = [], []
            for seed in range(1, args.seeds + 1):
                work = [folder / f"{name}-{order}-{learner}-{seed}-{what}" for what in ("batches", "anew")]
                for w in work:
                    w.mkdir()
                    sisa(w, "schema", everything, "--label", label, "--subject", subject, "--learner", learner, "-o", w / "sisa.toml")
                sisa(work[0], "train", base, "--seed", str(seed))
                before = sisa.accuracy(work[0])
                for batch in batches:
                    sisa(work[0], "append", batch)
                sisa(work[1], "train", everything, "--seed", str(seed))
                after.append(sisa.accuracy(work[0]))
                anew.append(sisa.accuracy(work[1]))
                told = f"{before:.2f} before, {after[-1]:.2f} after, {anew[-1]:.2f} anew"
                print(f"{name:13} {order:8} {learner:6} seed {seed}: {told}", flush=True)
            means = [statistics.mean(values) for values in (after, anew)]
            told = f"{means[0]:.2f} after, {means[1]:.2f} anew: {means[0] - means[1]:+.2f}"
            print(f"{name:13} {order:8} {learner:6} mean of {len(after)}: {told}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sisa", nargs="?", default=ROOT / "target/release/sisa", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--only", default=",".join(SETS))
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    sisa = Sisa(args.sisa.resolve(), args.threads)
    with tempfile.TemporaryDirectory() as folder:
        for name in args.only.split(","):
            path = ROOT / "data/health_visits.csv.gz" if name == "health_visits" else args.data and args.data / f"{name}.csv.gz"
            if path:
                tried(sisa, pathlib.Path(folder), name, path, args)


main()
