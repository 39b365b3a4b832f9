#!/usr/bin/env python3
"""`sisa serve` beside FastAPI with ONNX Runtime and beside `mlflow models serve`: the same forest, the same rows, one run.

    cargo build --release
    apt-get install wrk; python3 -m venv VENV
    VENV/bin/pip install mlflow fastapi uvicorn uvloop httptools onnxruntime pandas
    VENV/bin/python scripts/peers/serve.py SISA SCRATCH [--adult adult.csv.gz] [--seconds 3] [--rounds 5] [--without mlflow]
        [--out docs/BENCHMARKS.md]

SISA is the program. SCRATCH is a folder that is made and removed. Without --adult a table of the same size is made up. A forest of 5 x 20 trees
is trained, exported to ONNX and served: by `sisa serve`, by FastAPI (two uvicorn workers, one thread of ONNX Runtime each, JSON read and written
by its own models), and by `mlflow models serve` with two workers: of a model that asks the same session, and of a forest of scikit-learn with as
many trees behind an encoder, as people have it there. First every answer of 100 rows of the first three is compared. Then wrk asks each in turn, with eight connections, --rounds times: one row, then 100 rows, as CSV for `sisa` and mlflow and
as lists of columns for FastAPI. Processor time is that of the server and all its children, system calls included. Last, two people a second
are deleted from `sisa`, which repairs at once. With --out the part of the page about it is written anew. Linux alone.
"""
import argparse
import gzip
import csv
import http.client
import json
import os
import pathlib
import platform
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time

CONNECTIONS, WORKERS, PEOPLE = 8, 2, 48_842
TITLE = "## Serving beside its peers"
NUMBERS = ("age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week")
TEXTS = ("workclass", "education", "marital_status", "occupation", "relationship", "race", "sex", "native_country")

FASTAPI = '''
import os
import numpy as np, onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL"], options)
types = {one.name: np.float32 if "float" in one.type else object for one in session.get_inputs()}
app = FastAPI()


class Rows(BaseModel):
    columns: dict[str, list[float | str | None]]


class Answers(BaseModel):
    predictions: list[str]


@app.get("/ping")
def ping():
    return {}


@app.post("/invocations")
def invocations(rows: Rows) -> Answers:
    feed = {name: np.array(rows.columns[name], dtype=kind) for name, kind in types.items()}
    return Answers(predictions=session.run(["label"], feed)[0].tolist())
'''

MLFLOW = '''
import sys
import mlflow, numpy as np


class Forest(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(context.artifacts["onnx"], options)

    def predict(self, context, model_input, params=None):
        feed = {}
        for one in self.session.get_inputs():
            column = model_input[one.name]
            feed[one.name] = column.to_numpy(np.float32) if "float" in one.type else column.fillna("").to_numpy(object)
        return self.session.run(["label"], feed)[0].tolist()


mlflow.pyfunc.save_model(sys.argv[2], python_model=Forest(), artifacts={"onnx": sys.argv[1]})
'''

SKLEARN = '''
import sys
import mlflow, pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

table, numbers, texts = pd.read_csv(sys.argv[1], dtype={"id": str}), sys.argv[3].split(","), sys.argv[4].split(",")
encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
columns = make_column_transformer(("passthrough", numbers), (encode, texts))
model = make_pipeline(columns, RandomForestClassifier(100, max_depth=12, random_state=1))
mlflow.sklearn.save_model(model.fit(table[numbers + texts], table["income"]), sys.argv[2], serialization_format="cloudpickle")
'''


def table(asked):
    """Header and rows of Adult, or of a table like it."""
    if asked.adult:
        with gzip.open(asked.adult, "rt", newline="") as file:
            rows = list(csv.reader(file))
        return rows[0], rows[1:]
    rng = random.Random(1)
    header = ["id", *NUMBERS, *TEXTS, "income"]
    rows = []
    for at in range(PEOPLE if not asked.quick else 2_000):
        numbers, texts = [rng.randrange(100) for _ in NUMBERS], [rng.randrange(8) for _ in TEXTS]
        income = ">50K" if numbers[0] + 9 * texts[0] + rng.randrange(40) > 110 else "<=50K"
        rows.append([str(at), *map(str, numbers), *(f"v{text}" for text in texts), income])
    return header, rows


