#!/usr/bin/env python3
"""The engine's `boost` beside LightGBM and scikit-learn's HistGradientBoosting, on the same rows.

    pip install lightgbm scikit-learn pandas
    python3 boost.py SISA_BINARY SCRATCH DATA_DIR [--only adult,bank,..] [--splits 3] [--threads 1] [--peers lightgbm,sklearn]

DATA_DIR holds the tables that docs/ACCURACY.md names. One subject in five is a test subject, by SHA-256 of the split's number and the subject (or the
row's number), so that every split has other test rows. All sides have 100 rounds, 31 leaves, rate 0.1 and at least 20 rows in a leaf; everything else
is each side's default (l2 is 0.1 for `boost`, 0 for the peers). The engine gets ranges from the whole table's ends, and 1 x 1, 5 x 1 and 5 x 4 shards x slices.
Seconds are those of training alone: the engine's as it reports them, with a checkpoint for each step; the peers' with their binning.
"""
import argparse
import hashlib
import json
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd

SETS = {  # file, label, subject, columns that are left out, whether the label is a number
    "adult": ("adult", "income", "id", ["split"], False),
    "bank": ("bank_marketing", "y", None, ["duration"], False),
    "credit": ("credit_default", "DEFAULT_NEXT_MONTH", "ID", [], False),
    "diabetes": ("diabetes130", "readmitted", "patient_nbr", ["encounter_id"], False),
    "health": ("health_visits", "doctor_visits", "person_id", [], False),
    "letter": ("letter", "lettr", None, [], False),
    "randhie": ("randhie", "mdvis", "zper", ["outpdol", "meddol", "lnmeddol", "binexp", "inpdol"], True),
    "parkinsons": ("parkinsons_tele", "total_updrs", None, ["subject", "motor_updrs"], True),
}
CUTS = ((1, 1), (5, 1), (5, 4))
ROUNDS, LEAVES, RATE, LEAST, L2 = 100, 31, 0.1, 20, 0.1


def table(data, name):
    """Features, label, subjects; texts are categories, and a missing text is one too."""
    file, label, subject, left_out, number = SETS[name]
    frame = pd.read_csv(data / f"{file}.csv.gz", keep_default_na=name not in ("adult", "diabetes"), low_memory=False)
    subjects = frame[subject] if subject else pd.Series(np.arange(len(frame)))
    target = np.log1p(frame[label]) if name == "randhie" else frame[label]
    frame = frame.drop(columns=list(dict.fromkeys([label, *left_out, *([subject] if subject else [])])))
    for column in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[column]):
            frame[column] = frame[column].astype(str).replace("", "empty").astype("category")
    return frame, target if number else target.astype(str), subjects.to_numpy(), number


