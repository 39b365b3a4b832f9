#!/usr/bin/env python3
"""How long durable deletions from learners of sets take, of several builds in turn, beside what the disk
takes for as many bytes.

    python3 durable.py SCRATCH DATA_DIR NAME=SISA_BINARY [NAME=SISA_BINARY ..] [--deletions 21] [--fashion]

Adult (as in sets.py, one seed): `forest` of 5 x 20 trees, `ridge` with 1,024 and with 2,000 random features
in two shards; with --fashion also Fashion-MNIST, `ridge` with 2,000. Each build has a workspace of its own,
trained by the first; then they take turns, one person at a time, the same ids: `sisa delete --subject ID
--threads 2`. Effective is from the start of the process until it has printed that line; after `accepted` is
the part of it from when the ledger holds the request (everything slow is prepared before); whole is until the
process has ended, with the repair and its receipt.

Disk is what this disk takes, in the same turns, to make as many bytes durable as a deletion must before it is
in effect: a new file of the slice's size that takes the place of another, and two of an entry's, each
written, synced, renamed and its folder synced. `with state` adds a file of the state's size.

Prints a table of docs/BENCHMARKS.md. Under `chrt -f 10` (as root) the figures are of a machine at rest,
whatever else is at work on it.
"""
import argparse
import datetime
import os
import shutil
import statistics
import time
from pathlib import Path

import numpy as np

import purchase
import sets
from engine import Engine

ENTRY = 1_200
LEARNERS = {
    "Adult, forest, 5 x 20 trees": (5, sets.FOREST.format(trees=20)),
    "Adult, ridge, relu 1024": (2, 'kind = "ridge"\nstrength = 1e-4\nbins = 16\nmap = { kind = "relu", dimension = 1024 }'),
    "Adult, ridge, relu 2000": (2, 'kind = "ridge"\nstrength = 1e-4\nbins = 16\nmap = { kind = "relu", dimension = 2000 }'),
}
IMAGE = {"Fashion-MNIST, ridge, image 2000": (2, f'kind = "ridge"\nstrength = 1e-5\nbins = 1\nmap = {{ {sets.IMAGE.format(dimension=2000)} }}')}


def synced(folder, size):
    """Seconds until a file of so many bytes is in its place, durably."""
    content, start = os.urandom(size), time.perf_counter()
    with open(folder / "new", "wb") as file:
        file.write(content)
        file.flush()
        os.fdatasync(file.fileno())
    os.rename(folder / "new", folder / f"file-{size}")
    names = os.open(folder, os.O_RDONLY)
    os.fsync(names)
    os.close(names)
    return time.perf_counter() - start


def largest(folder, end):
    return max(path.stat().st_size for path in folder.rglob(f"*{end}"))


def turns(builds, scratch, text, train, ids):
    """Seconds by build: {name: [(effective, after accepted, whole)]}; of the disk, without and with the state.

    And the bytes of a slice and of a state.
    """
    folders = {name: scratch / name for name in builds}
    first = next(iter(folders.values()))
    side = Engine(next(iter(builds.values())), first, 2)
    side.configure(text)
    side.run("train", train, "--seed", 0, "--holdout", 0, "--yes")
    for folder in list(folders.values())[1:]:
        shutil.copytree(first, folder)
    bytes_of = largest(first, ".slice"), largest(first, ".ckpt")
    disk = scratch / "disk"
    disk.mkdir()
    found, floor = {name: [] for name in builds}, []
    for name in ids:
        for build, binary in builds.items():
            effective, whole, lines = Engine(binary, folders[build], 2).until("effective", "delete", "--subject", name)
            assert lines["repaired"]["row_passes"] == 0
            found[build].append((effective, lines["effective"]["seconds"], whole))
        bare = synced(disk, bytes_of[0]) + synced(disk, ENTRY) + synced(disk, ENTRY)
        floor.append((bare, bare + synced(disk, bytes_of[1])))
    for folder in (disk, *folders.values()):
        shutil.rmtree(folder)
    return found, floor, bytes_of


def milliseconds(values):
    values = [1e3 * value for value in values]
    return f"{statistics.median(values):.1f} ({min(values):.1f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scratch")
    parser.add_argument("data")
    parser.add_argument("builds", nargs="+", metavar="NAME=SISA_BINARY")
    parser.add_argument("--deletions", type=int, default=21)
    parser.add_argument("--fashion", action="store_true")
    arguments = parser.parse_args()
    builds = {name: os.path.abspath(binary) for name, _, binary in (build.partition("=") for build in arguments.builds)}
    scratch, data = Path(arguments.scratch) / "durable", Path(arguments.data)
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    load, lines = os.getloadavg()[0], []
    head, columns = sets.adult(sets.read_adult(data / "adult.csv.gz"), scratch, 0, sets.TRAIN_ROWS)
    names = [line.partition(",")[0] for line in (scratch / "train.csv").read_text().splitlines()[1:]]
    people = [names[i] for i in np.random.default_rng(8).permutation(len(names))[:arguments.deletions]]
    cases = [(name, shards, sets.toml(head, columns, shards, learner), scratch / "train.csv", people) for name, (shards, learner) in LEARNERS.items()]
    if arguments.fashion:
        folder = scratch / "fashion"
        folder.mkdir()
        head, columns = sets.fashion(data / "fashion-mnist", folder, 60_000)
        people = [purchase.name_of(n) for n in np.random.default_rng(8).permutation(60_000)[:arguments.deletions]]
        cases += [(name, shards, sets.toml(head, columns, shards, learner), folder / "train.csv", people) for name, (shards, learner) in IMAGE.items()]
    for name, shards, text, train, ids in cases:
        found, floor, (slice_bytes, state_bytes) = turns(builds, scratch, text, train, ids)
        for build, samples in found.items():
            lines.append((name, f"{slice_bytes / 1e6:.2f}", f"{state_bytes / 1e6:.2f}", build, *(milliseconds(column) for column in zip(*samples)),
                          milliseconds(bare for bare, _ in floor), milliseconds(all_ for _, all_ in floor)))
    shutil.rmtree(scratch)
    table = [("", "slice, MB", "state, MB", "build", "effective, ms", "after `accepted`, ms", "whole process, ms", "disk, ms", "disk with state, ms"), ("---",) * 9, *lines]
    print(f"{arguments.deletions} deletions each, in turns, medians (and the least); {os.cpu_count()} cores; {datetime.date.today()}; load {load:.1f} when it began and "
          f"{os.getloadavg()[0]:.1f} at the end.\n")
    print("\n".join("| " + " | ".join(row) + " |" for row in table))


if __name__ == "__main__":
    main()
