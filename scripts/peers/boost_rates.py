#!/usr/bin/env python3
"""How fast `boost` and LightGBM train and answer on many rows of numbers, what memory they take, and what
deleting one person costs.

    pip install lightgbm pandas, and the package (maturin build --release --manifest-path python/Cargo.toml)
    python3 boost_rates.py SISA_BINARY SCRATCH ADULT_CSV_GZ [--rows 1000000] [--columns 28] [--threads 1,2] [--repeats 3]

The table is made up: standard normal numbers as float32, two classes by a sum of products with noise, a test
part of a tenth. Both sides grow 100 rounds of 31 leaves at rate 0.1 with at least 20 rows in a leaf; the
engine in one shard of one slice. They take turns. Seconds of training are LightGBM's of `fit` with its
binning, from the array in memory; the engine's of `sisa train` as it reports them, with the checkpoint
synced, and of its whole process; the rows were imported before, which takes the seconds that stand beside it.
Memory is the peak of what the process that trains holds besides the table: the engine maps its slice, whose
pages are not counted; LightGBM's process holds the array, so what it had before `fit` is subtracted. Both
answer the rows that were learnt from, in memory, from one array of float32, through Python.

Then Adult by rows of one person each, S = 5, R = 4: `sisa delete --subject ..` one after the other; until
`effective` is printed, and until the process has ended, repaired. Prints tables of docs/BENCHMARKS.md.
"""
import argparse
import gzip
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from engine import Engine

LEARNER = 'kind = "boost"\nrounds = 100\nleaves = 31\nrate = 0.1\nmin_rows = 20\nl2 = 0.1'


def made_up(rows, columns):
    draws = np.random.default_rng(5)
    x = draws.standard_normal((rows, columns), dtype=np.float32)
    logit = x[:, 0] * x[:, 1] + 0.8 * x[:, 2] - np.abs(x[:, 3]) + 0.5 * np.sin(3 * x[:, 4]) + 0.3 * x[:, 5:9].sum(axis=1)
    return x, (logit + draws.logistic(size=rows) > -0.7).astype(np.int64)


def config(shards, slices, data, columns):
    return f"{data}\n[columns]\n{columns}\n[shards]\nshards = {shards}\nslices = {slices}\n[learner]\n{LEARNER}\n"


def child(*command):
    """Seconds of the whole process, its lines, and the peak of its memory but for mapped files, in megabytes."""
    begin, peak, over = time.perf_counter(), 0, threading.Event()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)

    def watch():
        nonlocal peak
        while not over.wait(0.005):
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                return
            peak = max([peak, *(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("RssAnon"))])

    watcher = threading.Thread(target=watch)
    watcher.start()
    lines = process.stdout.read()
    code = process.wait()
    seconds = time.perf_counter() - begin
    over.set()
    watcher.join()
    if code:
        raise RuntimeError(f"{command}: {lines}")
    return seconds, {line["type"]: line for line in map(json.loads, lines.splitlines())}, peak


def peer(path, threads):
    """In a process of its own: LightGBM's seconds of fit, megabytes on top of the array, accuracy, seconds of answering."""
    import lightgbm as lgb

    table = np.load(path)
    x, y, cut = table["X"], table["y"], len(table["y"]) // 10
    lgb.LGBMClassifier(n_estimators=2, n_jobs=threads, verbose=-1).fit(x[:1000], y[:1000])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    model = lgb.LGBMClassifier(n_estimators=100, num_leaves=31, learning_rate=0.1, min_child_samples=20, n_jobs=threads, verbose=-1)
    held, answers = x[cut:], y[cut:]
    begin = time.perf_counter()
    model.fit(held, answers)
    fit = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    begin = time.perf_counter()
    model.predict_proba(held)
    answer = time.perf_counter() - begin
    print(json.dumps({"type": "peer", "fit": fit, "peak": peak, "answer": answer, "accuracy": float((model.predict(x[:cut]) == y[:cut]).mean())}))


def answering(path, folder, threads):
    import sisa

    x, y = (np.load(path)[name] for name in ("X", "y"))
    cut = len(y) // 10
    ws = sisa.Workspace(folder, threads=threads)
    accuracy = float((ws.predict({"X": x[:cut]}).astype(int) == y[:cut]).mean())
    begin = time.perf_counter()
    ws.predict_proba({"X": x[cut:]})
    print(json.dumps({"type": "answering", "answer": time.perf_counter() - begin, "accuracy": accuracy}))


