#!/usr/bin/env python3
"""The one command: measures everything that docs/BENCHMARKS.md says, and writes it.

    cargo build --release
    python3 -m venv VENV && VENV/bin/pip install -r scripts/peers/requirements.txt
    VENV/bin/python scripts/peers/run.py SCRATCH [--sisa target/release/sisa] [--only deletion,rates,ingest,sets]
        [--data DATA_DIR] [--dare PYTHON] [--out docs] [--quick]
    VENV/bin/python scripts/peers/run.py --render docs/benchmarks.json

The part `sets` needs DATA_DIR and, for DaRE, a Python that has it: sets.py says what and how. Without --data it is left out.
SCRATCH is a folder on the disk to be measured, with 6 GB free; what this makes in it is removed. Writes OUT/benchmarks.json with every raw
sample and OUT/BENCHMARKS.md; --render writes the page again from the samples. --quick does everything at a small size, to see that it works,
and writes to SCRATCH. The machine should have nothing else to do: about 20 minutes on two cores.
"""
import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import ingest
import purchase
import rates
import report
import sets
import sisa_torch
from engine import Engine, config

HERE = Path(__file__).resolve().parent
SHARDS, REQUESTS, RATE = 20, 8, sisa_torch.RATE
PARTS = ("deletion", "rates", "ingest", "sets")
ENSEMBLES = {"R=5 cumulative": (5, "cumulative"), "R=50 cumulative": (50, "cumulative"), "R=50 replay": (50, "replay")}