class Bench:
    """A trained workspace, its export, and the requests."""

    def __init__(self, asked):
        self.sisa, self.root = str(asked.sisa.resolve()), asked.scratch.resolve() / "workspace"
        self.root.mkdir(parents=True)
        header, rows = table(asked)
        keep = [header.index(name) for name in ("id", *NUMBERS, *TEXTS, "income")]
        rows = [[row[at] for at in keep] for row in rows]
        self.header = [header[at] for at in keep]
        self.people = [row[0] for row in rows]
        with (self.root / "table.csv").open("w", newline="") as file:
            csv.writer(file).writerows([self.header, *rows])
        ends = {name: [f(float(row[at]) for row in rows) for f in (min, max)] for at, name in enumerate(NUMBERS, 1)}
        columns = [f'{name} = {{ kind = "number", range = {ends[name]} }}' for name in NUMBERS]
        for at, name in enumerate(TEXTS, 1 + len(NUMBERS)):
            values = sorted({row[at] for row in rows} - {""})
            columns.append(f'{name} = {{ kind = "category", values = {json.dumps(values)}, missing = [""] }}')
        text = '[data]\nsubject = "id"\nrecord = ["id"]\n[label]\ncolumn = "income"\nvalues = ["<=50K", ">50K"]\n[columns]\n'
        text += "\n".join(columns) + "\n[shards]\nshards = 5\nslices = 1\n"
        text += '[learner]\nkind = "forest"\ntrees = 20\ndepth = 12\n[schedule]\nkind = "once"\nepochs = 1\n'
        (self.root / "sisa.toml").write_text(text)
        self.run("train", "table.csv", "--seed", "1")
        self.model = self.root / "model.onnx"
        self.run("export", self.model)
        self.rows = [row[:-1] for row in rows[-100:]]

    def run(self, *call):
        subprocess.run([self.sisa, "-w", self.root, "--quiet", *call], check=True, cwd=self.root)

    def csv(self, count):
        return "".join(",".join(row) + "\n" for row in [self.header[:-1], *self.rows[:count]]).encode()

    def columns(self, count):
        cells = {name: [row[at] for row in self.rows[:count]] for at, name in enumerate(self.header[:-1]) if at}
        cells = {name: [float(cell) for cell in column] if name in NUMBERS else column for name, column in cells.items()}
        return json.dumps({"columns": cells}).encode()


class Server:
    """A server, from its start to its end, and the processor time that it took with its children."""

    def __init__(self, name, command, port, kind, body, env=None, folder=None):
        self.name, self.port, self.kind, self.body = name, port, kind, body
        self.process = subprocess.Popen(command, env={**os.environ, **(env or {})}, cwd=folder, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, start_new_session=True)
        until = time.monotonic() + 120
        while True:
            try:
                if self.ask("GET", "/ping")[0] == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{name} does not start")
            time.sleep(0.2)

    def ask(self, method, path, body=None, kind=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, {"content-type": kind} if kind else {})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def predictions(self, count):
        status, body = self.ask("POST", "/invocations", self.body(count), self.kind)
        assert status == 200, (self.name, body[:500])
        return json.loads(body)["predictions"]

    def processes(self):
        parents = {}
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents[int(path.parent.name)] = (int(fields[1]), sum(map(int, fields[11:15])))
        ours = {self.process.pid}
        while True:
            more = {pid for pid, (parent, _) in parents.items() if parent in ours} - ours
            if not more:
                return [parents[pid][1] for pid in ours if pid in parents]
            ours |= more

    def processor_time(self):
        return sum(self.processes()) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        # Its own session, and so its own group: the server and the workers that it started.
        os.killpg(self.process.pid, 15)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait()


