#!/usr/bin/env python3
"""What training elsewhere costs, against threads of one process: efficiency of two workers, a task's overhead, a deletion until it is repaired.

    scripts/cluster_bench.py [--table health_visits.csv.gz] [--config sisa.toml] [--epochs 400] [--trials 5] [--ray]

Needs the Python package; with `--ray` Ray, otherwise processes of `concurrent.futures`. Medians, and what they are of.
"""

import argparse
import concurrent.futures
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path

import sisa
from sisa import distributed

HERE = Path(__file__).resolve().parent.parent


def seconds(call):
    clock = time.perf_counter()
    call()
    return time.perf_counter() - clock


def processor(call):
    clock = time.process_time()
    call()
    return time.process_time() - clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", default=str(HERE / "data/health_visits.csv.gz"))
    parser.add_argument("--config", default=str(HERE / "sisa.toml"))
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--ray", action="store_true")
    asked = parser.parse_args()
    lines = [line for line in Path(asked.config).read_text().splitlines() if not line.startswith("sources")]
    config = "\n".join(lines)
    if asked.ray:
        import ray

        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error", _node_ip_address="127.0.0.1")
        submit = distributed.ray()
    else:
        submit = concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")).submit
    with tempfile.TemporaryDirectory() as folder:
        table = [asked.table]

        def workspace(name: str, threads: int, epochs: int, shards: int = 4) -> sisa.Workspace:
            ws = sisa.Workspace(Path(folder) / name, threads=threads, wait=True)
            ws.import_table(table, config=config, seed=1, epochs=epochs, shards=shards)
            return ws

        # Workers that have run once: they have loaded what they need.
        distributed.train(workspace("warm", 1, 1), submit)
        threads, workers, trips, repairs, apart, together = [], [], [], [], [], []
        for trial in range(asked.trials):
            two = workspace(f"threads{trial}", 2, asked.epochs)
            bundles = [two.pack(shard) for shard in two.to_train()]
            apart.append(processor(lambda: [distributed.train_bundle(bundle) for bundle in bundles]))
            together.append(processor(lambda: threads.append(seconds(two.train))))
            many = workspace(f"workers{trial}", 1, asked.epochs)
            workers.append(seconds(lambda: distributed.train(many, submit)))
            # A task of next to no work: what is left is the way there and back.
            small = workspace(f"small{trial}", 1, 1, shards=40)
            bundle = small.pack(0)
            alone = seconds(lambda: distributed.train_bundle(bundle))
            there = submit(distributed.train_bundle, bundle)
            clock = time.perf_counter()
            there = submit(distributed.train_bundle, bundle)
            (there.future() if hasattr(there, "future") else there).result()
            trips.append(time.perf_counter() - clock - alone)
            served = workspace(f"served{trial}", 1, 20)
            distributed.train(served, submit)
            served.delete([125024], defer=True)
            repairs.append(seconds(lambda: distributed.repair(served, submit)))
        median = statistics.median
        print(f"{'Ray' if asked.ray else 'concurrent.futures'}, {asked.trials} trials, medians")
        print(f"training 4 shards, {asked.epochs} epochs: two threads {median(threads):.2f} s, two workers {median(workers):.2f} s")
        print(f"efficiency of two workers against two threads: {median(threads) / median(workers):.2f}")
        print(f"processor time: one process {median(together):.2f} s, the bundles {median(apart):.2f} s")
        print(f"a warm task beside its work: {1e3 * median(trips):.1f} ms")
        print(f"a deferred deletion, from effective to repaired: {1e3 * median(repairs):.0f} ms")


if __name__ == "__main__":
    main()
