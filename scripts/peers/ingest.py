#!/usr/bin/env python3
"""How fast a CSV gets in, and how much memory a large one takes.

    python3 ingest.py SISA_BINARY TEMPORARY_FOLDER [--rows 5000000] [--repeats 3] [--bits PURCHASE_FOLDER] [--quick] [--markdown]

Two files: the Purchase-like train.csv (from purchase.py; 600 bytes a row) and a seeded one of 20 numbers (8 characters each), an id and a
number to learn. Both are imported at S = 20, R = 1, with one pass of the cheapest learner there is (a linear one).

- import: the wall time of `sisa train` as a process, less the `seconds` of training that it reports. So it holds the start of the process,
  reading and checking every cell, the keyed hashes, writing the slices (encoded, spread over 20 shards, digested and synced), and the
  ledger; it also holds the reading of the slices' headers and whatever else the command does around training.
- read: the part of it until every cell is checked and encoded, every id hashed, and the rows lie sorted by shard in a scratch file, as the engine
  reports it. It is what compares with a parser's work, and does more.
- the peers: the wall time of read_csv in a process of its own, without its start and its imports: all cells to float32 (the id and the
  label as well). They parse and keep; they write nothing. pandas by the C parser and by its pyarrow engine, polars, and PyArrow, as far as they
  are installed, each with the threads that it takes by itself: as many as there are cores, as the engine does.
- processor: seconds of all threads together; of the engine for the whole process, with training. Divided by the wall time it says how many
  threads were at work.
- peak memory: the maximal resident set of the process, as the kernel counts it (getrusage), for import and training together. Pages of
  files that are mapped count while they are resident.

The peers take turns. The file has been read once before, so that all find it in the page cache. Needs 2 GB of disk.
"""
import argparse
import datetime
import importlib.metadata
import importlib.util
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
READ = """
import sys, time
{imports}
names = open(sys.argv[1]).readline().strip().split(",")
start, used = time.perf_counter(), time.process_time()
table = {read}
print(time.perf_counter() - start, time.process_time() - used, len(table))
"""
# By name in the samples: as the tables call it, the packages it needs, and its call.
PEERS = {
    "c": ("pandas, c", ("pandas",), 'pandas.read_csv(sys.argv[1], dtype="float32", engine="c")'),
    "pyarrow": ("pandas, pyarrow", ("pandas", "pyarrow"), 'pandas.read_csv(sys.argv[1], dtype="float32", engine="pyarrow")'),
    "polars": ("polars", ("polars",), "polars.read_csv(sys.argv[1], schema_overrides={name: polars.Float32 for name in names})"),
    "arrow": ("PyArrow", ("pyarrow", "pyarrow.csv"), "pyarrow.csv.read_csv(sys.argv[1], convert_options=pyarrow.csv.ConvertOptions("
              "column_types={name: pyarrow.float32() for name in names}))"),
}
HEAD = ("table", "rows", "MB", "", "reading, s", "import, s", "processor, s", "rows/s", "MB/s", "peak memory, MB")


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


def there(packages):
    return all(importlib.util.find_spec(package.partition(".")[0]) for package in packages)


def peer(table, name):
    _, packages, read = PEERS[name]
    imports = "\n".join(f"import {package}" for package in packages)
    _, _, peak, out = child([sys.executable, "-c", READ.format(imports=imports, read=read), str(table)])
    wall, used, _ = out.split()
    return {"import": float(wall), "cpu": float(used), "peak": peak}


def measure(binary, scratch, rows, repeats, bits, say):
    """Samples of both files: a list of {table, bytes, rows, engine: [..], and each of `PEERS` that is installed: [..]}."""
    scratch = Path(scratch)
    numbers = scratch / f"numbers-{rows}.csv"
    write_numbers(numbers, rows)
    classes = [f"{c:02d}" for c in range(purchase.CLASSES)]
    found = []
    parsers = [name for name, (_, packages, _) in PEERS.items() if there(packages)]
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
                entry[parser].append(peer(table, parser))
        entry["rows"] = entry["engine"][0]["rows"]
        found.append(entry)
        say(f"{name}: {entry['rows']:,} rows, " + "; ".join(
            f"{who} {statistics.median(s['import'] for s in entry[who]):.2f} s, peak {max(s['peak'] for s in entry[who]) / 1e6:,.0f} MB"
            for who in ("engine", *parsers)) + f"; the engine reads for {statistics.median(s['read'] for s in entry['engine']):.2f} s")
    numbers.unlink()
    return found


def lines(found):
    """What the samples say, a line for each side of each table, under `HEAD`."""
    for entry in found:
        for who, name in {"engine": "engine", **{who: name for who, (name, _, _) in PEERS.items()}}.items():
            if who in entry:
                seconds, used = (statistics.median(s[key] for s in entry[who]) for key in ("import", "cpu"))
                read = statistics.median(s.get("read", s["import"]) for s in entry[who])
                yield (entry["table"], f"{entry['rows']:,}", f"{entry['bytes'] / 1e6:,.0f}", name, f"{read:.2f}", f"{seconds:.2f}", f"{used:.2f}",
                       f"{entry['rows'] / seconds:,.0f}", f"{entry['bytes'] / 1e6 / seconds:,.0f}", f"{max(s['peak'] for s in entry[who]) / 1e6:,.0f}")


def markdown(binary, found, load, rows):
    """A section of docs/BENCHMARKS.md."""
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in ("pandas", "polars", "pyarrow") if there([package]))
    repeats, cores = len(found[0]["engine"]), os.cpu_count()
    raw = [f"- {entry['table']}, {who}, import, s: " + ", ".join(f"{s['import']:.3f}" for s in entry[who])
           for entry in found for who in ("engine", *PEERS) if who in entry]
    return "\n".join([
        "## Import beside readers of tables", "",
        f"Tables as in the section Import, and memory, and its columns; {repeats} rounds in which all take turns, medians. The engine imports: it also checks every cell against what is "
        "declared, hashes ids under a key, sorts rows into shards, and writes and syncs them. The others parse into memory and stop. All take as many threads as there "
        f"are cores, {cores} here; the processor's seconds by those of import say how many were at work.", "",
        "    VENV/bin/pip install numpy pandas polars pyarrow", f"    VENV/bin/python scripts/peers/ingest.py SISA SCRATCH --rows {rows} --repeats {repeats} --markdown", "",
        f"{version}; {versions}; {cores} cores; {datetime.date.today()}; load {load[0]:.1f} when it began and {os.getloadavg()[0]:.1f} at the end.", "",
        "| " + " | ".join(HEAD) + " |", "| " + " | ".join("---" for _ in HEAD) + " |",
        *("| " + " | ".join(line) + " |" for line in lines(found)), "", *raw, ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("scratch")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--bits", help="folder of purchase.py; made in TEMPORARY_FOLDER without")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--markdown", action="store_true", help="print a section of docs/BENCHMARKS.md instead of the samples")
    arguments = parser.parse_args()
    load = os.getloadavg()
    rows, repeats = (50_000, 1) if arguments.quick else (arguments.rows, arguments.repeats)
    bits = arguments.bits or purchase.make(Path(arguments.scratch) / "purchase", *((5_000, 500) if arguments.quick else ()))
    found = measure(arguments.binary, arguments.scratch, rows, repeats, bits, lambda line: print(line, file=sys.stderr))
    print(markdown(os.path.abspath(arguments.binary), found, load, rows) if arguments.markdown else json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
