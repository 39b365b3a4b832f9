#!/usr/bin/env python3
"""What `sisa train TABLE --label NAME` reaches with nothing else said, for the recommended learner and for each kind that is asked for.

    python3 scripts/defaults.py SISA_BINARY SCRATCH DATA_DIR [--only adult,letter,..] [--learners mlp,..] [--seeds 1,2] [--out FILE]

DATA_DIR holds the tables that docs/ACCURACY.md names. One subject in five is a test subject, by SHA-256 of the seed and the subject (or the row's
number); Fashion-MNIST has test images of its own. `--subject` is given only where the engine can't find it, `--no-ids` where a table has no ids. Of what
is left the engine holds one subject in ten out itself, so it trains on less than the peer. Where the Python that runs this has scikit-learn, its
RandomForest with default settings is measured on the same rows: numbers as they are, categories of up to 64 values one-hot, others as their place in the order.

Prints accuracy in per cent, or R2 times 100 (of the label as the engine's proposal learns it), and the same as a Markdown table at the end. Everything
that was measured is added to FILE, a JSON object a line; what it has already is not measured again.
"""
import argparse
import csv
import gzip
import hashlib
import json
import math
import shutil
import subprocess
import time
from pathlib import Path

SETS = {  # label, subject, whether the subject has to be named, further ids, columns that are left out, whether the label is a number
    "adult": ("income", "id", False, [], ["split"], False),
    "bank_marketing": ("y", None, False, [], [], False),
    "credit_default": ("DEFAULT_NEXT_MONTH", "ID", False, [], [], False),
    "diabetes130": ("readmitted", "patient_nbr", False, ["encounter_id"], [], False),
    "health_visits": ("doctor_visits", "person_id", False, [], [], False),
    "letter": ("lettr", None, False, [], [], False),
    "online_shoppers": ("Revenue", None, False, [], [], False),
    "optdigits": ("digit", None, False, [], ["split"], False),
    "parkinsons_tele": ("total_updrs", "subject", False, [], [], True),
    "randhie": ("mdvis", "zper", False, [], [], True),
    "fashion-mnist": (None, None, False, [], [], False),
}
KINDS = ["mlp", "linear", "ridge", "forest", "boost"]
ONE_HOT_MAX = 64


def is_test(seed, subject):
    return int.from_bytes(hashlib.sha256(f"{seed} {subject}".encode()).digest()[:8], "big") < (1 << 64) // 5


