"""A learner for tests: its state is a checksum of all that it was given, in order.

What goes wrong stands in a file `fault` of its folder: how many workers it passes by, at which frame of the next, and what.
What its arithmetic depends on beside its rows stands in a file `machine`. What it looks at beside its rows and seeds, and what its states
hold beside the checksum, is settings:
clock: the time, in the state before any row;
third: chance, at the third batch of a step; made-up steps have two;
above: chance, where a number is above this one; made-up ones without a declared range are at most 1;
leaks: how many steps this process has trained;
keeps: the rows of the last batch are kept in the state;
chain: instead of a checksum, the state before and eight bytes of chance, so that each state tells which ones it came from.
"""
import json
import os
import struct
import sys
import time
import zlib

take, give = sys.stdin.buffer, sys.stdout.buffer


def answer(kind, payload=b""):
    give.write(kind + struct.pack("<Q", len(payload)) + payload)
    give.flush()


def fault():
    try:
        skip, at, what = open("fault").read().split()
    except (OSError, ValueError):
        return 0, ""
    if int(skip):
        with open("fault", "w") as file:
            file.write(f"{int(skip) - 1} {at} {what}")
        return 0, ""
    os.remove("fault")
    return int(at), what


def go_wrong(what):
    if what == "die":
        os.kill(os.getpid(), 9)
    elif what == "exit":
        sys.exit("out of sorts")
    elif what == "hang":
        time.sleep(3600)
    elif what == "print":
        print("epoch 1 of 10", flush=True)
    elif what == "fail":
        answer(b"X", b"no more")
    elif what == "wrong":
        answer(b"Z")
    elif what == "eat":
        bytearray(1 << 34)


machine = open("machine").read().strip() if os.path.exists("machine") else "one"
at, what = fault()
count, sum_, states, settings, batches, steps, kept, before = 0, 0, {}, {}, 0, 0, b"", b""
while head := take.read(9):
    kind, length = head[:1], struct.unpack("<Q", head[1:])[0]
    payload = take.read(length)
    count += 1
    if count == at:
        go_wrong(what)
    if kind == b"H":
        hello = json.loads(payload)
        settings = hello["settings"]
        answer(b"R", json.dumps({"environment": {"machine": machine}}).encode())
    elif kind == b"I":
        if settings.get("chain"):
            answer(b"S", os.urandom(8))
            continue
        seed = zlib.crc32(payload) if machine == "one" else zlib.crc32(payload + machine.encode())
        answer(b"S", struct.pack("<I", seed if not settings.get("clock") else time.time_ns() & 0xFFFFFFFF))
    elif kind == b"T":
        sum_, batches, steps, before = zlib.crc32(payload), 0, steps + 1, payload[48:]
        if settings.get("leaks"):
            sum_ += steps
        answer(b"K")
    elif kind == b"B":
        sum_, batches = zlib.crc32(payload, sum_ & 0xFFFFFFFF), batches + 1
        rows = struct.unpack("<I", payload[:4])[0]
        numbers = struct.unpack_from(f"<{rows * hello['numbers']}f", payload, 8)
        if settings.get("third") and batches == 3 or any(number > settings.get("above", float("inf")) for number in numbers):
            sum_ = zlib.crc32(os.urandom(8), sum_)
        if settings.get("keeps"):
            kept = payload
        answer(b"K")
    elif kind == b"E":
        answer(b"S", before + os.urandom(8) if settings.get("chain") else struct.pack("<I", sum_ & 0xFFFFFFFF) + kept)
    elif kind == b"L":
        states[payload[:4]] = payload[4:]
        answer(b"K")
    elif kind == b"Q":
        rows, outputs = struct.unpack("<I", payload[4:8])[0], hello["outputs"]
        width = 4 * hello["numbers"]
        scores = []
        for row in range(rows):
            first = zlib.crc32(states[payload[:4]] + payload[12 + row * width : 12 + (row + 1) * width]) / 2**32
            scores += [first] + [(1 - first) / (outputs - 1)] * (outputs - 1)
        answer(b"P", struct.pack(f"<{len(scores)}f", *scores))
