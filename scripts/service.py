#!/usr/bin/env python3
"""What `sisa serve` answers under load, on loopback: single rows of a generated table from eight
processes, the same while somebody is deleted every half second, deletions alone one after the
other, and 1,000 of them at once.

    python3 scripts/service.py SISA FOLDER [--learner forest|mlp] [--seconds 5] [--behind 10000]

`--behind` then puts that many requests into the ledger, of people nobody knows, and measures the
deletions alone again.

The table has 30,000 rows of 14 numbers about 10,000 people. The clients are Python's standard
library and need as much processor time as the service or more, so on few cores the rates are
theirs; processor time a request is the service's own. Linux alone. Everything stops by itself.
"""
import argparse, http.client, json, multiprocessing, os, random, subprocess, threading, time
from pathlib import Path

FOREST = 'kind = "forest"\ntrees = 20\ndepth = 12\ncounts = true\n[schedule]\nkind = "once"\nepochs = 1'
MLP = ('kind = "mlp"\nhidden = [128]\nactivation = "relu"\noptimizer = { kind = "sgd", momentum = 0.9 }\nrate = 0.02\n'
       'decay = "constant"\nl2 = 0\nbatch = 128\n[schedule]\nkind = "replay"\nepochs = 2')
NUMBERS, PEOPLE, ROWS, MANY, ALONE = 14, 10_000, 30_000, 1000, 30

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("sisa", type=Path)
parser.add_argument("folder", type=Path)
parser.add_argument("--learner", choices=["forest", "mlp"], default="forest")
parser.add_argument("--seconds", type=int, default=5)
parser.add_argument("--behind", type=int, default=0)
parser.add_argument("--smoke", action="store_true", help="a small table and few requests, to see that it works")
asked = parser.parse_args()
if asked.smoke:
    ROWS, MANY, ALONE = 3_000, 100, 3
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


def delete(connection, person, wait="effective"):
    """Asks until it is taken: whatever is more than may wait is told to come again."""
    body = json.dumps({"subjects": [person], "request": f"of-{person}", "wait": wait})
    while ask(connection, "/v1/deletions", body) not in (200, 202):
        time.sleep(0.05)


def settled(connection):
    """Waits until nothing is left to repair."""
    while True:
        connection.request("POST", "/v1/repair")
        if not json.loads(connection.getresponse().read())["unrepaired"]:
            return
        time.sleep(0.2)


def alone(name, port, first):
    """Deletions one after the other, with nothing else to do but what follows from them."""
    connection, times = http.client.HTTPConnection("127.0.0.1", port), []
    settled(connection)
    for person in range(first, first + ALONE):
        began = time.perf_counter()
        delete(connection, f"p{person}")
        times.append(1000 * (time.perf_counter() - began))
        time.sleep(0.2)
    times.sort()
    print(f"{name}: effective after {times[ALONE // 2]:.1f} ms (median of {ALONE}; {times[0]:.1f} to {times[-1]:.1f} ms)", flush=True)
    return times[ALONE // 2]


def together(port, people):
    """Deletions of many, one request each, over 64 connections: until all are accepted, and until all are in effect."""
    def some(mine):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for person in mine:
            delete(connection, person, "accepted")

    began, threads = time.perf_counter(), [threading.Thread(target=some, args=(people[at::64],)) for at in range(64)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    accepted = time.perf_counter() - began
    # One more comes into effect after all of them.
    delete(http.client.HTTPConnection("127.0.0.1", port), f"after-{people[-1]}")
    return accepted, time.perf_counter() - began


BODY = trained()
SERVICE, PORT = started()
try:
    load("single rows", SERVICE, PORT, BODY)
    load("two deletions a second, repaired at once", SERVICE, PORT, BODY, person=100)
    few = alone("deletions alone", PORT, 1000)
    took = together(PORT, [f"p{5000 + person}" for person in range(MANY)])
    print(f"{MANY:,} deletions over 64 connections: all accepted after {took[0]:.1f} s, effective after {took[1]:.1f} s", flush=True)
    if asked.behind:
        together(PORT, [f"nobody-{number}" for number in range(asked.behind)])
        many = alone(f"deletions alone, {asked.behind:,} requests behind them", PORT, 2000)
        print(f"  {many / few:.2f} times as long", flush=True)
finally:
    SERVICE.terminate()
    SERVICE.wait(timeout=30)
