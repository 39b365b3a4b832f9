#!/usr/bin/env python3
"""What `sisa serve` answers under load, on loopback: single rows of a generated table from eight
processes, the same while somebody is deleted every half second, and 1,000 deletions at once.

    python3 scripts/service.py SISA FOLDER [--learner forest|mlp] [--seconds 5]

The table has 30,000 rows of 14 numbers about 10,000 people. The clients are Python's standard
library and need as much processor time as the service or more, so on few cores the rates are
theirs; processor time a request is the service's own. Linux alone. Everything stops by itself.
"""
import argparse, http.client, json, multiprocessing, os, random, subprocess, threading, time
from pathlib import Path

FOREST = 'kind = "forest"\ntrees = 20\ndepth = 12\ncounts = true\n[schedule]\nkind = "once"\nepochs = 1'
MLP = ('kind = "mlp"\nhidden = [128]\nactivation = "relu"\noptimizer = { kind = "sgd", momentum = 0.9 }\nrate = 0.02\n'
       'decay = "constant"\nl2 = 0\nbatch = 128\n[schedule]\nkind = "replay"\nepochs = 2')
NUMBERS, PEOPLE, ROWS, MANY = 14, 10_000, 30_000, 1000

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("sisa", type=Path)
parser.add_argument("folder", type=Path)
parser.add_argument("--learner", choices=["forest", "mlp"], default="forest")
parser.add_argument("--seconds", type=int, default=5)
asked = parser.parse_args()
BINARY, ROOT = str(asked.sisa.resolve()), asked.folder.resolve() / asked.learner


def trained():
    """A workspace that serves, and the request of one row."""
    ROOT.mkdir(parents=True)
    rng, table = random.Random(1), ROOT / "table.csv"
    header = "row,who," + ",".join(f"x{i}" for i in range(NUMBERS))
    rows = [[rng.random() for _ in range(NUMBERS)] for _ in range(ROWS)]
    with table.open("w") as out:
        out.write(header + ",label\n")
        for at, row in enumerate(rows):
            cells = ",".join(f"{cell:.4f}" for cell in row)
            out.write(f"{at},p{rng.randrange(PEOPLE)},{cells},{'AB'[sum(row[:2]) > 1]}\n")
    columns = "".join(f'x{i} = {{ kind = "number", range = [0, 1] }}\n' for i in range(NUMBERS))
    learner, slices = (FOREST, 1) if asked.learner == "forest" else (MLP, 10)
    (ROOT / "sisa.toml").write_text(
        '[data]\nsubject = "who"\nrecord = ["row"]\n[label]\ncolumn = "label"\nvalues = ["A", "B"]\n'
        f"[columns]\n{columns}[shards]\nshards = 5\nslices = {slices}\n[learner]\n{learner}\n")
    subprocess.run([BINARY, "-w", ROOT, "--quiet", "train", table, "--seed", "1"], check=True)
    return (header + "\n" + "0,p0," + ",".join("0.5" for _ in range(NUMBERS)) + "\n").encode()


def started():
    """The service, its port, once it is ready."""
    command = [BINARY, "-w", ROOT, "--json", "serve", "--listen", "127.0.0.1:0"]
    service = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return service, int(json.loads(service.stdout.readline())["address"].rsplit(":", 1)[1])


def ask(connection, path, body, kind="application/json"):
    connection.request("POST", path, body, {"content-type": kind})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def client(port, body, until, told):
    connection, times, refused = http.client.HTTPConnection("127.0.0.1", port), [], 0
    while (began := time.perf_counter()) < until:
        refused += ask(connection, "/invocations", body, "text/csv") != 200
        times.append(time.perf_counter() - began)
    told.put((times, refused))


def processor_time(service):
    fields = Path(f"/proc/{service.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(name, service, port, body, person=None):
    """Eight clients in a loop; with `person` somebody is deleted every half second meanwhile."""
    told, before, until = multiprocessing.Queue(), processor_time(service), time.perf_counter() + asked.seconds
    clients = [multiprocessing.Process(target=client, args=(port, body, until, told)) for _ in range(8)]
    for each in clients:
        each.start()
    effective = []
    while person is not None and (began := time.perf_counter()) < until - 1:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        assert ask(connection, "/v1/deletions", json.dumps({"subjects": [f"p{person}"]})) == 200
        effective.append(1000 * (time.perf_counter() - began))
        person += 1
        time.sleep(0.5)
    answers = [told.get() for _ in clients]
    for each in clients:
        each.join()
    times = sorted(1000 * one for those, _ in answers for one in those)
    used = 1e6 * (processor_time(service) - before) / len(times)
    print(f"{name}: {len(times) / asked.seconds:,.0f} answers a second, {sum(refused for _, refused in answers)} refused, "
          f"median {times[len(times) // 2]:.2f} ms, p99 {times[len(times) * 99 // 100]:.2f} ms, most {times[-1]:.1f} ms, "
          f"{used:.0f} us of the service's processor time a request", flush=True)
    if effective:
        print(f"  effective after {sorted(effective)[len(effective) // 2]:.1f} ms (median of {len(effective)})", flush=True)


def at_once(port):
    """Deletions of a thousand people, one request each, over 64 connections."""
    def some(first):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for person in range(first, MANY, 64):
            body = json.dumps({"subjects": [f"p{5000 + person}"], "request": f"many-{person}"})
            while ask(connection, "/v1/deletions", body) != 200:
                time.sleep(0.05)

    began, threads = time.perf_counter(), [threading.Thread(target=some, args=(first,)) for first in range(64)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    print(f"{MANY:,} deletions over 64 connections: all effective after {time.perf_counter() - began:.1f} s", flush=True)


BODY = trained()
SERVICE, PORT = started()
try:
    load("single rows", SERVICE, PORT, BODY)
    load("two deletions a second, repaired at once", SERVICE, PORT, BODY, person=100)
    at_once(PORT)
finally:
    SERVICE.terminate()
    SERVICE.wait(timeout=30)