def rates(asked):
    x, y = made_up(asked.rows, asked.columns)
    cut = asked.rows // 10
    np.savez(asked.scratch / "all.npz", X=x, y=y)
    np.savez(asked.scratch / "train.npz", X=x[cut:], y=y[cut:], ids=np.arange(cut, asked.rows))
    ends = "\n".join(f'x{at} = {{ kind = "number", range = [{float(x[:, at].min())!r}, {float(x[:, at].max())!r}] }}' for at in range(asked.columns))
    text = config(1, 1, '[data]\nsubject = "id"\nrecord = ["id"]\n[label]\ncolumn = "y"\nvalues = ["0", "1"]', ends)
    print("| threads | who | training, s | whole process, s | accuracy, % | peak, MB | bytes a cell | answers, rows/s |\n" + "| --- " * 8 + "|")
    for threads in map(int, asked.threads.split(",")):
        ours, theirs = [], []
        for repeat in range(asked.repeats):
            folder = asked.scratch / f"{threads}-{repeat}"
            folder.mkdir()
            (folder / "sisa.toml").write_text(text)
            at = ("--workspace", folder, "--threads", threads, "--quiet", "--json")
            imported, _, _ = child(asked.sisa, "import", asked.scratch / "train.npz", "--seed", 1, "--holdout", 0, "--yes", *at)
            whole, lines, peak = child(asked.sisa, "train", *at)
            answered = child(sys.executable, __file__, "answering", asked.scratch / "all.npz", folder, threads)[1]["answering"]
            ours.append((lines["trained"]["seconds"], whole, answered["accuracy"], peak, answered["answer"], imported))
            told = child(sys.executable, __file__, "peer", asked.scratch / "all.npz", threads)[1]["peer"]
            theirs.append((told["fit"], told["fit"], told["accuracy"], told["peak"], told["answer"], 0))
            shutil.rmtree(folder)
        for who, runs in (("`boost`", ours), ("LightGBM", theirs)):
            fit, whole, accuracy, peak, answer, imported = (statistics.median(column) for column in zip(*runs))
            cells = (asked.rows - cut) * asked.columns
            whole = f"{whole:.2f}, after an import of {imported:.2f}" if imported else ""
            print(f"| {threads} | {who} | {fit:.2f} | {whole} | {100 * accuracy:.2f} | {peak:.0f} | {peak * 2**20 / cells:.1f} | {(asked.rows - cut) / answer:,.0f} |", flush=True)


def deletions(asked):
    """One person after the other from Adult."""
    import pandas as pd

    with gzip.open(asked.adult, "rt") as file:
        frame = pd.read_csv(file, keep_default_na=False).drop(columns="split")
    folder = asked.scratch / "adult"
    folder.mkdir()
    frame.to_csv(folder / "adult.csv", index=False)
    kinds = [(name, 'kind = "number"' if pd.api.types.is_numeric_dtype(column) else f'kind = "category", values = {json.dumps(sorted(column.unique()))}')
             for name, column in frame.drop(columns=["id", "income"]).items()]
    columns = "\n".join(f"{name} = {{ {kind} }}" if "category" in kind else
                        f"{name} = {{ {kind}, range = [{float(frame[name].min())!r}, {float(frame[name].max())!r}] }}" for name, kind in kinds)
    labels = json.dumps(sorted(frame["income"].unique()))
    (folder / "sisa.toml").write_text(config(5, 4, f'[data]\nsubject = "id"\nrecord = ["id"]\nmissing = []\n[label]\ncolumn = "income"\nvalues = {labels}', columns))
    engine = Engine(asked.sisa, folder, 2)
    _, lines = engine.run("train", folder / "adult.csv", "--seed", 1, "--holdout", 0, "--yes")
    print(f"\nAdult, S = 5, R = 4: training {1e3 * lines['trained']['seconds']:.0f} ms.\n")
    found = []
    for person in np.random.default_rng(2).permutation(frame["id"].to_numpy())[:21]:
        effective, whole, told = engine.until("effective", "delete", "--subject", person)
        found.append((effective, told["effective"]["seconds"], whole, told["repaired"]["row_passes"]))
    names = ("effective, from the start of the process, ms", "from `accepted` on, ms", "repaired and ended, ms")
    for name, column in zip(names, zip(*found)):
        print(f"- {name}: median {1e3 * statistics.median(column):.1f}, from {1e3 * min(column):.1f} to {1e3 * max(column):.1f}")
    passes = [row[3] for row in found]
    print(f"- row-passes: median {statistics.median(passes)}, from {min(passes)} to {max(passes)}, of {lines['trained']['row_passes']} of training")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sisa", type=os.path.abspath)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("adult", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=28)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    shutil.rmtree(asked.scratch, ignore_errors=True)
    asked.scratch.mkdir(parents=True)
    asked.scratch = asked.scratch.resolve()
    load = os.getloadavg()[0]
    rates(asked)
    deletions(asked)
    shutil.rmtree(asked.scratch)
    print(f"\nload {load:.1f} when it began and {os.getloadavg()[0]:.1f} at the end; {os.cpu_count()} cores")


if __name__ == "__main__":
    if sys.argv[1:2] == ["peer"]:
        peer(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1:2] == ["answering"]:
        answering(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
