#!/usr/bin/env python3
"""Three hospitals on one machine, over real processes of Flower: asked together, a person deleted at one, a hospital left out.

    python/examples/federated/run.py [--table data/health_visits.csv.gz] [--config sisa.toml] [--by person|site] [--picture FILE.png]

Needs `pip install 'sisa-unlearn[flower]'`, and for the picture matplotlib. Everything is on the loopback and in a temporary folder.
"""

import argparse
import csv
import gzip
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import sisa
from sisa import federated

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
NAMES = ("east", "north", "west")
PATIENCE = 110


def draw(person: str, salt: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{salt}:{person}".encode()).digest()[:8], "big")


def split(table: Path, by: str, folder: Path) -> tuple[np.ndarray, dict[str, str]]:
    """Writes `questions.csv`, which says of nobody whom it is about, and a table for each site and for all together. Returns the answers, and one
    person of each site."""
    with gzip.open(table, "rt") as file:
        header, *rows = csv.reader(file)
    person, label, place = (header.index(name) for name in ("person_id", "doctor_visits", "site"))
    asked = [at for at, name in enumerate(header) if name not in ("person_id", "doctor_visits")]
    tables: dict[str, list[list[str]]] = {name: [] for name in (*NAMES, "centre", "questions")}
    truth, first = [], {}
    for row in rows:
        if draw(row[person], "holdout") % 5 == 0:
            tables["questions"].append([row[at] for at in asked])
            truth.append(row[label])
            continue
        # A person belongs to one hospital for good, also after a move.
        first.setdefault(row[person], row[place])
        at = draw(row[person], "site") % 3 if by == "person" else (int(first[row[person]]) - 1) // 2
        tables[NAMES[at]].append(row)
        tables["centre"].append(row)
    for name, body in tables.items():
        head = [header[at] for at in asked] if name == "questions" else header
        with open(folder / f"{name}.csv", "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([head, *body])
    return np.array(truth), {name: tables[name][0][person] for name in NAMES}


def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait(path: Path, run: subprocess.Popen, what: str, until: float) -> None:
    while not path.exists():
        if run.poll() not in (None, 0) or time.monotonic() > until:
            raise SystemExit(f"{what} did not come; the logs are in {path.parent}")
        time.sleep(0.1)


def draw_figures(figures: dict[str, float], by: str, file: Path) -> None:
    """A picture of the accuracies: sites alone, together before and after, without one of them, and the centre."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    colours = {"alone": "#9db4c8", "without": "#c9b28f", "centre": "#7a7a7a"}
    shades = [next((colour for word, colour in colours.items() if word in name), "#2f6690") for name in figures]
    figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    # Points and not bars, as the axis does not begin at 0.
    axes.scatter(list(figures.values()), list(figures), color=shades, s=80, zorder=2)
    for name, percent in figures.items():
        axes.annotate(f"{percent:.1f} %", (percent, name), xytext=(9, 0), textcoords="offset points", va="center")
    axes.grid(alpha=0.3)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel("accuracy on the questions, %")
    axes.set_title(f"Three hospitals, split by {'person' if by == 'person' else 'hospital'}")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=ROOT / "data/health_visits.csv.gz")
    parser.add_argument("--config", type=Path, default=ROOT / "sisa.toml")
    parser.add_argument("--by", choices=("person", "site"), default="person")
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    config = re.sub(r"(?m)^(sources|holdout) = .*\n", "", asked.config.read_text())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth, people = split(asked.table, asked.by, folder)
        sites = {}
        for at, (name, shards) in enumerate([*((name, 2) for name in NAMES), ("centre", 6)]):
            # Keys of its own: with one key handles would link persons across sites.
            sites[name] = sisa.Workspace(folder / name, threads=2)
            sites[name].train(str(folder / f"{name}.csv"), config=config, shards=shards, seed=11 + at)
        before, after, envelope = federate(folder, sites, people["north"])
        figures = report(before, after, sites, truth, folder)
        if asked.picture is not None:
            draw_figures(figures, asked.by, asked.picture)
        print(f"receipt of {envelope['site']}: checked by the aggregator, which refused the answer from before it,")
        print("and dropped what it had borrowed of the shard that knew the person")


def federate(folder: Path, sites: dict[str, sisa.Workspace], person: str) -> tuple[dict, dict, dict]:
    """Asks all sites, deletes a person at `north`, asks again; over processes of Flower."""
    api = port()
    home = folder / "flower"
    home.mkdir()
    (home / "config.toml").write_text(f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:{api}"\ninsecure = true\n')
    bin = Path(sys.executable).parent
    env = {**os.environ, "FLWR_HOME": str(home), "PATH": f"{bin}:{os.environ['PATH']}", "FLWR_TELEMETRY_ENABLED": "0"}
    started: list[subprocess.Popen] = []

    def start(name: str, *command: str) -> subprocess.Popen:
        log = open(folder / f"{name}.log", "wb")
        # A session of its own, so that what it starts ends with it.
        started.append(subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True, cwd=folder))
        return started[-1]

    until = time.monotonic() + PATIENCE
    try:
        link = f"127.0.0.1:{api}"
        start("superlink", str(bin / "flower-superlink"), "--insecure", "--disable-runtime-dependency-installation", "--host", "127.0.0.1", "--port", str(api))
        for name in NAMES:
            node = f'name="{name}" workspace="{sites[name].path}"'
            start(name, str(bin / "flower-supernode"), "--insecure", "--superlink", link, "--host", "127.0.0.1", "--port", str(port()), "--node-config", node)
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", api)) == 0:
                    break
            if time.monotonic() > until:
                raise SystemExit(f"the superlink did not start: {(folder / 'superlink.log').read_text()[-2000:]}")
            time.sleep(0.1)
        run = start("run", str(bin / "flwr"), "run", str(HERE), "here", "--run-config", f'folder="{folder}"')
        wait(folder / "before.npz", run, "the first answer", until)
        # The person asks their hospital. No other hospital and no aggregator hears of it.
        sites["north"].keygen(folder / "north.key")
        receipt = federated.Site("north", sites["north"]).forget([person], request_id="case-1", sign=folder / "north.key")
        told = {"site": "north", "envelope": receipt}
        (folder / "receipt.part").write_text(json.dumps(told))
        (folder / "receipt.part").rename(folder / "receipt.json")
        wait(folder / "after.npz", run, "the second answer", until)
        logs = "".join(path.read_text(errors="replace") for path in folder.glob("*.log"))
        assert not re.search(rf"\b{re.escape(person)}\b", logs), "an id is in a log"
    except SystemExit:
        for path in sorted(folder.glob("*.log")):
            print(f"== {path.name}\n{path.read_text(errors='replace')[-1500:]}", file=sys.stderr)
        raise
    finally:
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
    return dict(np.load(folder / "before.npz")), dict(np.load(folder / "after.npz")), told


def report(before: dict, after: dict, sites: dict[str, sisa.Workspace], truth: np.ndarray, folder: Path) -> dict[str, float]:
    classes = before["classes"]

    def accuracy(scores: np.ndarray) -> float:
        return 100 * float((classes[scores.argmax(1)] == truth).mean())

    weights = json.loads(str(after["weights"]))
    answers = [
        federated.Answer(site=name, classes=list(classes), scores=after[name], weight=weights[name], epoch="g0001.x.0") for name in NAMES
    ]
    figures = {f"{name} alone": accuracy(before[name]) for name in NAMES}
    figures["three together"] = accuracy(before["ensemble"])
    figures["after a deletion"] = accuracy(after["ensemble"])
    for gone in NAMES:
        dropped = federated.Aggregator().combine(answers, without=[gone])
        others = federated.Aggregator().combine([answer for answer in answers if answer["site"] != gone])
        assert (dropped == others).all(), "a site that is left out leaves a trace"
        figures[f"without {gone}"] = accuracy(dropped)
    figures["the centre (S=6)"] = accuracy(sites["centre"].predict_proba(str(folder / "questions.csv")))
    for name, percent in figures.items():
        print(f"{name:18} {percent:.2f} %")
    moved = [name for name in NAMES if not np.array_equal(before[name], after[name])]
    print("sites whose scores moved:", ", ".join(moved))
    assert moved == ["north"], moved
    assert sites["north"].verify(retrain=True)["same"]
    return figures


if __name__ == "__main__":
    main()
