#!/usr/bin/env python3
"""How fast a CSV gets in, and how much memory a large one takes.

    python3 ingest.py SISA_BINARY TEMPORARY_FOLDER [--rows 5000000] [--repeats 3] [--bits PURCHASE_FOLDER] [--quick]

Two files: the Purchase-like train.csv (from purchase.py; 600 bytes a row) and a seeded one of 20 numbers (8 characters each), an id and a
number to learn. Both are imported at S = 20, R = 1, with one pass of the cheapest learner there is (a linear one).

- import: the wall time of `sisa train` as a process, less the `seconds` of training that it reports. So it holds the start of the process,
  reading and checking every cell, the keyed hashes, writing the slices (encoded, spread over 20 shards, digested and synced), and the
  ledger; it also holds the reading of the slices' headers and whatever else the command does around training.
- read: the part of it until every cell is checked and encoded, every id hashed, and the rows lie sorted by shard in a scratch file, as the engine
  reports it. It is what compares with a parser's work, and does more.
- pandas: the wall time of read_csv in a process of its own, without its start and its import of pandas: all cells to float32 (the id and the
  label as well), by the C parser; and by the pyarrow engine if it is installed. It parses and keeps; it writes nothing.
- processor: seconds of all threads together; of the engine for the whole process, with training. pandas 3 parses on more than one thread too.
- peak memory: the maximal resident set of the process, as the kernel counts it (getrusage), for import and training together. Pages of
  files that are mapped count while they are resident.

The peers take turns. The file has been read once before, so that all find it in the page cache. Needs 2 GB of disk.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np

import purchase
from engine import config

COLUMNS = 20
LAUNCH = """
import os, sys, time
start = time.perf_counter()
_, status, usage = os.wait4(os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ), 0)
print(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, flush=True)
sys.exit(os.waitstatus_to_exitcode(status))
"""
PANDAS = """
import sys, time, pandas
start, used = time.perf_counter(), time.process_time()
table = pandas.read_csv(sys.argv[1], dtype="float32", engine=sys.argv[2])
print(time.perf_counter() - start, time.process_time() - used, len(table))
"""


def write_numbers(path, rows, seed=3):
    """id, x0..x19 as d.dddddd, class as d.dddddd, all lines equally long."""
    rng = np.random.default_rng(seed)
    with open(path, "wb") as out:
        out.write(("id," + ",".join(f"x{i}" for i in range(COLUMNS)) + ",class\n").encode())
        for start in range(0, rows, 50_000):
            count = min(50_000, rows - start)
            cells = np.full((count, COLUMNS + 1, 9), ord(","), np.uint8)
            cells[:, :, :8] = rng.integers(ord("0"), ord("9") + 1, (count, COLUMNS + 1, 8), np.uint8)
            cells[:, :, 1] = ord(".")
            cells[:, -1, 8] = ord("\n")
            ids = purchase.digits(np.arange(start, start + count), 7)
            out.write(np.hstack([ids, np.full((count, 1), ord(","), np.uint8), cells.reshape(count, -1)]).tobytes())


def child(call):
    """Wall and processor seconds, peak resident bytes and stdout of a process."""
    # A process starts with the peak of the one it was forked from, so a small one of its own starts it.
    done = subprocess.run([sys.executable, "-I", "-S", "-c", LAUNCH, *map(str, call)], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"{call}: exit code {done.returncode}")
    *out, last = done.stdout.splitlines()
    seconds, used, peak = last.split()
    return float(seconds), float(used), int(peak) * 1024, "\n".join(out)


def engine(binary, scratch, table, text):
    """One import and one training in a new workspace, which is then removed."""
    folder = Path(scratch) / "ingest"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "sisa.toml").write_text(text)
    wall, used, peak, out = child([os.path.abspath(binary), "-w", str(folder), "--json", "--quiet", "train", str(table), "--seed", "1", "--yes"])
    trained = next(line for line in map(json.loads, out.splitlines()) if line["type"] == "trained")
    rows, read = trained["imported"]["records"], trained["imported"]["read_seconds"]
    shutil.rmtree(folder)
    return {"rows": rows, "read": read, "import": wall - trained["seconds"], "training": trained["seconds"], "cpu": used, "peak": peak}


def pandas(table, parser):
    _, _, peak, out = child([sys.executable, "-c", PANDAS, str(table), parser])
    wall, used, _ = out.split()
    return {"import": float(wall), "cpu": float(used), "peak": peak}


def measure(binary, scratch, rows, repeats, bits, say):
    """Samples of both files: a list of {table, bytes, rows, engine: [..], pandas: [..], pyarrow: [..]}."""
    scratch = Path(scratch)
    numbers = scratch / f"numbers-{rows}.csv"
    write_numbers(numbers, rows)
    classes = [f"{c:02d}" for c in range(purchase.CLASSES)]
    found = []
    parsers = ["c"]
    try:
        import pyarrow  # noqa: F401
        parsers.append("pyarrow")
    except ImportError:
        pass
    for name, table, text in (
            ("600 bits", Path(bits) / "train.csv",
             config('"b0..b599" = { kind = "byte", scale = 1.0 }', classes, 20, 1, [], 256, 1, rate=0.01)),
            ("20 numbers", numbers, config(f'"x0..x{COLUMNS - 1}" = "number"', None, 20, 1, [], 256, 1, rate=0.01))):
        entry = {"table": name, "bytes": table.stat().st_size, "engine": [], **{parser: [] for parser in parsers}}
        with open(table, "rb") as file:
            while file.read(1 << 24):
                pass
        for _ in range(repeats):
            entry["engine"].append(engine(binary, scratch, table, text))
            for parser in parsers:
                entry[parser].append(pandas(table, parser))
        entry["rows"] = entry["engine"][0]["rows"]
        found.append(entry)
        say(f"{name}: {entry['rows']:,} rows, " + "; ".join(
            f"{who} {statistics.median(s['import'] for s in entry[who]):.2f} s, peak {max(s['peak'] for s in entry[who]) / 1e6:,.0f} MB"
            for who in ("engine", *parsers)) + f"; the engine reads for {statistics.median(s['read'] for s in entry['engine']):.2f} s")
    numbers.unlink()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("scratch")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--bits", help="folder of purchase.py; made in TEMPORARY_FOLDER without")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    rows, repeats = (50_000, 1) if arguments.quick else (arguments.rows, arguments.repeats)
    bits = arguments.bits or purchase.make(Path(arguments.scratch) / "purchase", *((5_000, 500) if arguments.quick else ()))
    print(json.dumps(measure(arguments.binary, arguments.scratch, rows, repeats, bits, lambda line: print(line, file=sys.stderr)), indent=1))


if __name__ == "__main__":
    main()
