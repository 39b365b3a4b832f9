"""Test accuracy of the engine over shards and schedules, beside the expected cost of deletions.

    python3 scripts/accuracy.py DATA_DIR SISA [--only health,letter,adult,fashion,diabetes] [--part shards|baselines|sets]

Needs the standard library and the `sisa` program. DATA_DIR holds the tables that docs/ACCURACY.md names. Every run
is a workspace of its own in a temporary folder. Its result is appended to --results, and a run that the file holds
already is not made again, so an interrupted measurement goes on where it stopped. Markdown tables go to stdout.
The settings are the constants below and the texts in SETS; docs/ACCURACY.md says what they mean.
"""

import argparse
import csv
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

SHARDS = (1, 5, 10, 20, 50)
SLICES = 10
SCHEDULES = ("cumulative", "replay", "front")
REQUESTS = (1, 8, 32)
BATCH = 64
TUNING_SEED = 100
LADDER = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
GRID = (0.03, 0.1, 0.3)  # where the best is at an end, the next of LADDER is tried too, until it is not
VALIDATION = 0.2

# Plain minibatch training by PyTorch (peers/baselines.py): batch 256, momentum 0.9, no L2, mean of three seeds, in per cent.
# "mean" serves the mean of the weights over the last pass, "final" the last weights; each has a rate of its own.
BASELINE_BATCH = 256
BASELINES = {
    "adult": {"linear": {"mean": (1.0, 84.64), "final": (0.03, 84.67)}, "mlp": {"mean": (0.3, 85.74), "final": (0.1, 85.61)}},
    "letter": {"linear": {"mean": (0.3, 77.26), "final": (0.3, 76.58)}, "mlp": {"mean": (0.3, 96.67), "final": (0.3, 94.88)}},
    "fashion": {"linear": {"mean": (0.3, 84.48), "final": (0.03, 83.65)}, "mlp": {"mean": (0.1, 88.32), "final": (0.1, 87.42)}},
}


# Learners of sets: name, settings with a place for what is tuned, candidates, numbers of shards. Trees are 100 in all.
FOREST = 'kind = "forest"\ntrees = {trees}\ndepth = {depth}\nmin_split = {split}'
RIDGE = 'kind = "ridge"\nstrength = {strength!r}\nbins = {bins}\nmap = {{ {map} }}'
STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2)
SIZES = ((12, 10), (20, 2))
RANDOM = 'kind = "{kind}", dimension = {dimension}'
MAPS = {
    "health": (("relu 1024", RANDOM.format(kind="relu", dimension=1024), 16),),
    "letter": (("cosine 4000", RANDOM.format(kind="cosine", dimension=4000), 1),),
    "adult": (("relu 1024", RANDOM.format(kind="relu", dimension=1024), 16),),
    "fashion": (("image 2000", 'kind = "image", width = 28, height = 28, dimension = 2000', 1),
                ("image 4000", 'kind = "image", width = 28, height = 28, dimension = 4000', 1)),
    "diabetes": (("relu 1024", RANDOM.format(kind="relu", dimension=1024), 16),),
}


# ---- data sets: each writes what it needs to `folder` and returns (toml text, training sources, test sources) ----


