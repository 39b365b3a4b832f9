#!/usr/bin/env python3
"""How long a deletion takes to be in effect, on 250,000 x 600 bytes with S = 20, R = 50 and an MLP.

usage: effective.py SISA_BINARY FOLDER [ROWS]

Makes a seeded table in FOLDER (100 prototypes of 600 bits, each bit flipped with probability 0.2), trains with --seed 1, then
deletes single persons and batches of 8 with --defer, and prints the medians of `seconds` (from the start of writing `accepted`
to the synced `effective`) and of the whole process, beside the time that the disk takes to sync a new file of 4 KiB. Needs 2 GB of disk. Python's standard library alone.
"""
import json, os, random, statistics, subprocess, sys, time
from pathlib import Path

binary, folder = sys.argv[1], Path(sys.argv[2])
rows = int(sys.argv[3]) if len(sys.argv) > 3 else 250_000
COLUMNS, CLASSES = 600, 100

folder.mkdir(parents=True, exist_ok=True)
table = folder / "bits.csv"
if not table.exists():
    rng = random.Random(1)
    prototypes = [rng.getrandbits(COLUMNS) for _ in range(CLASSES)]
    with table.open("w") as out:
        out.write("id," + ",".join(f"b{i}" for i in range(COLUMNS)) + ",class\n")
        for row in range(rows):
            label = rng.randrange(CLASSES)
            # AND of two random words, plus a third by halves: each bit set with probability about 0.19.
            flips = rng.getrandbits(COLUMNS) & rng.getrandbits(COLUMNS) & (rng.getrandbits(COLUMNS) | rng.getrandbits(COLUMNS))
            bits = format(prototypes[label] ^ flips, f"0{COLUMNS}b")
            out.write(f"{row}," + ",".join(bits) + f",{label}\n")
classes = ", ".join(f'"{c}"' for c in range(CLASSES))
(folder / "sisa.toml").write_text(f"""[data]
sources = ["bits.csv"]
subject = "id"
record = ["id"]
[label]
column = "class"
values = [{classes}]
[columns]
"b0..b599" = {{ kind = "byte", scale = 1.0 }}
[shards]
shards = 20
slices = 50
[learner]
kind = "mlp"
hidden = [128]
activation = "tanh"
optimizer = {{ kind = "sgd", momentum = 0.9 }}
rate = 0.05
decay = "constant"
l2 = 0.0
batch = 256
[schedule]
kind = "replay"
epochs = 2
""")


def sisa(*args):
    start = time.perf_counter()
    done = subprocess.run([binary, "-w", str(folder), "--json", "--quiet", *args], capture_output=True, text=True)
    if done.returncode not in (0, 4):
        sys.exit(done.stderr)
    return time.perf_counter() - start, [json.loads(line) for line in done.stdout.splitlines()]


seconds, lines = sisa("train", "--seed", "1")
trained = next(line for line in lines if line["type"] == "trained")
print(f"train, import included: {seconds:.1f} s; training alone {trained['seconds']:.1f} s for {trained['row_passes']:,} row-passes")
print(f"train with nothing to do: {1e3 * statistics.median(sisa('train')[0] for _ in range(5)):.1f} ms (whole process)")
def synced(path):
    start = time.perf_counter()
    with open(path, "wb") as file:
        file.write(bytes(4096))
        file.flush()
        os.fdatasync(file.fileno())
    return time.perf_counter() - start


print(f"the disk syncs a new file of 4 KiB in {1e3 * statistics.median(synced(folder / f'sync-{i}') for i in range(50)):.2f} ms (median)")
for i in range(50):
    (folder / f"sync-{i}").unlink()
person = 0
for size, rounds in ((1, 15), (8, 7)):
    effective, whole = [], []
    for _ in range(rounds):
        ids = [str(person + k) for k in range(size)]
        person += size
        wall, lines = sisa("delete", "--subject", *ids, "--defer")
        effective.append(1e3 * next(line["seconds"] for line in lines if line["type"] == "effective"))
        whole.append(1e3 * wall)
    print(f"{size} person(s): effective after {statistics.median(effective):.1f} ms median ({min(effective):.1f} to {max(effective):.1f}), "
          f"whole process {statistics.median(whole):.1f} ms")
seconds, lines = sisa("repair")
print(f"repair of them all: {seconds:.1f} s; {lines[-1]['row_passes']:,} of {lines[-1]['full_row_passes']:,} row-passes")