def say(line):
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def output(*call):
    try:
        return subprocess.run(call, capture_output=True, text=True, cwd=HERE, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine(binary):
    """What was measured, and on what."""
    import numpy
    import pandas
    import sklearn
    import torch
    from threadpoolctl import threadpool_info
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(reversed([tuple(p.strip() for p in line.split(":", 1)) for line in info.splitlines() if ":" in line]))
    wide = [f for f in ("avx2", "avx512f") if f in fields.get("flags", "").split()]
    blas = sorted({f"{i['internal_api']} {i['version']} ({i.get('architecture', '?')})" for i in threadpool_info()
                   if i["user_api"] == "blas" and "numpy" in i["filepath"]})
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": f"{fields.get('model name', platform.processor())} (family {fields.get('cpu family', '?')}, model {fields.get('model', '?')}; "
               f"{', '.join(wide) or 'no wide vectors'})",
        "cores": len(os.sched_getaffinity(0)),
        "memory": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "load": os.getloadavg(),
        "sisa": output(binary, "--version"),
        "commit": output("git", "rev-parse", "HEAD") + ("" if output("git", "status", "--porcelain", "-uno") == "" else ", with changes"),
        "rustc": output("rustc", "--version"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "blas": ", ".join(blas) or "unknown",
        "scikit-learn": sklearn.__version__,
        "pandas": pandas.__version__,
    }


class TorchTurns:
    """sisa_torch.py as a process that does one thing whenever it is asked."""

    def __init__(self, data, scratch, shards, slices, epochs, trials, threads):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        call = [sys.executable, HERE / "sisa_torch.py", data, scratch, "--turns", "--shards", shards, "--slices", slices, "--epochs", epochs,
                "--threads", threads, "--requests", REQUESTS, "--trials", trials]
        self.process = subprocess.Popen(list(map(str, call)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **dict.fromkeys(names, str(threads))})

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a process ended: {self.process.args}")
        return json.loads(line)

    def turn(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.line()

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class EngineRun:
    """A workspace whose import is done, and what is measured in it."""

    def __init__(self, binary, scratch, data, name, shards, slices, schedule, epochs):
        self.engine, self.data = Engine(binary, Path(scratch) / name.replace(" ", "-").replace("=", "")), data
        self.shards, self.slices, self.schedule, self.epochs, self.count = shards, slices, schedule, epochs, 0
        self.settings([], 1)
        self.engine.run("train", data / "train.csv", "--seed", 1, "--yes")

    def settings(self, hidden, epochs):
        """A recipe of its own for each training: the rates differ by one in a million."""
        self.engine.configure(config('"b0..b599" = { kind = "byte", scale = 1.0 }', [f"{c:02d}" for c in range(purchase.CLASSES)],
                                     self.shards, self.slices, hidden, sisa_torch.BATCH, epochs, self.schedule,
                                     rate=RATE * (1 + self.count * 1e-6)))
        self.count += 1

    def train(self, threads):
        self.settings([sisa_torch.HIDDEN], self.epochs)
        seconds, lines = self.engine.run("train", "--yes", threads=threads)
        return {"threads": threads, "seconds": seconds, "training": lines["trained"]["seconds"], "row_passes": lines["trained"]["row_passes"],
                "bytes": lines["trained"]["bytes"]}

    def delete(self, ids, threads):
        seconds, lines = self.engine.run("delete", "--subject", *map(purchase.name_of, ids), threads=threads)
        repaired, effective = lines["repaired"], lines["effective"]
        return {"threads": threads, "seconds": seconds, "effective": effective["seconds"], "training": repaired["seconds"],
                "row_passes": repaired["row_passes"], "full_row_passes": repaired["full_row_passes"], "purged": effective["purged"]}

    def accuracy(self):
        return self.engine.run("eval", self.data / "test.csv")[1]["evaluated"]["accuracy"]


def deletion(binary, scratch, data, epochs, rounds, twos):
    """Full retraining and the deletion of 8, taking turns: one thread with PyTorch beside, then two threads of the engine alone."""
    rows = len(sisa_torch.np.load(data / "train.y.npy"))
    single = EngineRun(binary, scratch, data, "single", 1, 1, "cumulative", epochs)
    runs = {n: EngineRun(binary, scratch, data, n, SHARDS, slices, schedule, epochs) for n, (slices, schedule) in ENSEMBLES.items()}
    found = {"rows": rows, "epochs": epochs, "shards": SHARDS, "requests": REQUESTS, "rate": RATE, "flip": purchase.FLIP,
             "engine": {"single": {"train": []}}, "torch": {"single": {"train": []}}}
    for name, run in runs.items():
        found["engine"][name] = {"train": [run.train(1)], "accuracy": run.accuracy(), "delete": []}
        say(f"engine, {name}: {found['engine'][name]['train'][0]['seconds']:.1f} s, accuracy {100 * found['engine'][name]['accuracy']:.2f} %")
    peers = {"single": TorchTurns(data, scratch, 1, 1, epochs, rounds, 1)}
    for name in ("R=5 cumulative", "R=50 cumulative"):
        peers[name] = TorchTurns(data, scratch, SHARDS, ENSEMBLES[name][0], epochs, rounds, 1)
        trained = peers[name].turn()
        found["torch"][name] = {"train": [trained], "accuracy": peers[name].line()["accuracy"], "delete": []}
        say(f"torch, {name}: {trained['seconds']:.1f} s, accuracy {100 * found['torch'][name]['accuracy']:.2f} %")
    # Two batches of the engine a round, one before and one after PyTorch's model; the peers' batches are the first `rounds` of them.
    batches = iter(sisa_torch.batches(rows, REQUESTS, 2 * (rounds + twos)))
    first = [next(batches) for _ in range(rounds)]
    for turn in range(rounds):
        found["engine"]["single"]["train"].append(single.train(1))
        for name, run in runs.items():
            found["engine"][name]["delete"].append(run.delete(first[turn], 1))
        found["torch"]["single"]["train"].append(peers["single"].turn())
        ids = next(batches)
        for name, run in runs.items():
            found["engine"][name]["delete"].append(run.delete(ids, 1))
        for name in ("R=5 cumulative", "R=50 cumulative"):
            found["torch"][name]["delete"].append(peers[name].turn())
        say(f"round {turn + 1} of {rounds}: one model {found['engine']['single']['train'][-1]['seconds']:.1f} s, torch "
            f"{found['torch']['single']['train'][-1]['seconds']:.1f} s; " + ", ".join(
                f"{n} {found[w][n]['delete'][-1]['seconds']:.2f} s ({w})" for w in ("engine", "torch") for n in found[w] if n != "single"))
    for name, peer in peers.items():
        found["torch"][name]["accuracy_after" if name != "single" else "accuracy"] = peer.line()["accuracy"]
        peer.close()
    for turn in range(twos):
        found["engine"]["single"]["train"].append(single.train(2))
        for ids in (next(batches), next(batches)):
            for name, run in runs.items():
                found["engine"][name]["delete"].append(run.delete(ids, 2))
        say(f"two threads, {turn + 1} of {twos}: one model {found['engine']['single']['train'][-1]['seconds']:.1f} s; " + ", ".join(
            f"{n} {found['engine'][n]['delete'][-1]['seconds']:.2f} s" for n in runs))
    found["engine"]["single"]["accuracy"] = single.accuracy()
    for name, run in runs.items():
        found["engine"][name]["accuracy_after"] = run.accuracy()
        found["engine"][name]["train"].append(run.train(2))
    for run in (single, *runs.values()):
        shutil.rmtree(run.engine.folder)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scratch", nargs="?")
    parser.add_argument("--sisa", default=HERE.parent.parent / "target" / "release" / "sisa")
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--data", help="folder with adult.csv.gz and fashion-mnist/, for the part `sets`")
    parser.add_argument("--dare", metavar="PYTHON", help="a Python with dare-rf, for the part `sets`")
    parser.add_argument("--out")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--render", metavar="JSON")
    arguments = parser.parse_args()
    if arguments.render:
        path = Path(arguments.render)
        return path.with_name("BENCHMARKS.md").write_text(report.page(json.loads(path.read_text())))
    if not arguments.scratch:
        parser.error("SCRATCH is missing")
    parts = arguments.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"--only knows no {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if "sets" in parts and not arguments.data:
        if parts == ["sets"]:
            parser.error("--only sets needs --data")
        parts.remove("sets")
        say("without --data the part `sets` is left out")
    if not Path(arguments.sisa).exists():
        parser.error(f"{arguments.sisa} is not there; build it with `cargo build --release`")
    quick, binary = arguments.quick, str(Path(arguments.sisa).resolve())
    scratch = Path(arguments.scratch).resolve() / "peers"
    out = Path(arguments.out or (arguments.scratch if quick else HERE.parent.parent / "docs"))
    out.mkdir(parents=True, exist_ok=True)
    json_file = out / "benchmarks.json"
    start = time.time()
    samples = json.loads(json_file.read_text()) if json_file.exists() and set(parts) != set(PARTS) else {}
    if samples and samples["quick"] != quick:
        parser.error(f"{json_file} is of a run {'without' if quick else 'with'} --quick; choose another --out")
    facts = machine(binary)
    samples.setdefault("took", 0.0)
    if "machine" not in samples or parts != ["sets"]:
        # Parts that are kept from an earlier run were measured at its commit.
        before, kept = samples.get("machine"), [part for part in PARTS[:3] if part in samples and part not in parts]
        if before and kept and before["commit"] != facts["commit"]:
            told = f"{facts['commit']} ({', '.join(parts)}); kept from an earlier run ({', '.join(kept)}): commit {before['commit']}"
            samples["machine"] = {**facts, "commit": told}
        else:
            samples["machine"] = facts
    # (The section of `sets` has a date and a commit of its own, so it does not speak for the other parts.)
    samples["quick"] = quick
    shutil.rmtree(scratch, ignore_errors=True)
    if parts != ["sets"]:
        data = purchase.make(scratch / "purchase", *((6_000, 1_000) if quick else ()))
        say("made the table")
    if "deletion" in parts:
        samples["deletion"] = deletion(binary, scratch, data, *((2, 2, 1) if quick else (sisa_torch.EPOCHS, 3, 3)))
    if "rates" in parts:
        samples["rates"] = rates.measure(binary, scratch, *((2_560, 2, 0.05) if quick else (51_200, 5, 0.7)), say)
    if "ingest" in parts:
        samples["ingest"] = ingest.measure(binary, scratch, *((50_000, 1) if quick else (5_000_000, 3)), data, say)
    if "sets" in parts:
        found = sets.measure(binary, scratch, arguments.data, arguments.dare, quick, say)
        samples["sets"] = {"machine": {**facts, "load_end": os.getloadavg()}, **found}
    took = time.time() - start
    samples["took"] = samples["took"] if parts == ["sets"] and samples["took"] else took
    json_file.write_text(report.dump(samples))
    (out / "BENCHMARKS.md").write_text(report.page(samples))
    shutil.rmtree(scratch, ignore_errors=True)
    say(f"wrote {out / 'BENCHMARKS.md'} and {json_file} after {took / 60:.1f} minutes")


if __name__ == "__main__":
    main()
