#!/usr/bin/env python3
"""SISA training and unlearning (Bourtoule et al., "Machine Unlearning", 2021) in PyTorch, as a fair engineer would write it.

    python3 sisa_torch.py DATA_FOLDER SCRATCH [--shards 20] [--slices 50] [--epochs 12] [--threads 1] [--requests 8] [--trials 3] [--turns]

DATA_FOLDER comes from purchase.py. Prints one JSON object a line; with --turns it waits for a line on stdin before everything it does.
With --shards 1 --slices 1 it is the one model on everything, and every trial trains it anew on all rows (no ids, no checkpoint read).
One process, all shards one after the other. Rows lie in memory as
float32 in the order of shard and slice, a batch is one gather into a buffer that is kept, there is no DataLoader, SGD is the fused one,
nothing is built again between batches. Step r of a shard makes 2E/(R+1) passes over slices 1..r, each shuffled anew, and then
writes a checkpoint (weights, velocity) to disk. Unlearning takes the rows out, throws away the checkpoints that saw them, loads the
last clean one of each shard, and trains and writes what is missing, as the paper has it. Nothing is synced to disk, no digest is
computed and no receipt written: the process is warm, and the time begins when it has the ids.
"""
import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import torch

EPOCHS, BATCH, RATE, MOMENTUM, HIDDEN, CLASSES = 12, 256, 0.05, 0.9, 128, 100