def is_test(split, subject):
    digest = hashlib.sha256(f"{split} {subject}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < (1 << 64) // 5


def r2(predicted, wanted):
    return 1 - ((predicted - wanted) ** 2).mean() / ((wanted - wanted.mean()) ** 2).mean()


class Engine:
    """Workspaces on one split of one table."""

    def __init__(self, sisa, folder, threads, x, y, subjects, number, test):
        self.sisa, self.folder, self.threads, self.number = sisa, folder, threads, number
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        rows = x.assign(label=y, person=subjects, row=np.arange(len(x)))
        rows[~test].to_csv(folder / "train.csv", index=False, lineterminator="\n")
        rows[test].to_csv(folder / "test.csv", index=False, lineterminator="\n")
        lines = ["[data]", 'subject = "person"', 'record = ["row"]', 'missing = [""]', "[label]", 'column = "label"']
        lines.append(f"range = [{float(y.min())!r}, {float(y.max())!r}]" if number else f"values = {json.dumps(sorted(y.unique()))}")
        lines.append("[columns]")
        for column in x.columns:
            if x[column].dtype == "category":
                kind = f'kind = "category", values = {json.dumps(list(map(str, x[column].cat.categories)))}'
            else:
                low, high = float(x[column].min()), float(x[column].max())
                kind = f'kind = "number", range = [{low!r}, {max(high, low + 1)!r}]'
            lines.append(f"{json.dumps(column)} = {{ {kind} }}")
        self.text = "\n".join(lines)

    def call(self, wanted, *command):
        done = subprocess.run([self.sisa, *map(str, command), "--threads", str(self.threads), "--quiet", "--json"], capture_output=True, text=True)
        found = [line for line in map(json.loads, done.stdout.splitlines()) if line["type"] == wanted]
        if not found:
            raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")
        return found[0]

    def run(self, shards, slices, seed):
        """The score on the test rows, and seconds of training."""
        workspace = self.folder / f"{shards}x{slices}"
        workspace.mkdir()
        learner = f'kind = "boost"\nrounds = {ROUNDS}\nleaves = {LEAVES}\nrate = {RATE}\nmin_rows = {LEAST}\nl2 = {L2}'
        (workspace / "sisa.toml").write_text(f"{self.text}\n[shards]\nshards = {shards}\nslices = {slices}\n[learner]\n{learner}\n")
        at = ("--workspace", workspace)
        trained = self.call("trained", "train", self.folder / "train.csv", *at, "--seed", seed, "--holdout", 0, "--yes")
        evaluated = self.call("evaluated", "eval", self.folder / "test.csv", *at)
        shutil.rmtree(workspace)
        return evaluated["r2" if self.number else "accuracy"], trained["seconds"]


def lightgbm(threads, x, y, number, test):
    import lightgbm as lgb
    kind = lgb.LGBMRegressor if number else lgb.LGBMClassifier
    model = kind(n_estimators=ROUNDS, num_leaves=LEAVES, learning_rate=RATE, min_child_samples=LEAST, n_jobs=threads, verbose=-1)
    return fitted(model, x, y, number, test)


def sklearn(threads, x, y, number, test):
    from sklearn import ensemble
    from threadpoolctl import threadpool_limits
    kind = ensemble.HistGradientBoostingRegressor if number else ensemble.HistGradientBoostingClassifier
    codes = x.copy()
    for column in codes.columns[codes.dtypes == "category"]:
        # It takes up to 255 categories; the rarer ones are one.
        counts = codes[column].value_counts()
        kept = counts.index[:250]
        codes[column] = codes[column].astype(str).where(codes[column].isin(kept), "rare").astype("category")
    model = kind(max_iter=ROUNDS, max_leaf_nodes=LEAVES, learning_rate=RATE, min_samples_leaf=LEAST, early_stopping=False,
                 categorical_features="from_dtype")
    with threadpool_limits(threads):
        return fitted(model, codes, y, number, test)


def fitted(model, x, y, number, test):
    begin = time.perf_counter()
    model.fit(x[~test], y[~test])
    seconds = time.perf_counter() - begin
    predicted = model.predict(x[test])
    return r2(predicted, y[test].to_numpy()) if number else (predicted == y[test].to_numpy()).mean(), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sisa")
    parser.add_argument("scratch", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default=",".join(SETS))
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peers", default="lightgbm,sklearn")
    arguments = parser.parse_args()
    peers = {"lightgbm": lightgbm, "sklearn": sklearn}
    print("| set | who | test accuracy, or R2, % | splits | seconds |")
    print("| --- | --- | --- | --- | --- |")
    for name in arguments.only.split(","):
        x, y, subjects, number = table(arguments.data, name)
        found = {}
        for split in range(arguments.splits):
            test = np.array([is_test(split, subject) for subject in subjects])
            engine = Engine(arguments.sisa, arguments.scratch / name, arguments.threads, x, y, subjects, number, test)
            for shards, slices in CUTS:
                found.setdefault(f"boost, S = {shards}, R = {slices}", []).append(engine.run(shards, slices, split))
            for peer in arguments.peers.split(","):
                found.setdefault(peer, []).append(peers[peer](arguments.threads, x, y, number, test))
        shutil.rmtree(arguments.scratch / name)
        for who, runs in found.items():
            scores, seconds = zip(*runs)
            each = " ".join(f"{100 * score:.2f}" for score in scores)
            print(f"| {name} | {who} | **{100 * np.mean(scores):.2f}** | {each} | {np.median(seconds):.2f} |", flush=True)


if __name__ == "__main__":
    main()
