#!/usr/bin/env python3
"""The figures of docs/SCALE.md, "On a quiet machine": processor time, wall time and memory of whole
processes on generated tables.

    python3 scripts/scale.py SISA FOLDER [--only grid,forest,wide,slices,append,batch]

Needs Linux and 2 GB of disk in FOLDER. `batch` works on what scripts/effective.py leaves in
FOLDER/effective, and makes that first. Python's standard library alone.
"""
import argparse, os, random, subprocess, sys, threading, time
from pathlib import Path

LINEAR = ('kind = "linear"\noptimizer = { kind = "sgd", momentum = 0.9 }\nrate = 0.01\ndecay = "constant"\n'
          'l2 = 0\nbatch = 64\naverage = 0.05\n[schedule]\nkind = "replay"\nepochs = 1')
FOREST = 'kind = "forest"\ntrees = 20\ndepth = 12\ncuts = 16\nmin_split = 8\ncounts = true\n[schedule]\nkind = "once"\nepochs = 1'

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("sisa", type=Path)
parser.add_argument("folder", type=Path)
parser.add_argument("--only", default="grid,forest,wide,slices,append,batch")
asked = parser.parse_args()
BINARY, ROOT = str(asked.sisa.resolve()), asked.folder.resolve()


def sisa(workspace, *words):
    """Runs a command on two threads and prints what it took; other than 0 and 4 is an error."""
    began = time.perf_counter()
    command = [BINARY, "-w", str(workspace), "--quiet", "--threads", "2", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = []
    reader = threading.Thread(target=lambda: said.append(process.stdout.read()))
    reader.start()
    _, status, used = os.wait4(process.pid, 0)
    reader.join()
    wall, code = time.perf_counter() - began, os.waitstatus_to_exitcode(status)
    if code not in (0, 4):
        sys.exit(f"{words} exited {code}: {said[0].decode()[-500:]}")
    what = " ".join(str(word) for word in words if not str(word).startswith("/"))
    print(f"{workspace.name}: {what}: {used.ru_utime + used.ru_stime:.3f} s of processor time, "
          f"{wall:.3f} s, {used.ru_maxrss / 1024:.0f} MB", flush=True)


def table(path, rows, people, numbers, first=0):
    rng = random.Random(1 + first)
    with path.open("w") as out:
        out.write("row,who," + ",".join(f"x{i}" for i in range(numbers)) + ",label\n")
        for row in range(first, first + rows):
            cells = [rng.random() for _ in range(numbers)]
            out.write(f"{row},p{rng.randrange(people)}," + ",".join(f"{cell:.4f}" for cell in cells)
                      + ("," + "AB"[sum(cells[:2]) > 1]) + "\n")


def workspace(name, numbers, shards, slices, learner):
    folder = ROOT / name
    folder.mkdir(parents=True)
    columns = "".join(f'x{i} = {{ kind = "number", range = [0, 1] }}\n' for i in range(numbers))
    (folder / "sisa.toml").write_text(
        f'[data]\nsubject = "who"\nrecord = ["row"]\n[label]\ncolumn = "label"\nvalues = ["A", "B"]\n'
        f"[columns]\n{columns}[shards]\nshards = {shards}\nslices = {slices}\n[learner]\n{learner}\n")
    return folder


def grid():
    folder, source = workspace("grid", 8, 1000, 50, LINEAR), ROOT / "grid.csv"
    table(source, 1_000_000, 250_000, 8)
    sisa(folder, "train", source, "--seed", 1)
    for person in range(3):
        sisa(folder, "delete", "--subject", f"p{100 + person}")
        sisa(folder, "status")
        sisa(folder, "train", "--only-shards", 7)
    (ROOT / "unknown").write_text("\n".join(f"nobody{i}" for i in range(1_000_000)))
    sisa(folder, "delete", "--from", ROOT / "unknown", "--yes")
    sisa(folder, "status")


def forest():
    folder, source = workspace("forest", 6, 5, 1, FOREST), ROOT / "forest.csv"
    table(source, 5_000_000, 1_000_000, 6)
    sisa(folder, "train", source, "--seed", 1)
    with source.open() as rows:
        (ROOT / "one.csv").write_text(next(rows) + next(rows))
    for _ in range(3):
        sisa(folder, "predict", ROOT / "one.csv")


def wide():
    for columns in (16_000, 131_072):
        rng, source = random.Random(2), ROOT / f"wide-{columns}.csv"
        with source.open("w") as out:
            out.write("who," + ",".join(f"c{i}" for i in range(columns - 2)) + ",label\n")
            for row in range(30):
                out.write(f"p{row % 10}," + ",".join(str(rng.randrange(1000)) for _ in range(columns - 2))
                          + f",{'AB'[row % 2]}\n")
        for name in ("schema", "train"):
            sisa(ROOT / f"wide-{columns}", name, source, "--label", "label", "--subject", "who")


def slices():
    source = ROOT / "slices.csv"
    table(source, 20, 20, 1)
    for count in (1000, 9999):
        sisa(workspace(f"slices-{count}", 1, 2, count, LINEAR), "train", source, "--seed", 1)


def append():
    learner = LINEAR.replace("epochs = 1", "epochs = 5")
    folder, source = workspace("append", 8, 10, 10, learner), ROOT / "append.csv"
    table(source, 1_000_000, 250_000, 8)
    sisa(folder, "train", source, "--seed", 1)
    for number in range(5):
        more = ROOT / f"more-{number}.csv"
        table(more, 10_000, 250_000, 8, first=1_000_000 + 10_000 * number)
        sisa(folder, "append", more)
        sisa(workspace(f"alone-{number}", 8, 10, 10, learner), "train", more, "--seed", 1)


def batch():
    folder = ROOT / "effective"
    subprocess.run([sys.executable, Path(__file__).with_name("effective.py"), BINARY, str(folder)], check=True)
    sisa(folder, "repair")
    for person in range(150_000, 150_003):
        sisa(folder, "delete", "--subject", person)
    (ROOT / "many").write_text("\n".join(str(person) for person in range(100_000, 110_000)))
    sisa(folder, "delete", "--from", ROOT / "many", "--defer")


ROOT.mkdir(parents=True, exist_ok=True)
for part in asked.only.split(","):
    {"grid": grid, "forest": forest, "wide": wide, "slices": slices, "append": append, "batch": batch}[part]()
