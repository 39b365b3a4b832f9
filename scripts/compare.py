#!/usr/bin/env python3
"""The tables of docs/COMPARE.md: every data set is trained and compared, and printed as Markdown.

    python3 scripts/compare.py DATA_DIR SISA [--only SET,..] [--keep DIR]

The sets are health, health-linear, adult, adult-linear, fashion and adaptive. DATA_DIR holds
adult.csv.gz (48,842 rows with `income`, `id` and `split`) and fashion-mnist/ with the idx files;
the embedded data is the repository's own. All numbers but seconds are the same on any machine and
with any number of threads.
"""

import argparse
import json
import os
import subprocess
import tempfile

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEALTH = os.path.join(HERE, "data", "health_visits.csv.gz")
IMAGES = ("fashion-mnist/t10k-images-idx3-ubyte.gz", "fashion-mnist/t10k-labels-idx1-ubyte.gz")
# Name: (sources, arguments of `schema` or none for the repository's sisa.toml, of `train`, of `compare`).
SETS = {
    "health": ([HEALTH], None, [], []),
    "health-linear": ([HEALTH], None, [], ["--learner", "linear"]),
    "adult": (["adult.csv.gz"], ["--label", "income", "--subject", "id"], ["--learner", "mlp"], ["--rows", "4000"]),
    "adult-linear": (["adult.csv.gz"], ["--label", "income", "--subject", "id"], ["--learner", "linear"], ["--rows", "4000"]),
    "fashion": (IMAGES, [], ["--learner", "mlp", "--epochs", "10"], ["--rows", "4000"]),
    "adaptive": ([HEALTH], None, [], ["--adaptive"]),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("sisa")
    parser.add_argument("--only", default=",".join(SETS))
    parser.add_argument("--keep", help="a folder for what `compare --json` says, one file a data set")
    arguments = parser.parse_args()
    for name in arguments.only.split(","):
        with tempfile.TemporaryDirectory() as folder:
            lines = compare(name, arguments, folder)
        if arguments.keep:
            with open(os.path.join(arguments.keep, name + ".json"), "w") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)
        print(f"\n## {name}\n", *tables(lines), sep="\n", flush=True)


def compare(name, arguments, folder):
    """Every line that `sisa compare --json` says of a data set."""
    sources, schema, train, options = SETS[name]
    sources = [os.path.join(arguments.data, source) for source in sources]

    def sisa(*command):
        done = subprocess.run([arguments.sisa, "-w", folder, "--quiet", *command], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stderr}")
        return done.stdout

    config = os.path.join(HERE, "sisa.toml")
    if schema is not None:
        config = os.path.join(folder, "sisa.toml")
        sisa("schema", *sources, *schema, "-o", config)
    sisa("train", *sources, "--config", config, "--seed", "1", *train)
    return [json.loads(line) for line in sisa("compare", "--seed", "1", "--json", *options).splitlines()]


def interval(figure, digits=2):
    value = figure.get("auc", figure.get("value"))
    return f"{value:.3f} [{figure['low']:.{digits}f}, {figure['high']:.{digits}f}]"


def points(gap):
    return f"{100 * gap['accuracy']['value']:+.2f}"


def tables(lines):
    summary = lines[-1]
    yield (f"{summary['rows']:,} rows of {summary['subjects']:,} people, {summary['held_out']:,} held-out rows, "
           f"`{summary['learner']}` with {summary['parameters']:,} weights, {summary['models']} models a side")
    for forget in summary["forget"]:
        of = [line for line in lines if line.get("forget") == forget]
        for line in of:
            if line["type"] == "compare_reference" and line["role"] != "floor":
                yield (f"\n{forget}, {line['role']}: accuracy {line['retain_accuracy']:.4f} on rows that stay, {line['accuracy']:.4f} "
                       f"held out; loss {line['forget_loss']:.3f} on forget rows")
        yield "\n| method | work | held out | forget | told apart | remembered | row AUC | F | MIA |"
        yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
        for line in of:
            if line["type"] == "compare_method":
                remembered = interval(line["remembered"]) if line["remembered"] else "-"
                yield (f"| {line['method']} | {line['row_passes_share']:.3f} | {points(line['held_out_gap'])} | "
                       f"{points(line['forget_gap'])} | {interval(line['told_apart'])} | {remembered} | "
                       f"{line['row_auc']['auc']:.3f} | {line['forgetting_quality']:.2f} | {line['population_mia']:+.3f} |")
        for line in of:
            if line["type"] == "compare_exact":
                yield (f"| **sisa delete** | {line['row_passes_share']:.3f} | {points(line['held_out_gap'])} | | "
                       f"**{interval(line['told_apart'])}** | byte for byte, {line['byte_identical']} of {line['of']} keys | "
                       f"{line['row_auc']['auc']:.3f} | | |")
                yield (f"| nothing deleted | 0 | {points(line['nothing_deleted_held_out_gap'])} | | "
                       f"{interval(line['nothing_deleted'])} | | | | |")
                yield f"\none person: {line['one_person_share']:.2f}; by ratios alone: {interval(line['set_auc'])}"
            if line["type"] == "compare_newton":
                yield (f"\nnewton: distance {line['distance_before']:.2g} to {line['distance_after']:.2g}, residual {line['residual']:.2g} "
                       f"below {line['bound']:.2g}, noise {line['sigma']:.3f}, told apart {interval(line['told_apart'])}, nothing done "
                       f"{interval(line['nothing_done'])}, floor {interval(line['floor'])}, {line['retraining_steps']} steps")
    of = [line for line in lines if line["type"] == "compare_adaptive"]
    if of:
        yield "\n| sees | deleted | indicator (0.5 is clean) | difference | after a rekey | difference |"
        yield "| --- | --- | --- | --- | --- | --- |"
    for line in of:
        difference = lambda name: f"{line[name]:+.4f} ± {line[name + '_error']:.4f}"
        yield (f"| {line['attacker']} | {100 * line['share']:.0f} % | {interval(line['indicator'])} | {difference('difference')} | "
               f"{interval(line['rekeyed_indicator'])} | {difference('rekeyed_difference')} |")
    yield f"\n{summary['seconds']:.1f} s, foreseen {summary['foreseen_seconds']:.1f} s"


if __name__ == "__main__":
    main()
