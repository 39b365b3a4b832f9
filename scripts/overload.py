#!/usr/bin/env python3
"""Four times as much as `sisa serve` can answer, for half a minute: what is answered, what is refused, and what becomes of the service.

    scripts/overload.py SISA [SECONDS]

SISA is the program, built with `--release`. The embedded data is trained in a temporary folder and served on a free port of this machine. First
eight connections ask for 100 rows each as fast as they are answered: that is what it can. Then four times that rate comes, whatever is
answered. Every answer must be 200, or 429 with `Retry-After`; the service must be ready within a second of the end.
"""

import asyncio
import gzip
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROWS = 100
CONNECTIONS = 512


class Client:
    def __init__(self, address, body):
        self.host, port = address.removeprefix("http://").split(":")
        self.port, self.idle = int(port), []
        head = f"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/csv\r\ncontent-length: {len(body)}\r\n\r\n"
        self.request = head.encode() + body

    async def ask(self):
        """Asks once; the status, whether a refusal says when to ask again, and the seconds."""
        begun = time.monotonic()
        reader, writer = self.idle.pop() if self.idle else await asyncio.open_connection(self.host, self.port)
        writer.write(self.request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        await reader.readexactly(length)
        self.idle.append((reader, writer))
        return int(head.split(" ")[1]), "retry-after: " in head, time.monotonic() - begun


async def capacity(client, seconds):
    end, count = time.monotonic() + seconds, 0

    async def ask():
        nonlocal count
        while time.monotonic() < end:
            status, _, _ = await client.ask()
            count += status == 200

    await asyncio.gather(*(ask() for _ in range(8)))
    return count / seconds


async def overload(client, rate, seconds):
    begun, asked, open_now, found, skipped = time.monotonic(), 0, set(), [], 0
    while (now := time.monotonic() - begun) < seconds:
        while asked < rate * now:
            asked += 1
            if len(open_now) >= CONNECTIONS:
                skipped += 1
                continue
            task = asyncio.ensure_future(client.ask())
            open_now.add(task)
            task.add_done_callback(lambda t: (open_now.discard(t), found.append(t.result())))
        await asyncio.sleep(0.001)
    await asyncio.gather(*open_now)
    return found, skipped


def memory(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


async def measure(address, pid, body, seconds):
    client = Client(address, body)
    can = await capacity(client, 5)
    before = memory(pid)
    found, skipped = await overload(client, 4 * can, seconds)
    ended = time.monotonic()
    while (await client.ask())[0] != 200:
        await asyncio.sleep(0.01)
    ready = time.monotonic() - ended
    good = sorted(took for status, _, took in found if status == 200)
    refused = [again for status, again, _ in found if status == 429]
    assert len(good) + len(refused) == len(found), {status for status, _, _ in found}
    assert good and all(refused) and ready < 1, ready
    p99 = good[len(good) * 99 // 100] * 1000
    print(f"it can answer {can:.0f} requests of {ROWS} rows a second; asked for {4 * can:.0f} a second for {seconds} s:")
    print(f"answered {len(good) / seconds:.0f} a second, 99 of 100 within {p99:.0f} ms; refused {len(refused) / seconds:.0f} a second")
    print(f"(of {skipped} nobody asked, as {CONNECTIONS} connections were waiting); most memory {before} MiB before, {memory(pid)} MiB after;")
    print(f"ready after {ready * 1000:.0f} ms")


def main():
    sisa, seconds = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 30
    folder = tempfile.mkdtemp(prefix="sisa-overload-")
    try:
        shutil.copy(ROOT / "sisa.toml", folder)
        train = [sisa, "-w", folder, "train", str(ROOT / "data/health_visits.csv.gz"), "--seed", "1", "--quiet"]
        subprocess.run(train, check=True)
        with gzip.open(ROOT / "data/health_visits.csv.gz", "rt") as file:
            body = "".join(line for _, line in zip(range(ROWS + 1), file)).encode()
        serve = [sisa, "-w", folder, "serve", "--json", "--listen", "127.0.0.1:0"]
        service = subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            address = json.loads(service.stdout.readline())["address"]
            asyncio.run(measure(address, service.pid, body, seconds))
        finally:
            service.terminate()
            assert service.wait(timeout=15) == 0
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