def is_test(key):
    """One in five, by SHA-256 of the key's text."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") < (1 << 64) // 5


def table(path):
    """Header and rows of a gzipped CSV."""
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.reader(file))
    return rows[0], rows[1:]


def split(folder, header, rows, test):
    """Writes train.csv and test.csv; `test` says of each (row number, row) whether it is a test row."""
    paths = [os.path.join(folder, name) for name in ("train.csv", "test.csv")]
    for path, wanted in zip(paths, (False, True)):
        with open(path, "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(row for i, row in enumerate(rows) if test(i, row) == wanted)
    return [paths[0]], [paths[1]]


def quoted(values):
    """A TOML array of texts."""
    return "[" + ", ".join(json.dumps(v) for v in values) + "]"


def category(header, rows, name):
    """A category column with the values it takes in the whole table."""
    at = header.index(name)
    return f'"{name}" = {{ kind = "category", values = {quoted(sorted({row[at] for row in rows}))} }}'


def health(arguments, folder):
    header, rows = table(os.path.join(arguments.data_dir, "health_visits.csv.gz"))
    person = header.index("person_id")
    numbers = ("study_year coinsurance individual_deductible age female child family_size chronic_disease physical_limits "
               "mental_health took_physical eligible_share").split()
    skewed = "family_income drug_cost supply_cost hospital_stays therapy_visits other_visits".split()
    columns = [f'{n} = "number"' for n in numbers] + [f'{n} = {{ kind = "number", log1p = true }}' for n in skewed]
    columns += ['head_education = { kind = "number", indicator = true }']
    columns += [category(header, rows, n) for n in ("site", "self_rated_health")]
    head = ('subject = "person_id"\nrecord = ["person_id", "study_year"]\nmissing = [""]\n'
            '[label]\ncolumn = "doctor_visits"\nvalues = ["none", "few", "many"]')
    return (head, columns, *split(folder, header, rows, lambda _, row: is_test(row[person])))


def letter(arguments, folder):
    header, rows = table(os.path.join(arguments.data_dir, "letter.csv.gz"))
    if arguments.letter_test_rows:
        with open(arguments.letter_test_rows) as file:
            given = {int(line) for line in file}
        test = lambda i, _: i in given
    else:
        test = lambda i, _: is_test(str(i))
    head = f'[label]\ncolumn = "lettr"\nvalues = {quoted("ABCDEFGHIJKLMNOPQRSTUVWXYZ")}'
    return (head, [f'"{n}" = "number"' for n in header[1:]], *split(folder, header, rows, test))


def adult(arguments, folder):
    header, rows = table(os.path.join(arguments.data_dir, "adult.csv.gz"))
    at = header.index("split")
    columns = [f'{n} = "number"' for n in ("age", "fnlwgt", "education_num", "hours_per_week")]
    columns += [f'{n} = {{ kind = "number", log1p = true }}' for n in ("capital_gain", "capital_loss")]
    columns += [category(header, rows, n) for n in (
        "workclass", "education", "marital_status", "occupation", "relationship", "race", "sex", "native_country")]
    columns += ['split = "ignore"']
    head = 'subject = "id"\n[label]\ncolumn = "income"\nvalues = ["<=50K", ">50K"]'
    return (head, columns, *split(folder, header, rows, lambda _, row: row[at] == "test"))


def fashion(arguments, _):
    files = [[os.path.join(arguments.data_dir, "fashion-mnist", f"{part}-{kind}-ubyte.gz")
              for kind in ("images-idx3", "labels-idx1")] for part in ("train", "t10k")]
    head = f'[label]\ncolumn = "label"\nvalues = {quoted("0123456789")}'
    return head, ['"p0..p783" = { kind = "byte", scale = 0.00392156862745098 }'], *files


def diabetes(arguments, folder):
    header, rows = table(os.path.join(arguments.data_dir, "diabetes130.csv.gz"))
    patient = header.index("patient_nbr")
    numbers = ("time_in_hospital num_lab_procedures num_procedures num_medications number_diagnoses").split()
    skewed = "number_outpatient number_emergency number_inpatient".split()
    diagnoses = ("diag_1", "diag_2", "diag_3")
    keys = ("encounter_id", "patient_nbr", "readmitted")
    columns = [f'{n} = "number"' for n in numbers] + [f'{n} = {{ kind = "number", log1p = true }}' for n in skewed]
    columns += [f'{n} = {{ kind = "category", buckets = 256 }}' for n in diagnoses]
    columns += [category(header, rows, n) for n in header if n not in (*numbers, *skewed, *diagnoses, *keys)]
    head = ('subject = "patient_nbr"\nrecord = ["encounter_id"]\n[label]\ncolumn = "readmitted"\n'
            'values = ["NO", ">30", "<30"]')
    return (head, columns, *split(folder, header, rows, lambda _, row: is_test(row[patient])))


SETS = {  # name: (data, passes, hidden units)
    "health": (health, 20, 32),
    "letter": (letter, 30, 128),
    "adult": (adult, 10, 64),
    "fashion": (fashion, 10, 128),
    "diabetes": (diabetes, 10, 64),
}


# ---- runs ----


class Bench:
    """Runs the engine on one data set and remembers what came out."""

    def __init__(self, name, arguments, folder):
        data, self.epochs, self.hidden = SETS[name]
        self.name, self.arguments, self.folder = name, arguments, folder
        self.head, self.columns, self.train, self.test = data(arguments, folder)
        self.known = {}
        if os.path.exists(arguments.results):
            with open(arguments.results) as file:
                for line in file:
                    entry = json.loads(line)
                    self.known[json.dumps(entry["run"])] = entry["accuracy"]

    def config(self, learner, batch, rate):
        """The text of sisa.toml; shards, slices, schedule and holdout come as flags."""
        net = f'kind = "mlp"\nhidden = [{self.hidden}]\nactivation = "relu"' if learner == "mlp" else 'kind = "linear"'
        return "\n".join([
            "[data]", self.head, "[columns]", *self.columns, "[shards]", "shards = 1", "slices = 1", 'aggregate = "mean"',
            "[learner]", net, 'optimizer = { kind = "sgd", momentum = 0.9 }', f"rate = {rate!r}", 'decay = "constant"',
            "l2 = 0.0", f"batch = {batch}", "[schedule]", 'kind = "replay"', f"epochs = {self.epochs}", ""])

    def call(self, wanted, *command):
        """The JSON line of type `wanted` that a command prints."""
        done = subprocess.run([self.arguments.sisa, *map(str, command), "--threads", "2", "--quiet", "--json"],
                              capture_output=True, text=True)
        found = [line for line in map(json.loads, done.stdout.splitlines()) if line["type"] == wanted]
        if not found:
            raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")
        return found[0]

    def accuracy(self, learner, batch, shards, slices, schedule, rate, seed, holdout):
        """Accuracy on the test rows, or on the engine's held-out part of the training rows when `holdout` is not 0."""
        run = [self.name, bool(self.arguments.letter_test_rows) and self.name == "letter", learner, batch, shards, slices,
               schedule, rate, seed, holdout]
        key = json.dumps(run)
        if key not in self.known:
            workspace = tempfile.mkdtemp(dir=self.folder)
            try:
                with open(os.path.join(workspace, "sisa.toml"), "w") as file:
                    file.write(self.config(learner, batch, rate))
                trained = self.call("trained", "train", *self.train, "--workspace", workspace, "--seed", seed, "--shards", shards,
                                    "--slices", slices, "--schedule", schedule, "--holdout", holdout, "--yes")
                accuracy = 0.0  # what a rate is worth at which a shard diverges
                if not trained["diverged"]:
                    evaluated = self.call("evaluated", "eval", *([] if holdout else self.test), "--workspace", workspace)
                    accuracy = evaluated["accuracy"]
            finally:
                shutil.rmtree(workspace)
            self.known[key] = accuracy
            with open(self.arguments.results, "a") as file:
                file.write(json.dumps({"run": run, "accuracy": self.known[key]}) + "\n")
        return self.known[key]

    def ranged(self):
        """The columns with ranges: the ends of the training rows, in two digits."""
        if not self.train[0].endswith("train.csv"):
            return self.columns
        with open(self.train[0], newline="") as file:
            rows = list(csv.DictReader(file))
        columns = []
        for line in self.columns:
            name, kind = line.split(" = ", 1)
            if '"number"' in kind:
                cells = [float(row[name.strip('"')]) for row in rows if row[name.strip('"')] != ""]
                ends = [float(f"{end:.1e}") for end in (min(cells), max(cells))]
                option = f"range = [{ends[0]}, {max(ends[1], ends[0] + 1)}]"
                kind = kind.replace('kind = "number"', f'kind = "number", {option}') if "{" in kind else f'{{ kind = "number", {option} }}'
            columns.append(f"{name} = {kind}")
        return columns

    def of_set(self, learner, shards, seed, holdout):
        """Accuracy of a learner of sets, whose settings are given as text."""
        run = [self.name, bool(self.arguments.letter_test_rows) and self.name == "letter", learner, shards, seed, holdout]
        key = json.dumps(run)
        if key not in self.known:
            workspace = tempfile.mkdtemp(dir=self.folder)
            try:
                with open(os.path.join(workspace, "sisa.toml"), "w") as file:
                    file.write("\n".join(["[data]", self.head, "[columns]", *self.ranged(), "[shards]", f"shards = {shards}",
                                          "slices = 1", "[learner]", learner, ""]))
                self.call("trained", "train", *self.train, "--workspace", workspace, "--seed", seed, "--holdout", holdout)
                evaluated = self.call("evaluated", "eval", *([] if holdout else self.test), "--workspace", workspace)
            finally:
                shutil.rmtree(workspace)
            self.known[key] = evaluated["accuracy"]
            with open(self.arguments.results, "a") as file:
                file.write(json.dumps({"run": run, "accuracy": self.known[key]}) + "\n")
        return self.known[key]

    def tuned(self, learner, shards, schedule):
        """The rate that is best on the validation part; the smaller one of equals."""
        tried = {}
        wanted = list(GRID)
        while wanted:
            for rate in wanted:
                tried[rate] = self.accuracy(learner, BATCH, shards, SLICES, schedule, rate, TUNING_SEED, VALIDATION)
            best = max(sorted(tried), key=tried.get)
            at = LADDER.index(best)
            wanted = [r for r in LADDER[max(at - 1, 0):at + 2] if r not in tried]
        return best

    def cell(self, learner, shards, schedule):
        """Rate and test accuracies of one line of the table."""
        rate = self.tuned(learner, shards, schedule)
        seeds = range(self.arguments.seeds)
        return rate, [self.accuracy(learner, BATCH, shards, SLICES, schedule, rate, s, 0.0) for s in seeds]