class Table:
    """One split of one set: files for the engine, rows for the peer."""

    def __init__(self, data, folder, name, seed):
        self.name, self.label = name, SETS[name][0]
        label, subject, named, ids, left_out, self.number = SETS[name]
        self.flags = []
        if name == "fashion-mnist":
            of = lambda part: [data / name / f"{part}-{what}-ubyte.gz" for what in ("images-idx3", "labels-idx1")]
            self.train, self.test, self.flags = of("train"), of("t10k"), ["--no-ids"]
            return
        with gzip.open(data / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        kept = [at for at, column in enumerate(header) if column not in left_out]
        of = header.index(subject) if subject else None
        parts = ([], [])
        for number, row in enumerate(rows):
            parts[is_test(seed, row[of] if subject else number)].append([row[at] for at in kept])
        self.header = [header[at] for at in kept]
        self.rows, self.ids = parts, [subject, *ids]
        self.train, self.test = [folder / "train.csv"], [folder / "test.csv"]
        for path, part in zip(self.train + self.test, parts):
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([self.header, *part])
        self.flags = ["--label", label] + (["--subject", subject] if named else []) + ([] if subject else ["--no-ids"])


def engine(sisa, table, folder, kind, seed, threads):
    """The quality, the learner, S x R and the seconds of the whole command; a text in place of the quality if it was refused or diverged."""
    shutil.rmtree(folder, ignore_errors=True)
    run = lambda *words: subprocess.run(list(map(str, (sisa, *words, "-w", folder, "--threads", threads))), capture_output=True, text=True)
    began = time.monotonic()
    asked = [] if kind == "recommended" else ["--learner", kind]
    trained = run("train", *table.train, *table.flags, *asked, "--seed", seed, "--yes", "--quiet")
    seconds = time.monotonic() - began
    evaluated = run("eval", *table.test, "--json") if trained.returncode in (0, 4) else trained
    config = {}
    if (folder / "sisa.toml").exists():
        for line in (folder / "sisa.toml").read_text().splitlines():
            name, equals, value = line.partition(" = ")
            if equals and not line.startswith("#"):
                config.setdefault(name, value.strip('"'))
    found = {"kind": kind, "seconds": round(seconds, 1), "shards": config.get("shards"), "slices": config.get("slices")}
    log1p = "\nlog1p = true" in ((folder / "sisa.toml").read_text() if config else "")
    found |= {"learner": next((line.split('"')[1] for line in (folder / "sisa.toml").read_text().split("[learner]")[-1].splitlines() if line.startswith("kind = ")), "?") if config else "?"}
    if evaluated.returncode:
        return found | {"why": (trained.stderr + evaluated.stderr).strip()[-300:], "exit": trained.returncode}, log1p
    answer = json.loads(evaluated.stdout.splitlines()[-1])
    return found | {"quality": answer.get("accuracy", answer.get("r2")), "exit": trained.returncode}, log1p


def forest(table, seed, threads, log1p):
    """The quality and seconds of scikit-learn's RandomForest with its default settings."""
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    if table.name == "fashion-mnist":
        def idx(path):
            raw = gzip.open(path).read()
            return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape([int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3])])
        (x, y), (x_test, y_test) = [(idx(images).reshape(-1, 784), idx(labels)) for images, labels in (table.train, table.test)]
    else:
        at = table.header.index(table.label)
        train, test = table.rows
        labels = lambda part: [row[at] for row in part]
        y, y_test = labels(train), labels(test)
        if table.number:
            of = (lambda v: math.log1p(float(v))) if log1p else float
            y, y_test = np.array(list(map(of, y))), np.array(list(map(of, y_test)))
        columns = ([], [])
        for column, name in enumerate(table.header):
            if column == at or name in table.ids:
                continue
            both = [[row[column] for row in part] for part in (train, test)]
            try:
                for out, cells in zip(columns, both):
                    out.append(np.array([float(c) if c else np.nan for c in cells]))
                continue
            except ValueError:
                for out, had in zip(columns, (len(columns[1]),) * 2):
                    del out[had:]
            values = sorted(set(both[0]))
            place = {value: i for i, value in enumerate(values)}
            for out, cells in zip(columns, both):
                codes = np.array([place.get(c, -1) for c in cells])
                out.extend([codes == i for i in range(len(values))] if len(values) <= ONE_HOT_MAX else [codes])
        x, x_test = (np.column_stack(part).astype(np.float32) for part in columns)
    began = time.monotonic()
    model = (RandomForestRegressor if table.number else RandomForestClassifier)(n_jobs=threads, random_state=seed).fit(x, y)
    return {"kind": "RandomForest", "seconds": round(time.monotonic() - began, 1), "quality": model.score(x_test, y_test)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sisa", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default=",".join(SETS))
    parser.add_argument("--learners", default=",".join(["recommended", *KINDS, "RandomForest"]))
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    args.scratch.mkdir(parents=True, exist_ok=True)
    lines = args.out.read_text().splitlines() if args.out and args.out.exists() else []
    done = {(d["set"], d["kind"], d["seed"]): d for d in map(json.loads, lines)}
    kinds, seeds = args.learners.split(","), [int(seed) for seed in args.seeds.split(",")]
    for name in args.only.split(","):
        for seed in seeds:
            table = None
            log1p = any(d.get("log1p") for key, d in done.items() if key[0] == name)
            for kind in kinds:
                if (name, kind, seed) in done:
                    continue
                table = table or Table(args.data, args.scratch, name, seed)
                if kind == "RandomForest":
                    try:
                        found = forest(table, seed, args.threads, log1p)
                    except ImportError:
                        continue
                else:
                    found, log1p = engine(args.sisa, table, args.scratch / "w", kind, seed, args.threads)
                found |= {"set": name, "seed": seed, "log1p": log1p}
                done[name, kind, seed] = found
                print(json.dumps(found), flush=True)
                if args.out:
                    with args.out.open("a") as file:
                        print(json.dumps(found), file=file)
    print("\n| set | " + " | ".join(kinds) + " |\n" + "|---" * (len(kinds) + 1) + "|")
    for name in args.only.split(","):
        cells = []
        for kind in kinds:
            found = [done[name, kind, seed] for seed in seeds if (name, kind, seed) in done]
            qualities = [d["quality"] for d in found if "quality" in d]
            cell = f"{100 * sum(qualities) / len(qualities):.2f}" if qualities and len(qualities) == len(found) else "-"
            cells.append(f"**{cell}** `{found[0]['learner']}`" if kind == "recommended" and found else cell)
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