class Sisa:
    """An ensemble over rows (x, y); `folder` is where checkpoints go, None for nowhere."""

    def __init__(self, x, y, shards, slices, folder, epochs=EPOCHS, batch=BATCH, rate=RATE, hidden=HIDDEN, seed=1):
        self.slices, self.epochs, self.batch, self.folder = slices, epochs, batch, folder and Path(folder)
        self.generator = torch.Generator().manual_seed(seed)
        rows = len(x)
        # A cell for every row, drawn as by a hash: sizes vary as they do in the engine.
        cell = torch.randint(0, shards * slices, (rows,), generator=self.generator)
        order = torch.argsort(cell, stable=True)
        self.x = torch.from_numpy(np.ascontiguousarray(x))[order].float()
        self.y = torch.from_numpy(np.ascontiguousarray(y)).long()[order]
        self.cell, self.place = cell[order], torch.argsort(order)
        self.ends = torch.searchsorted(self.cell, torch.arange(1, shards * slices + 1)).tolist()
        self.alive = torch.ones(rows, dtype=torch.bool)
        self.models = [self.fresh(s, seed, x.shape[1], hidden) for s in range(shards)]
        self.initial = [{k: v.clone() for k, v in m.state_dict().items()} for m in self.models]
        self.rate = rate
        self.buffer = torch.empty(batch, x.shape[1])

    @staticmethod
    def fresh(shard, seed, inputs, hidden):
        torch.manual_seed(seed * 100_003 + shard)
        net = torch.nn.Sequential(torch.nn.Linear(inputs, hidden), torch.nn.Tanh(), torch.nn.Linear(hidden, CLASSES))
        for layer in (net[0], net[2]):
            torch.nn.init.xavier_uniform_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
        return net

    def file(self, shard, step):
        return self.folder / f"{shard:04d}-{step:04d}.pt"

    def build(self, shard, first):
        """Steps first..R of a shard; a checkpoint of step first - 1 must be there unless first is 1. Returns row-passes."""
        model = self.models[shard]
        optimiser = torch.optim.SGD(model.parameters(), lr=self.rate, momentum=MOMENTUM, fused=True)
        if first == 1:
            model.load_state_dict(self.initial[shard])
        else:
            state = torch.load(self.file(shard, first - 1), weights_only=True)
            model.load_state_dict(state["model"])
            optimiser.load_state_dict(state["optimiser"])
        loss_of = torch.nn.functional.cross_entropy
        start = self.ends[shard * self.slices - 1] if shard else 0
        passes = 2 * self.epochs / (self.slices + 1)
        done = 0
        for step in range(first, self.slices + 1):
            end = self.ends[shard * self.slices + step - 1]
            rows = start + torch.nonzero(self.alive[start:end]).flatten()
            left = int(passes * len(rows))
            done += left
            visits = [rows[torch.randperm(len(rows), generator=self.generator)] for _ in range(-(-left // max(len(rows), 1)))]
            for part in (torch.cat(visits)[:left].split(self.batch) if left else ()):
                batch = torch.index_select(self.x, 0, part, out=self.buffer[:len(part)])
                loss = loss_of(model(batch), self.y[part])
                optimiser.zero_grad(set_to_none=False)
                loss.backward()
                optimiser.step()
            if self.folder:
                torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict()}, self.file(shard, step))
        return done

    def train(self):
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
        return sum(self.build(shard, 1) for shard in range(len(self.models)))

    def unlearn(self, ids):
        """Takes the rows out and trains what saw them again. Returns row-passes."""
        places = self.place[torch.as_tensor(ids)]
        self.alive[places] = False
        self.x[places] = 0  # the values are gone as well
        first = {}
        for cell in self.cell[places].tolist():
            shard, step = cell // self.slices, cell % self.slices + 1
            first[shard] = min(step, first.get(shard, step))
        for shard, step in first.items():
            for late in range(step, self.slices + 1):
                self.file(shard, late).unlink()
        return sum(self.build(shard, step) for shard, step in sorted(first.items()))

    def full(self):
        """Row-passes of training everything that remains."""
        passes, total = 2 * self.epochs / (self.slices + 1), 0
        for shard in range(len(self.models)):
            start = self.ends[shard * self.slices - 1] if shard else 0
            total += sum(int(passes * int(self.alive[start:self.ends[shard * self.slices + r]].sum())) for r in range(self.slices))
        return total

    def accuracy(self, x, y):
        """Of the mean of the constituents' probabilities."""
        with torch.no_grad():
            inputs = torch.from_numpy(np.ascontiguousarray(x)).float()
            total = sum(torch.softmax(model(inputs), 1) for model in self.models)
        return float((total.argmax(1) == torch.from_numpy(np.ascontiguousarray(y))).float().mean())


def load(folder):
    return [np.load(Path(folder) / f"{name}.npy") for name in ("train.x", "train.y", "test.x", "test.y")]


def batches(rows, requests, trials, seed=5):
    """Ids to delete, trial by trial; the same for the engine."""
    return np.random.default_rng(seed).permutation(rows)[:requests * trials].reshape(trials, requests)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("scratch")
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--slices", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--requests", type=int, default=8)
    parser.add_argument("--trials", type=int, default=3, help="0: train only")
    parser.add_argument("--turns", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    x, y, test_x, test_y = load(arguments.data)
    start = time.perf_counter()
    sisa = Sisa(x, y, arguments.shards, arguments.slices, os.path.join(arguments.scratch, f"torch-{os.getpid()}"), arguments.epochs, rate=arguments.rate)
    loading = time.perf_counter() - start
    Sisa(x[:1000], y[:1000], 1, 1, None, epochs=1).train()  # what PyTorch loads at its first step
    turn = sys.stdin.readline if arguments.turns else lambda: None

    def timed(what, work, **more):
        turn()
        start = time.perf_counter()
        passes = work()
        print(json.dumps({"what": what, "seconds": time.perf_counter() - start, "row_passes": passes, **more}), flush=True)

    alone = arguments.shards * arguments.slices == 1
    if not alone:
        timed("train", sisa.train, loading=loading)
        print(json.dumps({"what": "accuracy", "accuracy": sisa.accuracy(test_x, test_y)}), flush=True)
    for ids in batches(len(x), arguments.requests, arguments.trials):
        timed("unlearn", sisa.train if alone else lambda: sisa.unlearn(ids), full_row_passes=sisa.full())
    print(json.dumps({"what": "accuracy", "accuracy": sisa.accuracy(test_x, test_y)}), flush=True)
    shutil.rmtree(sisa.folder)


if __name__ == "__main__":
    main()
