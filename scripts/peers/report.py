"""docs/BENCHMARKS.md from the samples of run.py."""
import json
import statistics

import ingest
import rates
import report_sets
from purchase import BITS, CLASSES

PAPER = 4.63
REFERENCE = {"rows": 249_215, "epochs": 12, "requests": 8, "unlearn": 65.5, "retrain": 31.7}
MILLISECONDS = 0.1  # "in milliseconds" is taken as below a tenth of a second
SAME = 0.005  # "the same accuracy" is taken as at most half a point less


def dump(samples):
    """JSON with a sample a line."""
    if isinstance(samples, dict) and samples and any(isinstance(v, (dict, list)) for v in samples.values()):
        return "{" + ",".join(f"\n{json.dumps(k)}: {dump(v)}" for k, v in samples.items()) + "}"
    if isinstance(samples, list) and any(isinstance(v, (dict, list)) for v in samples):
        return "[" + ",".join(f"\n {dump(v)}" for v in samples) + "]"
    return json.dumps(samples)


def share(schedule, shards, slices, requests):
    """Expected share of a full retrain's row-passes: step r of a shard runs again if a request lies in its slices 1..r."""
    steps = range(1, slices + 1)
    budgets = [2 * r / (slices + 1) if schedule == "cumulative" else 1.0 for r in steps]
    again = [1 - (1 - r / (shards * slices)) ** requests for r in steps]
    return sum(p * b for p, b in zip(again, budgets)) / sum(budgets)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    return "\n".join(lines + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows])


def mean(samples, key="seconds"):
    return statistics.fmean(s[key] for s in samples)


def of(samples, threads):
    return [s for s in samples if s.get("threads", 1) == threads]


def percent(x):
    return f"{100 * x:.1f} %"


def flops(net):
    """Multiplications and additions of the matrix products for one row: forward, gradients of weights, gradients of inner inputs."""
    inputs, hidden, classes, _ = rates.NETS[net]
    return 2 * (2 * inputs * hidden + 3 * hidden * classes) if hidden else 4 * inputs * classes