def wrk(asked, server, count):
    """Requests a second, microseconds of the server's processor time for one, and the p99 in milliseconds."""
    script = asked.scratch / "wrk.lua"
    body = server.body(count).decode().replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    script.write_text(f'wrk.method = "POST"\nwrk.body = "{body}"\nwrk.headers["Content-Type"] = "{server.kind}"\n')
    before = server.processor_time()
    call = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{asked.seconds}s", "--latency", "-s", script, f"http://127.0.0.1:{server.port}/invocations"]
    told = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    used = server.processor_time() - before
    assert "Non-2xx" not in told, told
    done = int(re.search(r"(\d+) requests in", told)[1])
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", told).groups()
    return float(re.search(r"Requests/sec:\s+([\d.]+)", told)[1]), 1e6 * used / max(done, 1), float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def free():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def started(asked, bench):
    """The servers, in the order in which they take turns."""
    servers, port = [], free()
    command = [bench.sisa, "-w", bench.root, "serve", "--listen", f"127.0.0.1:{port}"]
    servers.append(Server("sisa serve", command, port, "text/csv", bench.csv))
    if "fastapi" not in asked.without:
        port, folder = free(), asked.scratch / "fastapi"
        folder.mkdir()
        (folder / "app.py").write_text(FASTAPI)
        command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--workers", str(WORKERS), "--log-level", "error",
                   "--no-access-log"]
        servers.append(Server("FastAPI + ONNX Runtime", command, port, "application/json", bench.columns, {"MODEL": str(bench.model)}, folder))
    models = {
        "mlflow models serve, ONNX": (MLFLOW, [bench.model]),
        "mlflow models serve, scikit-learn": (SKLEARN, [bench.root / "table.csv"]),
    }
    for at, (name, (program, given)) in enumerate(models.items() if "mlflow" not in asked.without else ()):
        port, folder = free(), asked.scratch / f"mlflow-{at}"
        folder.mkdir()
        (folder / "save.py").write_text(program)
        path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
        env = {"PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
        save = [sys.executable, "save.py", *given, "model", ",".join(NUMBERS), ",".join(TEXTS)]
        subprocess.run(save, check=True, cwd=folder, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "model", "-p", str(port), "-w", str(WORKERS), "--env-manager", "local"]
        servers.append(Server(name, command, port, "text/csv", bench.csv, env, folder))
    return servers


def deleting(asked, bench, server):
    """Requests of one row while two people a second are deleted: the p99 and milliseconds from the request to its effect."""
    script = subprocess.Popen([sys.executable, __file__, "--delete", str(server.port), str(asked.seconds), *bench.people[: 4 * asked.seconds]],
                              stdout=subprocess.PIPE, text=True)
    measured = wrk(asked, server, 1)
    effective = json.loads(script.communicate()[0])
    bench.people = bench.people[4 * asked.seconds:]
    return measured, effective


def delete(port, seconds, people):
    """What the process beside wrk does."""
    until, times = time.monotonic() + int(seconds) - 0.6, []
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
    for person in people:
        began = time.monotonic()
        if began > until:
            break
        connection.request("POST", "/v1/deletions", json.dumps({"subjects": [person]}))
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
        times.append(1000 * (time.monotonic() - began))
        time.sleep(max(0.0, 0.5 - (time.monotonic() - began)))
    print(json.dumps(times))


def machine(bench):
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    version = subprocess.run([bench.sisa, "--version"], capture_output=True, text=True).stdout.strip()
    return f"{cpu}, {os.cpu_count()} cores; {version}; Python {platform.python_version()}; {time.strftime('%Y-%m-%d')}"


def page(asked, bench, found, quiet, busy, load):
    """The part of the page, from medians."""
    median = statistics.median
    lines = [TITLE, "", f"One forest of 5 x 20 trees on {'Adult' if asked.adult else 'a table like Adult, made up'}, served by `sisa serve`, and, as the ONNX graph that "
             "`sisa export` writes of it, by FastAPI with ONNX Runtime and by `mlflow models serve` (two workers each), whose other model is a forest of scikit-learn with as many trees. They took turns in one "
             f"run, {CONNECTIONS} connections of wrk on the same machine, {asked.rounds} rounds of {asked.seconds} s, medians. Processor time is the server's with its children. "
             "The ratio of a line is the smaller of two: of requests a second, and of processor time. All answers of 100 rows were equal but for scikit-learn's.", "",
             f"    VENV/bin/python scripts/peers/serve.py SISA SCRATCH --adult adult.csv.gz --seconds {asked.seconds} --rounds {asked.rounds}", "",
             f"{machine(bench)}; load when it began {load}. "
             "wrk takes a part of the same cores: on few of them the rates of the fastest server are its client's.", "",
             "| rows | server | requests/s | processor time for one | 99 of 100 within | `sisa serve` is better by |", "| --- | --- | --- | --- | --- | --- |"]
    for count in (1, 100):
        ours = [median(samples) for samples in zip(*found["sisa serve", count])]
        for (name, rows), samples in found.items():
            if rows != count:
                continue
            rate, used, p99 = (median(each) for each in zip(*samples))
            ratio = "" if name == "sisa serve" else f"{min(ours[0] / rate, used / ours[1]):.1f}"
            lines.append(f"| {count} | {name} | {rate:,.0f} | {used:,.0f} us | {p99:.2f} ms | {ratio} |")
    effective = sorted(one for _, times in busy for one in times)
    (rate, used, before), (after_rate, after_used, after) = ([median(each) for each in zip(*samples)] for samples in (quiet, [m for m, _ in busy]))
    lines += ["", f"While two people a second are deleted from `sisa serve`, each repaired at once, single rows: {after_rate:,.0f} requests/s instead of {rate:,.0f}, "
              f"99 of 100 within {after:.2f} ms instead of {before:.2f}; a deletion is answered as effective after {median(effective):.1f} ms (median of {len(effective)}).", ""]
    return "\n".join(lines)


def written(path, part):
    text = path.read_text()
    found = re.search(rf"^{re.escape(TITLE)}\n.*?(?=^## |\Z)", text, re.M | re.S)
    if found:
        text = text[: found.start()] + part + "\n" + text[found.end():]
    else:
        text = text.replace("## Raw samples\n", part + "\n## Raw samples\n", 1)
    path.write_text(text)
    wrap = pathlib.Path(__file__).resolve().parent.parent / "wrap.py"
    subprocess.run([sys.executable, wrap, path], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sisa", type=pathlib.Path)
    parser.add_argument("scratch", type=pathlib.Path)
    parser.add_argument("--adult", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without", default="", help="peers that are left out: fastapi, mlflow")
    parser.add_argument("--quick", action="store_true", help="a small table, to see that it works")
    parser.add_argument("--out", type=pathlib.Path)
    asked = parser.parse_args()
    asked.scratch = asked.scratch.resolve()
    asked.scratch.mkdir(parents=True)
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    servers = []
    try:
        bench = Bench(asked)
        servers = started(asked, bench)
        answers = {server.name: server.predictions(100) for server in servers}
        assert all(each == answers["sisa serve"] for name, each in answers.items() if "scikit" not in name), answers
        found = {(server.name, count): [] for count in (1, 100) for server in servers}
        quiet, busy = [], []
        for at in range(asked.rounds):
            for count in (1, 100):
                for server in servers:
                    measured = wrk(asked, server, count)
                    found[server.name, count].append(measured)
                    print(f"round {at + 1}, {count} rows, {server.name}: {measured[0]:,.0f}/s, {measured[1]:,.0f} us, p99 {measured[2]:.2f} ms",
                          file=sys.stderr, flush=True)
            quiet.append(wrk(asked, servers[0], 1))
            busy.append(deleting(asked, bench, servers[0]))
            print(f"round {at + 1}, deleting: p99 {busy[-1][0][2]:.2f} ms, quiet {quiet[-1][2]:.2f} ms", file=sys.stderr, flush=True)
        part = page(asked, bench, found, quiet, busy, load)
        print(part)
        if asked.out:
            written(asked.out, part)
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(asked.scratch)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--delete"]:
        delete(sys.argv[2], sys.argv[3], sys.argv[4:])
    else:
        main()
