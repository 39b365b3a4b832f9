"""The section of docs/BENCHMARKS.md on learners of sets, from the samples of sets.py."""
import statistics

UNMEASURED = "not measured by this binary"
ANEW = "trains anew"
SIZES = {"adult": "Adult", "fashion": "Fashion-MNIST"}
# Aims of the forest of 5 x 16 trees, as they were set before it was built.
MEAN_MS, P99_MS, BATCH_MS, PREDICT_ROWS, DARE = 0.47, 3.0, 20.0, 300_000, 0.859


def middle(samples, key):
    return statistics.median(s[key] for s in samples)


def milliseconds(seconds):
    return f"{1e3 * seconds:.3g} ms" if seconds < 0.9995 else f"{1e3 * seconds:,.0f} ms"


def duration(seconds):
    return f"{seconds:.2f} s" if seconds >= 1 else milliseconds(seconds)


def percentile(values, share):
    """The smallest value that at least this share of all do not exceed."""
    return sorted(values)[max(0, -(-len(values) * share // 100) - 1)]


def is_engine(samples):
    return "import_and_train" in samples[0]


def memory_of(samples):
    return samples[0].get("in_memory") if is_engine(samples) else None


def accuracy(samples):
    values = [100 * s["accuracy"] for s in samples]
    return f"{statistics.fmean(values):.2f}" + (f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else "")


def deletion(samples):
    """Cells: mean, median, p99 of a single deletion in memory, and one of a hundred records."""
    if is_engine(samples):
        line = memory_of(samples)
        if not line:
            return (UNMEASURED, "", "", "")
        return (*(milliseconds(line[f"{k}_seconds"]) for k in ("mean", "median", "p99")), milliseconds(line["batch_seconds"]))
    if "delete" not in samples[0]:
        return (ANEW, "", "", "")
    # Quantiles within a seed, the median of them over the seeds: pooling would let one seed's trees decide.
    of = lambda how: milliseconds(statistics.median(how(s["delete"]) for s in samples))
    return of(statistics.fmean), of(statistics.median), of(lambda d: percentile(d, 99)), milliseconds(middle(samples, "batch_seconds"))


def memory(samples):
    """Megabytes: of the state for the engine, by how much the process grew for the others."""
    if is_engine(samples):
        line = memory_of(samples)
        return f"{line['state_bytes'] / 1e6:.0f}" if line else UNMEASURED
    counted = f", of which it counts {middle(samples, 'memory_counted') / 1e6:.0f}" if "memory_counted" in samples[0] else ""
    return f"{max(0, middle(samples, 'memory')) / 1e6:.0f}{counted}"


def served(samples):
    if not is_engine(samples):
        return f"{middle(samples, 'predict_rows'):,.0f}"
    line = memory_of(samples)
    return f"{line['predict_rows_per_second']:,.0f}" if line else UNMEASURED


def durable(found):
    """Lines: training, and a deletion through the command line."""
    lines = []
    for data in SIZES:
        for name, samples in found[data]["sides"].items():
            if is_engine(samples):
                deletions = [d for s in samples for d in s["delete"]]
                lines.append((SIZES[data], name, f"{middle(samples, 'bytes') / 1e6:.1f}", len(deletions), f"{max(d['row_passes'] for d in deletions)}",
                              *(duration(middle(deletions, key)) for key in ("effective", "whole")),
                              duration(max(d["whole"] for d in deletions))))
    return lines


def section(found, table):
    """The section's text; `table` is report.table."""
    adult, fashion, facts = found["adult"], found["fashion"], found["machine"]
    head = f"""## Learners of sets: `forest` and `ridge` beside their peers

    python3.10 -m venv DARE && DARE/bin/pip install "numpy<1.24" "scikit-learn<1.4" dare-rf==1.1.4
    VENV/bin/python scripts/peers/run.py SCRATCH --only sets --data DATA_DIR --dare DARE/bin/python

Adult: {adult['rows']:,} of the rows of the training part without a missing value, drawn by the seed, and the {adult['test_rows']:,} such rows of the test part; all sides have the
very same rows. Fashion-MNIST: {fashion['rows']:,} rows and {fashion['test_rows']:,} to test on. `sets.py` says how the rows are told to each side, `sets_peer.py` how a peer is measured.

Measured on {facts['date']} with {facts['sisa']}, commit {facts['commit']}, {facts['cpu']}, {facts['cores']} cores, load {facts['load'][0]:.1f} when it began{f" and {facts['load_end'][0]:.1f} at the end" if 'load_end' in facts else ""}; scikit-learn {facts['scikit-learn']},
NumPy {facts['numpy']}{'' if adult['no_dare'] else f", DaRE {adult['dare']['dare']} on Python {adult['dare']['python']} and NumPy {adult['dare']['numpy']}"}.

- **Accuracy** is the mean of the seeds (from the smallest to the largest); all else is a median over them. Fashion-MNIST has one seed here; docs/ACCURACY.md has three.
- **Training** is on two threads. The engine's is `seconds` of `sisa train --json`: reading the slices, training, writing and syncing the state; each of its trees has the rows of one shard, a
  fifth of them, where a tree of the others has them all. The peers' is `fit` in a
  warm process that holds the rows as float32; RidgeClassifier on random features also makes them. DaRE has one thread.
- **A deletion in memory** takes one record out of a model that is there, one after the other, on one thread, and writes nothing. The engine's figures are the `bench_memory` lines of
  `sisa bench --json`, on the first seed. scikit-learn can't delete: it trains anew, for the time of training.
- **Memory** of the engine is its state as it is stored (in use it is larger: counts that deletions need are kept beside it); of the peers, by how much the resident set grew while fitting, copies of the rows included.
- **Predict** is rows a second of the test rows in memory, two threads (DaRE: one), the median of three calls.
- The peers' forests see a column of 0 and 1 for each category and draw the square root of all columns (10 of 104) for a node, as is their default; the engine draws whole categories.
- "As ours" is depth 12 and at least 10 rows to split a node; "default" is what scikit-learn takes. All of scikit-learn's forests have 100 trees. DaRE: Gini, depth 20,
  `k` = 5 thresholds, `topd` = 0. RidgeClassifier: `solver="cholesky"`, float32, its penalty the engine's strength of 1e-4 times the features' mean square; random features are max(0, xW + b) with
  normal W and b. No strength is tuned here: the engine's are those that docs/ACCURACY.md chose.
"""
    parts = [head]
    if not all(memory_of(samples) for data in SIZES for samples in found[data]["sides"].values() if is_engine(samples)):
        parts.append("**This binary's `sisa bench --json` prints no `bench_memory` lines, so the engine's figures in memory are missing, and the aims for them.**\n")
    if adult["no_dare"]:
        parts.append(f"**DaRE is not installed here: {adult['no_dare']}.** The commands above install it where there is a Python 3.10: version 1.1.4 has wheels for Python 3.7 to 3.10, none for a later one, and its "
                     "sdist does not build by `pip` alone (its setup imports NumPy before it says that it needs it).\n")
    for data in SIZES:
        rows = [(name, accuracy(samples), duration(middle(samples, "train")), *deletion(samples), memory(samples), served(samples))
                for name, samples in found[data]["sides"].items()]
        parts += [f"### {SIZES[data]}\n", table(("", "accuracy, %", "training", "deletion, mean", "median", "p99", "of 100 at once", "memory, MB", "predict, rows/s"), rows), ""]
    parts += ["### Through the command line, durable\n", "One `sisa delete --subject ..` a record, two threads: until the deletion is in effect, which is when the state without the record is synced, so that "
              "nothing is trained after it; and the whole process from its start to its receipt. Medians.\n",
              table(("data", "", "state on disk, MB", "deletions", "row-passes at most", "effective", "whole process", "slowest"), durable(found)), ""]
    return "\n".join(parts)


def aims(found, aim):
    """Calls `aim` (as report.Page.aim) for what was measured."""
    sides = found["adult"]["sides"]
    name = "forest, 5 x 16 trees"
    samples, extra = sides[name], sides["ExtraTreesClassifier, as ours"]
    got = statistics.fmean(s["accuracy"] for s in samples)
    dare = statistics.fmean(s["accuracy"] for s in sides["DaRE, T = 50"]) if "DaRE, T = 50" in sides else None
    wanted = max(DARE, dare or 0)
    why = f"DaRE, T = 50, on the same rows: {100 * dare:.2f} %" if dare else "DaRE is not installed here"
    aim(f"Adult, {name}: accuracy at least DaRE's, and 85.9 %", f"{100 * wanted:.2f} %", f"{100 * got:.2f} %", got >= wanted, why)
    ours, theirs = middle(samples, "train"), middle(extra, "train")
    aim(f"Adult, {name}: training sooner than ExtraTreesClassifier (as ours, two threads)", duration(theirs), duration(ours), ours < theirs)
    line = memory_of(samples)
    if line:
        for what, key, limit in (("single deletion in memory, one thread, mean", "mean_seconds", MEAN_MS), ("p99", "p99_seconds", P99_MS), ("100 at once", "batch_seconds", BATCH_MS)):
            aim(f"Adult, {name}: {what}, below", f"{limit:g} ms", milliseconds(line[key]), 1e3 * line[key] < limit)
        aim(f"Adult, {name}: predict in memory, rows/s on two threads, above", f"{PREDICT_ROWS:,}", f"{line['predict_rows_per_second']:,.0f}",
            line["predict_rows_per_second"] > PREDICT_ROWS)


def raw(found):
    """Lines of raw samples."""
    for data in SIZES:
        for name, samples in found[data]["sides"].items():
            yield f"- {SIZES[data]}, {name}, training, s: " + ", ".join(f"{s['train']:.3f}" for s in samples)
            if is_engine(samples):
                yield f"- {SIZES[data]}, {name}, durable deletion, whole process, s: " + ", ".join(f"{d['whole']:.3f}" for s in samples for d in s["delete"])