def budgets(schedule, slices, epochs):
    """Nominal row-passes of each step, in slice sizes (docs/TRAINING.md section 2)."""
    steps = range(1, slices + 1)
    if schedule == "cumulative":
        return [2 * epochs * r / (slices + 1) for r in steps]
    if schedule == "replay":
        return [float(epochs) for _ in steps]
    front = lambda p: 0.3 * p + 0.7 * (1 - (1 - p) ** 5)
    return [(front(r / slices) - front((r - 1) / slices)) * epochs * slices for r in steps]


def cost(schedule, shards, slices, epochs, requests):
    """Expected share of a full retrain's row-passes: step r of a shard reruns iff a request lies in its slices 1..r."""
    b = budgets(schedule, slices, epochs)
    reruns = [1 - (1 - r / (shards * slices)) ** requests for r in range(1, slices + 1)]
    return sum(p * x for p, x in zip(reruns, b)) / sum(b)


# ---- tables ----


def percent(values):
    mean = sum(values) / len(values)
    return f"**{100 * mean:.2f}** | " + " ".join(f"{100 * v:.2f}" for v in values)


def shards_table(bench, pool):
    """Accuracy and cost of every number of shards and schedule."""
    cells = [("mlp", s, k) for s in SHARDS for k in SCHEDULES] + [("linear", s, "replay") for s in bench.arguments.linear]
    print(f"\n### {bench.name}\n")
    print("| learner | S | schedule | rate | test accuracy, % | seeds | " + " | ".join(f"K = {k}" for k in REQUESTS) + " |")
    print("|---|---|---|---|---|---|" + "---|" * len(REQUESTS))
    for (learner, shards, schedule), (rate, values) in zip(cells, pool.map(lambda c: bench.cell(*c), cells)):
        costs = " | ".join(f"{100 * cost(schedule, shards, SLICES, bench.epochs, k):.1f} %" for k in REQUESTS)
        print(f"| {learner} | {shards} | {schedule} | {rate:g} | {percent(values)} | {costs} |", flush=True)


