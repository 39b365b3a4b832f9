#!/usr/bin/env python3
"""Accuracy after batches against training anew, on the embedded data: half of the rows as the import, the rest as 25 batches.

    scripts/append_accuracy.py [SISA]        the binary, target/release/sisa by default

Prints, by learner and seed, the accuracy on the persons held out: before the batches on those of the import, then after the batches and
of one import of all rows on the same persons. Works in a temporary folder.
"""

import gzip
import json
import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SISA = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/release/sisa").resolve()
BATCHES, SEEDS = 25, (1, 2, 3, 4, 5)


def accuracy(work):
    told = subprocess.run([SISA, "-w", work, "eval", "--json"], check=True, capture_output=True, text=True).stdout
    return 100 * json.loads(told.splitlines()[0])["accuracy"]


def sisa(work, *args):
    subprocess.run([SISA, "-w", work, "--quiet", *args], check=True, stdout=subprocess.DEVNULL)


def main():
    lines = gzip.open(ROOT / "data/health_visits.csv.gz", "rt").read().splitlines()
    header, rows = lines[0], lines[1:]
    random.Random(3).shuffle(rows)
    half = len(rows) // 2
    size = -(-(len(rows) - half) // BATCHES)
    config = (ROOT / "sisa.toml").read_text()
    config = "\n".join(line for line in config.splitlines() if not line.startswith("sources"))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)

        def table(name, part):
            (folder / name).write_text("\n".join([header, *part]) + "\n")
            return folder / name

        base, everything = table("base.csv", rows[:half]), table("all.csv", rows)
        batches = [table(f"{b}.csv", rows[half + b * size : half + (b + 1) * size]) for b in range(BATCHES)]
        for learner in ("mlp", "linear"):
            for seed in SEEDS:
                work = [folder / f"{learner}-{seed}-{what}" for what in ("batches", "anew")]
                for w in work:
                    w.mkdir()
                    (w / "sisa.toml").write_text(config)
                sisa(work[0], "train", base, "--learner", learner, "--seed", str(seed))
                before = accuracy(work[0])
                for batch in batches:
                    sisa(work[0], "append", batch)
                sisa(work[1], "train", everything, "--learner", learner, "--seed", str(seed))
                print(f"{learner:6} seed {seed}: {before:.2f} before, {accuracy(work[0]):.2f} after, {accuracy(work[1]):.2f} anew")


main()
