#!/usr/bin/env python3
"""Training rows a second: the engine, PyTorch, scikit-learn and NumPy on the same rows.

    python3 rates.py SISA_BINARY SCRATCH [--rows 51200] [--repeats 5] [--quick]

Networks 600-128-100 tanh, 784-128-10 relu and 600-100 softmax; SGD with momentum 0.9, no L2, constant rate; batches of 256 and 32; one and
two threads. Every peer is a process of its own that holds the rows and waits; the repeats of all peers take turns, so that a disturbance
of the machine meets them all. A sample is some passes over all rows, chosen once for each setting so that it lasts about 0.7 s (one pass at least).

What a second holds: for every peer shuffling the rows anew in each pass, gathering each batch, forward, backward, update. The peers are
warm: compiling and a first pass are not counted. For the engine `seconds` of `sisa train --json` at S = 1, R = 1: also reading the slice,
making the initial state, writing the checkpoint, and syncing it. The engine keeps bits and grey levels as bytes and widens them batch by
batch; the peers hold float32.

scikit-learn: MLPClassifier.partial_fit with solver="sgd", one call a pass. SGDClassifier has neither batches, nor momentum, nor softmax,
and is not comparable. With no hidden layer MLPClassifier is softmax regression.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import purchase
from engine import Engine, config

NETS = {"600-128-100 tanh": (600, 128, 100, "tanh"), "784-128-10 relu": (784, 128, 10, "relu"), "600-100 softmax": (600, 0, 100, "")}
PEERS = ("engine", "pytorch", "pytorch compiled", "numpy", "scikit-learn")
RATE = 0.02


def grey(rows, seed=2):
    """Rows like small pictures: 784 grey levels around one of 10 prototypes, half of them dark."""
    rng = np.random.default_rng(seed)
    prototypes = rng.integers(0, 256, (10, 784)) * (rng.random((10, 784)) < 0.5)
    y = rng.integers(0, 10, rows)
    x = np.empty((rows, 784), np.uint8)
    for start in range(0, rows, 10_000):
        part = prototypes[y[start:start + 10_000]]
        noise = rng.normal(0, 40, part.shape).astype(np.int64)
        x[start:start + 10_000] = np.where(part > 0, np.clip(part + noise, 0, 255), 0)
    return x, y


def tables(folder, rows):
    """The files of both tables, and where they are, by number of inputs."""
    found = {}
    for inputs in (600, 784):
        base = Path(folder) / f"rates{inputs}-{rows}"
        found[inputs] = base
        if not (base / "done").exists():
            base.mkdir(parents=True, exist_ok=True)
            x, y = purchase.draw(rows, purchase.FLIP, 1, 0)[:2] if inputs == 600 else grey(rows)
            np.save(base / "x.npy", x)
            np.save(base / "y.npy", y)
            purchase.write_csv(base / "train.csv", x, y)
            (base / "done").write_text("")
    return found


# ---- peers: each is made for a setting and trains one pass at a call ----


class Numpy:
    """By hand: float32, every buffer made once, products and updates in place."""

    def __init__(self, x, y, sizes, activation, batch):
        self.x, self.y, self.batch, self.relu = x, y, batch, activation == "relu"
        rng = np.random.default_rng(1)
        pairs = list(zip(sizes, sizes[1:]))
        self.w = [rng.uniform(-1, 1, p).astype(np.float32) * np.float32((6 / sum(p)) ** 0.5) for p in pairs]
        self.b = [np.zeros(p[1], np.float32) for p in pairs]
        self.gw, self.gb = [np.empty_like(w) for w in self.w], [np.empty_like(b) for b in self.b]
        self.vw, self.vb = [np.zeros_like(w) for w in self.w], [np.zeros_like(b) for b in self.b]
        self.a = [np.empty((batch, n), np.float32) for n in sizes]
        self.d = [np.empty((batch, n), np.float32) for n in sizes]
        self.rng = np.random.default_rng(2)
        self.lines = np.arange(batch)

    def passes(self, count):
        for _ in range(count):
            order = self.rng.permutation(len(self.x))
            for start in range(0, len(order), self.batch):
                self.step(order[start:start + self.batch])

    def step(self, rows):
        n, last = len(rows), len(self.w)
        a, d = [v[:n] for v in self.a], [v[:n] for v in self.d]
        np.take(self.x, rows, axis=0, out=a[0], mode="clip")
        for l in range(last):
            z = a[l + 1]
            np.matmul(a[l], self.w[l], out=z)
            z += self.b[l]
            if l + 1 < last:
                np.maximum(z, 0, out=z) if self.relu else np.tanh(z, out=z)
        z = a[last]
        z -= z.max(axis=1, keepdims=True)
        np.exp(z, out=z)
        z /= z.sum(axis=1, keepdims=True)
        z[self.lines[:n], self.y[rows]] -= 1
        z *= np.float32(1 / n)
        d[last] = z
        for l in range(last - 1, -1, -1):
            np.matmul(a[l].T, d[l + 1], out=self.gw[l])
            np.sum(d[l + 1], axis=0, out=self.gb[l])
            if l:
                np.matmul(d[l + 1], self.w[l].T, out=d[l])
                if self.relu:
                    d[l] *= a[l] > 0
                else:
                    np.multiply(a[l], a[l], out=a[l])
                    np.subtract(1, a[l], out=a[l])
                    d[l] *= a[l]
        for parameters, velocities, gradients in ((self.w, self.vw, self.gw), (self.b, self.vb, self.gb)):
            for p, v, g in zip(parameters, velocities, gradients):
                v *= np.float32(0.9)
                v += g
                np.multiply(v, np.float32(RATE), out=g)
                p -= g


class Torch:
    def __init__(self, x, y, sizes, activation, batch, compiled):
        import torch
        self.torch, self.batch = torch, batch
        torch.manual_seed(1)
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)
        act = torch.nn.ReLU if activation == "relu" else torch.nn.Tanh
        layers = [l for a, b in zip(sizes, sizes[1:]) for l in (torch.nn.Linear(a, b), act())][:-1]
        model = torch.nn.Sequential(*layers)
        self.optimiser = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, fused=True)
        self.buffer = torch.empty(batch, x.shape[1])

        def loss(batch, labels):
            return torch.nn.functional.cross_entropy(model(batch), labels)
        if compiled:
            torch.compiler.reset()  # what is left of other settings counts towards the limit on variants
        self.loss = torch.compile(loss, dynamic=False) if compiled else loss

    def passes(self, count):
        for _ in range(count):
            for rows in self.torch.randperm(len(self.x)).split(self.batch):
                batch = self.torch.index_select(self.x, 0, rows, out=self.buffer[:len(rows)])
                loss = self.loss(batch, self.y[rows])
                self.optimiser.zero_grad(set_to_none=False)
                loss.backward()
                self.optimiser.step()


class Sklearn:
    def __init__(self, x, y, sizes, activation, batch):
        from sklearn.neural_network import MLPClassifier
        self.x, self.y, self.classes = x, y, np.arange(sizes[-1])
        self.model = MLPClassifier(sizes[1:-1], activation=activation or "identity", solver="sgd", alpha=0.0, batch_size=batch,
                                   learning_rate_init=RATE, momentum=0.9, nesterovs_momentum=False, random_state=1)

    def passes(self, count):
        for _ in range(count):
            self.model.partial_fit(self.x, self.y, classes=self.classes)


def worker(peer, threads):
    """Answers lines of JSON on stdin: {"make": ..} prepares, {"passes": n} trains and says how long it took."""
    if peer.startswith("pytorch"):
        import torch
        torch.set_num_threads(threads)
    loaded, subject = {}, None
    for line in sys.stdin:
        ask = json.loads(line)
        if "make" in ask:
            base, net, batch = ask["make"]
            inputs, hidden, classes, activation = NETS[net]
            if base not in loaded:
                loaded.clear()
                loaded[base] = np.load(f"{base}/x.npy").astype(np.float32), np.load(f"{base}/y.npy").astype(np.int64)
                if inputs == 784:
                    loaded[base][0][:] *= np.float32(1 / 255)
            x, y = loaded[base]
            sizes = (inputs, *([hidden] if hidden else []), classes)
            if peer == "numpy":
                subject = Numpy(x, y, sizes, activation, batch)
            elif peer == "scikit-learn":
                subject = Sklearn(x, y, sizes, activation, batch)
            else:
                subject = Torch(x, y, sizes, activation, batch, peer.endswith("compiled"))
        start = time.perf_counter()
        subject.passes(ask.get("passes", 1))
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)


class Peer:
    """A worker process."""

    def __init__(self, peer, threads):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--worker", peer, str(threads)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env={**os.environ, **dict.fromkeys(names, str(threads))})

    def ask(self, **what):
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"a worker ended: {self.process.args}")
        return json.loads(answer)["seconds"]

    def make(self, base, net, batch):
        return self.ask(make=[str(base), net, batch])

    def passes(self, count):
        return self.ask(passes=count)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class EnginePeer:
    """A workspace for each table; every sample is a new recipe, told from the last by a slightly different rate."""

    def __init__(self, binary, scratch, threads):
        self.binary, self.scratch, self.threads, self.count = binary, Path(scratch), threads, 0

    def make(self, base, net, batch):
        self.net, self.batch = net, batch
        self.engine = Engine(self.binary, self.scratch / f"rates-engine-{base.name}-{self.threads}", self.threads)
        self.source = [] if (self.engine.folder / "shards" / "CURRENT").exists() else [base / "train.csv", "--seed", 1]
        return self.passes(1)

    def passes(self, count):
        inputs, hidden, classes, activation = NETS[self.net]
        self.count += 1
        columns = f'"b0..b{inputs - 1}" = {{ kind = "byte", scale = {1.0 if inputs == 600 else 1 / 255!r} }}'
        self.engine.configure(config(columns, [f"{c:02d}" for c in range(classes)], 1, 1, [hidden] if hidden else [], self.batch, count,
                                     activation=activation, rate=RATE * (1 + self.count / 10_000)))
        lines = self.engine.run("train", "--yes", *self.source)[1]
        self.source = []
        return lines["trained"]["seconds"]

    def close(self):
        pass


def measure(binary, scratch, rows, repeats, target, say, nets=NETS, batches=(256, 32), threads=(1, 2)):
    """All samples: a list of {net, batch, threads, peer, rates}."""
    bases, found = tables(scratch, rows), []
    for team in threads:
        peers = {p: EnginePeer(binary, scratch, team) if p == "engine" else Peer(p, team) for p in PEERS}
        for net in nets:
            for batch in batches:
                counts, rates = {}, {p: [] for p in PEERS}
                for name, peer in peers.items():
                    peer.make(bases[NETS[net][0]], net, batch)
                    counts[name] = max(1, round(target / max(peer.passes(1), 1e-6)))
                for _ in range(repeats):
                    for name, peer in peers.items():
                        rates[name].append(rows * counts[name] / peer.passes(counts[name]))
                for name in PEERS:
                    found.append({"net": net, "batch": batch, "threads": team, "peer": name, "rates": rates[name]})
                say(f"{net}, batch {batch}, {team} thread(s): " +
                    ", ".join(f"{p} {statistics.median(rates[p]):,.0f}" for p in PEERS))
        for peer in peers.values():
            peer.close()
    for inputs in (600, 784):
        for team in threads:
            shutil.rmtree(Path(scratch) / f"rates-engine-{bases[inputs].name}-{team}", ignore_errors=True)
    return found


def main():
    if sys.argv[1:2] == ["--worker"]:
        return worker(sys.argv[2], int(sys.argv[3]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("scratch")
    parser.add_argument("--rows", type=int, default=51_200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    rows, repeats, target = (2_560, 2, 0.05) if arguments.quick else (arguments.rows, arguments.repeats, 0.7)
    print(json.dumps(measure(arguments.binary, arguments.scratch, rows, repeats, target, lambda line: print(line, file=sys.stderr))))


if __name__ == "__main__":
    main()