class Page:
    def __init__(self, samples):
        self.samples, self.parts, self.aims = samples, [], []

    def add(self, *texts):
        self.parts += texts

    def aim(self, what, wanted, measured, hit, why=""):
        self.aims.append((what, wanted, measured, "hit" if hit else "**miss**", why))

    # ---- deletion ----

    def deletion(self):
        found = self.samples["deletion"]
        engine, torch = found["engine"], found["torch"]
        self.add(f"""## Deleting {found['requests']} people, against training everything again

{found['rows']:,} rows of {BITS} bits, {CLASSES} classes (`purchase.py`: every bit of a class's prototype turned over with probability
{found['flip']}, at which one model on everything reaches about 90 %), {found['epochs']} epochs, 600-128-100 tanh, SGD with momentum 0.9, batch 256, rate
{found['rate']}, S = {found['shards']}. Neither side averages weights. Accuracy is of the {10_000 if not self.samples['quick'] else 1_000:,} rows that nobody trains on, before any deletion.

What the seconds hold:

- **engine, training**: the whole process `sisa train`, from before it is made until it has ended, on a workspace whose import is done: reading the
  slices, training, writing, digesting and syncing every checkpoint, the ledger, the switch to the new model, unlinking the
  checkpoints of the model before it (as many as the new one has).
- **engine, deletion**: the whole process `sisa delete --subject ..` of {found['requests']} ids in one request: start, reading the ledger and the slices, making the deletion
  effective (slices written again, checkpoints unlinked, both synced), loading the last clean checkpoints, training what is missing, checkpoints, receipt.
- **PyTorch**: `sisa_torch.py`, a warm process that holds all rows as float32 in memory: training, and writing a checkpoint (weights and velocity) after
  every step, without a sync; a deletion also loads the last clean checkpoints. No start, no reading of rows, no digests, no receipt.

"Share" is row-passes of the repair over row-passes of training everything, as they were in these draws; "expected" is the same for uniform requests and equal
slices. Requests are uniform and the same ids on both sides, but the two partitions differ, so shares do as well. Times of deletions are means
over the batches (their costs differ, and what a person pays is the mean); times of training are medians.
""")
        lines = []
        for threads in (1, 2):
            for who, side in (("engine", engine), ("PyTorch", torch)):
                single = of(side["single"]["train"], threads)
                if not single:
                    continue
                base = statistics.median(s["seconds"] for s in single)
                lines.append((threads, who, "one model (S=1, R=1)", percent(side["single"]["accuracy"]), f"{base:.2f}", "", "", "", "", ""))
                for name in (n for n in side if n != "single"):
                    slices, schedule = int(name.split()[0][2:]), name.split()[1]
                    trained, deleted = of(side[name]["train"], threads), of(side[name]["delete"], threads)
                    time, expected = mean(deleted), share(schedule, found["shards"], slices, found["requests"])
                    spread = f"{min(s['seconds'] for s in deleted):.2f} to {max(s['seconds'] for s in deleted):.2f}"
                    seen = mean([{"x": s["row_passes"] / s["full_row_passes"]} for s in deleted], "x")
                    lines.append((threads, who, name.replace("=", " = "), percent(side[name]["accuracy"]),
                                  f"{statistics.median(s['seconds'] for s in trained):.2f}" if trained else "", f"{time:.2f} ({spread})",
                                  percent(seen), percent(expected), f"{base / time:.2f}", f"{1 / expected:.2f}"))
        self.add(table(("threads", "", "ensemble", "accuracy", "training, s", f"deletion of {found['requests']}, s (from, to)", "share", "expected",
                        "sooner than one model", "ideal"), lines),
                 f"\nThe paper's headline for S = 20, R = 50 and 8 requests on Purchase is {PAPER} times sooner than retraining; it counts retraining alone.\n")
        self.parts_of_deletion(found)
        self.reference(found)
        self.aims_of_deletion(found)

    def parts_of_deletion(self, found):
        lines = []
        for threads in (1, 2):
            trained = of(found["engine"]["single"]["train"], threads)
            lines.append((threads, "one model, training again", f"{mean(trained):.2f}", "", f"{mean(trained, 'training'):.2f}",
                          f"{1e3 * (mean(trained) - mean(trained, 'training')):.0f}", f"{mean(trained, 'row_passes') / mean(trained, 'training'):,.0f}"))
            for name in (n for n in found["engine"] if n != "single"):
                deleted = of(found["engine"][name]["delete"], threads)
                rest = mean(deleted) - mean(deleted, "effective") - mean(deleted, "training")
                lines.append((threads, f"{name.replace('=', ' = ')}, deletion", f"{mean(deleted):.2f}", f"{1e3 * mean(deleted, 'effective'):.1f}",
                              f"{mean(deleted, 'training'):.2f}", f"{1e3 * rest:.0f}", f"{mean(deleted, 'row_passes') / mean(deleted, 'training'):,.0f}"))
        self.add("### Where the time goes\n", table(
            ("threads", "", "whole process, s", "until effective, ms", "training with checkpoints, s", "the rest, ms", "row-passes/s of training"), lines), """
Until a deletion is effective, one person costs nine syncs and little else: three files (the
ledger's `accepted`, the slice without the records, which is written before and synced beside it,
and `effective`) and six folders (the writer's mark, the ledger twice, the workspace, the shard's
slices and its checkpoints); the checkpoints that saw the person are unlinked (half of R on average)
while handles keep their blocks, which are freed
afterwards. `scripts/effective.py` measures it alone, 250,000 x 600 bytes, S = 20, R = 50; one run of it, on a disk that synced a new file of 4 KiB in
0.31 ms (medians): one person effective after 4.6 ms, eight after 15.0 ms, the whole process 53 and 95 ms, and `sisa train` with nothing to do 40 ms.

"The rest" is start, finding out which checkpoints are there, syncing the checkpoints of the repaired shards when all are written, ledger, receipt and end of
the process. A deletion's speed-up falls short of the ideal by three things: the parts that are not training; row-passes/s below those of one model (more and
smaller steps, each with a shortened last batch, slices to map and a checkpoint to digest and write; with two threads also shards of unequal work at the end);
and draws whose share is not the expected one.
""")

    def reference(self, found):
        r5 = of(found["engine"]["R=5 cumulative"]["delete"], 1)
        base = statistics.median(s["seconds"] for s in of(found["engine"]["single"]["train"], 1))
        torch, torch_base = mean(found["torch"]["R=5 cumulative"]["delete"]), statistics.median(s["seconds"] for s in found["torch"]["single"]["train"])
        self.add("### The reference code\n", f"""Published figures of the paper's reference code, not measured here and on another machine: {REFERENCE['rows']:,} x 600 bits, 100 classes, S = 20, R = 5,
{REFERENCE['epochs']} epochs, batch 256, one thread: {REFERENCE['unlearn']} s to unlearn {REFERENCE['requests']} points, where a full retrain took it {REFERENCE['retrain']} s. The same setting here, one thread:
""", table(("", f"unlearning {found['requests']}, s", "one model on everything, s", "sooner than retraining"), [
            ("reference code, as published", REFERENCE["unlearn"], REFERENCE["retrain"], f"{REFERENCE['retrain'] / REFERENCE['unlearn']:.2f}"),
            ("PyTorch, `sisa_torch.py`", f"{torch:.2f}", f"{torch_base:.2f}", f"{torch_base / torch:.2f}"),
            ("engine", f"{mean(r5):.2f}", f"{base:.2f}", f"{base / mean(r5):.2f}")]), "")

    def aims_of_deletion(self, found):
        engine = found["engine"]
        for threads in (1, 2):
            single = of(engine["single"]["train"], threads)
            base = statistics.median(s["seconds"] for s in single)
            speed = mean(single, "row_passes") / mean(single, "training")
            for name, wanted in (("R=50 cumulative", 3.7), ("R=50 replay", 4.8)):
                deleted = of(engine[name]["delete"], threads)
                got = base / mean(deleted)
                rest = mean(deleted) - mean(deleted, "training")
                ideal = mean(deleted, "row_passes") / speed
                expected = share(name.split()[1], found["shards"], int(name.split()[0][2:]), found["requests"])
                why = (f"{mean(deleted):.2f} s: {ideal:.2f} s would be its row-passes at the speed of one model, {mean(deleted, 'training') - ideal:+.2f} s is "
                       f"slower training (steps, checkpoints), {rest:.2f} s is not training. These draws' share of row-passes alone would allow "
                       f"{mean(deleted, 'full_row_passes') / mean(deleted, 'row_passes'):.2f}; with the training scaled to the expected share the batch would be "
                       f"{base / (rest + mean(deleted, 'training') * expected * mean(deleted, 'full_row_passes') / mean(deleted, 'row_passes')):.2f} times sooner")
                self.aim(f"batch of {found['requests']}, S = 20, {name.replace('=', ' = ')}, {threads} thread(s), sooner than one model", f"{wanted:.1f}", f"{got:.2f}",
                         got >= wanted, why)
        cumulative, replay = engine["R=50 cumulative"]["accuracy"], engine["R=50 replay"]["accuracy"]
        self.aim("`replay` at the accuracy of `cumulative` (at most half a point less)", percent(cumulative), percent(replay), replay >= cumulative - SAME)
        for name in ("R=5 cumulative", "R=50 cumulative", "R=50 replay"):
            for threads in (1, 2):
                time = mean(of(engine[name]["delete"], threads))
                self.aim(f"S = 20, {name.replace('=', ' = ')}, {threads} thread(s), against the published {REFERENCE['unlearn']} s of the reference code (R = 5, one thread)",
                         "30", f"{REFERENCE['unlearn'] / time:.1f}", REFERENCE["unlearn"] / time >= 30,
                         f"{time:.2f} s; see where the time goes" if REFERENCE["unlearn"] / time < 30 else "")
        instant = statistics.median(s["effective"] for n in engine if n != "single" for s in engine[n]["delete"])
        self.aim("effective in milliseconds (below 100)", "100 ms", f"{1e3 * instant:.1f} ms", instant < MILLISECONDS)

    # ---- rates ----

    def rates(self):
        medians = {}
        for entry in self.samples["rates"]:
            medians.setdefault((entry["net"], entry["batch"], entry["threads"]), {})[entry["peer"]] = statistics.median(entry["rates"])
        lines = []
        for (net, batch, threads), peers in medians.items():
            engine, torch = peers["engine"], max(peers["pytorch"], peers["pytorch compiled"])
            lines.append((net, batch, threads, *(f"{peers[p]:,.0f}" for p in rates.PEERS), f"{engine / torch:.2f}", f"{engine / peers['numpy']:.2f}",
                          f"{engine * flops(net) / 1e9:.0f}"))
        self.add("""## Training, rows a second

Medians; all peers hold the same rows, and their repeats take turns. SGD with momentum 0.9, no L2, constant rate. `rates.py` says what a second holds: shuffling, gathering,
forward, backward and update everywhere; the engine's also reading its slice, the initial state, and a synced checkpoint. PyTorch compiled is
`torch.compile` of the model with its loss, and the fused SGD in both. NumPy is written by hand with buffers kept and products in place. scikit-learn is `MLPClassifier`;
its `SGDClassifier` has no batches, no momentum and no softmax. GFLOP/s counts the engine's matrix products alone. The engine must give the same bits on every CPU and
number of threads, so its chains have a fixed order; the others need not.
""", table(("network", "batch", "threads", *rates.PEERS, "to the better PyTorch", "to NumPy", "GFLOP/s"), lines), "")
        net, at = "600-128-100 tanh", {}
        for batch in (256, 32):
            peers = medians[net, batch, 1]
            engine = peers["engine"]
            torch = max(peers["pytorch"], peers["pytorch compiled"])
            for who, other, wanted in (("NumPy", peers["numpy"], 1.3), ("PyTorch (the better of both)", torch, 1.7)):
                wanted, got = (wanted if batch == 256 else max(wanted, at[who])), engine / other
                at[who] = got
                why = f"engine {engine:,.0f} rows/s ({engine * flops(net) / 1e9:.0f} GFLOP/s), {who} {other:,.0f} ({other * flops(net) / 1e9:.0f})"
                self.aim(f"{net}, batch {batch}, one thread, times {who}" + (" (more than at 256)" if batch == 32 else ""), f"{wanted:.2f}", f"{got:.2f}",
                         got >= wanted, why)

    # ---- ingest ----

    def ingest(self):
        self.add("""## Import, and memory

S = 20, R = 1. Import of the engine is the process `sisa train` less the seconds of training, so start, parsing, keyed hashes, slices written and synced, and the ledger;
of that, reading is what it takes until all cells are encoded, all ids hashed and the rows sorted by shard. pandas is `read_csv` to float32 in a warm process, which parses, on more than one thread, and writes nothing. Processor is the time of all threads together; of the engine with training. Peak memory is the maximal resident set: of the engine for import and
training (one pass, linear) together, of pandas for `read_csv` with Python and its modules. `ingest.py` says more.

Read the ratio of the 20 numbers with care: the load of the page's head is that of this machine alone, and pandas, which fills 2 GB of memory, lost more in this
run than the engine did. On the same machine in quieter minutes pandas came out ahead of the whole import of such a table, and level with its reading. `ingest.py` alone
repeats the comparison in some minutes.
""", table(ingest.HEAD, ingest.lines(self.samples["ingest"])), "")

    # ---- learners of sets ----

    def sets(self):
        found = self.samples["sets"]
        report_sets.aims(found, self.aim)
        self.add(report_sets.section(found, table))

    def text(self):
        facts = self.samples["machine"]
        for part in ("deletion", "rates", "ingest", "sets"):
            if part in self.samples:
                getattr(self, part)()
        head = [f"""# Side by side

What a deletion costs against retraining, and how fast the engine trains and deletes beside PyTorch, NumPy, scikit-learn and DaRE: the same rows in the same run, one after the other.
`scripts/peers/run.py` measured it and wrote this page; every sample is in `benchmarks.json` beside it.
"""]
        if self.samples["quick"]:
            head.append("**A run with `--quick`: the sizes are too small for the numbers to mean anything.**\n")
        head += [table(("", ""), [
            ("date", facts["date"]), ("CPU", facts["cpu"]), ("cores", facts["cores"]), ("memory", f"{facts['memory'] / 2**30:.0f} GiB"), ("system", facts["system"]),
            ("load when it began", " ".join(f"{x:.1f}" for x in facts["load"])), ("engine", f"{facts['sisa']}, commit {facts['commit']}"), ("compiler", facts["rustc"]),
            ("Python", facts["python"]), ("PyTorch", facts["torch"]), ("NumPy", f"{facts['numpy']}, {facts['blas']}"), ("scikit-learn", facts["scikit-learn"]),
            ("pandas", facts["pandas"]), ("took", f"{self.samples['took'] / 60:.0f} minutes")]), "",
            "## Aims, as measured\n", table(("aim", "wanted", "measured", "", "what it consists of"), self.aims), ""]
        return "\n".join(head + self.parts + [self.raw()])

    def raw(self):
        text = ["## Raw samples\n\n<details><summary>Seconds of every deletion and training, rows/s of every repeat</summary>\n"]
        if "deletion" in self.samples:
            for who in ("engine", "torch"):
                for name, runs in self.samples["deletion"][who].items():
                    for kind in (k for k in ("train", "delete") if k in runs):
                        for threads in (1, 2):
                            if seconds := [f"{s['seconds']:.3f}" for s in of(runs[kind], threads)]:
                                text.append(f"- {who}, {name}, {kind}, {threads} thread(s), s: {', '.join(seconds)}")
        for entry in self.samples.get("rates", ()):
            text.append(f"- {entry['net']}, batch {entry['batch']}, {entry['threads']} thread(s), {entry['peer']}, rows/s: " + "; ".join(f"{r:,.0f}" for r in entry["rates"]))
        for entry in self.samples.get("ingest", ()):
            for who in (w for w in ("engine", *ingest.PEERS) if w in entry):
                text.append(f"- {entry['table']}, {who}, import, s: " + ", ".join(f"{s['import']:.3f}" for s in entry[who]))
        if "sets" in self.samples:
            text += report_sets.raw(self.samples["sets"])
        return "\n".join(text) + "\n\n</details>\n"


def page(samples):
    return Page(samples).text()