def sets_table(bench):
    """Forest and ridge: what is tuned is tuned on the held-out part of the training rows."""
    candidates = []
    for shards in (1, 5, 10):
        texts = [FOREST.format(trees=100 // shards, depth=depth, split=split) for depth, split in SIZES]
        candidates.append((f"forest, {100 // shards} trees a shard", shards, texts))
    for name, text, bins in MAPS[bench.name]:
        texts = [RIDGE.format(strength=strength, bins=bins, map=text) for strength in STRENGTHS]
        candidates.append((f"ridge, {name}", 2, texts))
    for name, shards, texts in candidates:
        best = max(texts, key=lambda text: bench.of_set(text, shards, TUNING_SEED, VALIDATION))
        values = [bench.of_set(best, shards, seed, 0.0) for seed in range(bench.arguments.seeds)]
        chosen = best.split("\n")[2:4] if best.startswith('kind = "forest"') else best.split("\n")[1:2]
        print(f"| {bench.name} | {name} | {shards} | {', '.join(chosen)} | {percent(values)} |", flush=True)


def baseline_table(bench, pool):
    """S = 1, R = 1 beside the same training by PyTorch."""
    cells = [(m, served, *BASELINES[bench.name][m][served]) for m in ("linear", "mlp") for served in ("mean", "final")]
    run = lambda c: [bench.accuracy(c[0], BASELINE_BATCH, 1, 1, "replay", c[2], s, 0.0) for s in range(bench.arguments.seeds)]
    for (model, served, rate, other), values in zip(cells, pool.map(run, cells)):
        difference = 100 * sum(values) / len(values) - other
        print(f"| {bench.name} | {model} | {rate:g} | {percent(values)} | {served} | {other:.2f} | {difference:+.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir")
    parser.add_argument("sisa")
    parser.add_argument("--only", default=",".join(SETS))
    parser.add_argument("--part", choices=("shards", "baselines", "sets"), default="shards")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, ... of the test accuracies")
    parser.add_argument("--linear", default="1", help="numbers of shards for the linear learner, as in 1,5")
    parser.add_argument("--letter-test-rows", help="numbers of letter's test rows, one a line, instead of the hashed split")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--results", default="accuracy.jsonl")
    parser.add_argument("--temp", help="where temporary folders go")
    arguments = parser.parse_args()
    arguments.linear = [int(s) for s in arguments.linear.split(",") if s]
    arguments.sisa = os.path.abspath(arguments.sisa)
    arguments.data_dir = os.path.abspath(arguments.data_dir)
    if arguments.part == "baselines":
        print("| data | learner | rate | engine, % | seeds | PyTorch serves | PyTorch, % | difference |\n|---|---|---|---|---|---|---|---|")
    if arguments.part == "sets":
        print("| data | learner | S | chosen | test accuracy, % | seeds |\n|---|---|---|---|---|---|")
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for name in arguments.only.split(","):
            if arguments.part == "baselines" and name not in BASELINES:
                continue
            with tempfile.TemporaryDirectory(dir=arguments.temp) as folder:
                bench = Bench(name, arguments, folder)
                if arguments.part == "sets":
                    sets_table(bench)
                else:
                    (baseline_table if arguments.part == "baselines" else shards_table)(bench, pool)


if __name__ == "__main__":
    main()
