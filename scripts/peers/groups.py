#!/usr/bin/env python3
"""What deleting many people at once costs, whose records are many, of the training of all of them.

    python3 groups.py SISA_BINARY SCRATCH DATA_DIR [--trials 3]

The records of Adult (as in sets.py, without a missing value) as those of people with 200 records each: the rows in order, 200 a person. `sisa bench` deletes 1, 30, 60
and 99 at once of the 104 that it does not hold out, each trial on a fresh copy, from `forest` and from `ridge` in five shards of one slice. Prints a section of docs/BENCHMARKS.md.
Python's standard library alone.
"""
import argparse
import csv
import datetime
import gzip
import json
import os
import shutil
import statistics
import subprocess
from pathlib import Path

EACH, ROWS, SIZES = 200, 24_000, (1, 30, 60, 99)


def table(source, path):
    with gzip.open(source, "rt", newline="") as file:
        rows = [row for row in csv.DictReader(file) if "?" not in row.values() and "" not in row.values() and row.pop("split") == "train"][:ROWS]
    with open(path, "w", newline="") as out:
        writer = csv.DictWriter(out, ("person", *rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({"person": f"p{at // EACH:03}", **row} for at, row in enumerate(rows))


def bench(binary, folder, source, learner, trials):
    """Seconds of a training, and by size of a deletion until it is in effect and until it is repaired: medians."""
    folder.mkdir()
    call = [binary, "-w", folder, "--json", "--quiet", "bench", "--source", source, "--subject", "person", "--label", "income", "--learner", learner, "--shards", 5,
            "--slices", 1, "--requests", ",".join(map(str, SIZES)), "--one-by-one", 0, "--frontier", 0, "--memory", 0, "--trials", trials, "--threads", 2]
    lines = [json.loads(line) for line in subprocess.run(list(map(str, call)), capture_output=True, text=True, check=True).stdout.splitlines()]
    shutil.rmtree(folder)
    training = statistics.median(line["seconds"] for line in lines if line["type"] == "bench_training" and line["what"] == "ensemble")
    found = {}
    for size in SIZES:
        of = [line for line in lines if line["type"] == "bench_deletion" and line["requests"] == size]
        found[size] = [statistics.median(line[key] for line in of) for key in ("records", "effective_alone_seconds", "repaired_seconds")]
    return training, found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("scratch")
    parser.add_argument("data")
    parser.add_argument("--trials", type=int, default=3)
    arguments = parser.parse_args()
    binary, scratch, load = os.path.abspath(arguments.binary), Path(arguments.scratch).resolve() / "groups", os.getloadavg()[0]
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    table(Path(arguments.data) / "adult.csv.gz", scratch / "groups.csv")
    lines = []
    for learner in ("forest", "ridge"):
        training, found = bench(binary, scratch / "bench", scratch / "groups.csv", learner, arguments.trials)
        for size, (records, effective, repaired) in found.items():
            lines.append((learner, size, f"{records:,.0f}", f"{1e3 * training:,.0f} ms", f"{1e3 * effective:,.0f} ms", f"{1e3 * repaired:,.0f} ms", f"{repaired / training:.2f}"))
    shutil.rmtree(scratch)
    print(f"Medians of {arguments.trials} trials; {os.cpu_count()} cores; {datetime.date.today()}; load {load:.1f} when it began and {os.getloadavg()[0]:.1f} at the end.\n")
    for line in (("learner", "people", "records", "training", "effective", "repaired", "repaired, of a training"), ("---",) * 7, *lines):
        print("| " + " | ".join(map(str, line)) + " |")


if __name__ == "__main__":
    main()
