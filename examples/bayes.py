"""Naive Bayes as a learner of one's own: a worker with nothing but the standard library (docs/OWN-MODELS.md has the frames).

[learner]
kind = "external"
name = "bayes"
command = ["python3", "bayes.py"]
code = ["bayes.py"]
settings = { smoothing = 1.0 }
"""
import json
import math
import struct
import sys

take, give = sys.stdin.buffer, sys.stdout.buffer


def answer(kind, payload=b""):
    give.write(kind + struct.pack("<Q", len(payload)) + payload)
    give.flush()


def rows(payload, labels):
    """The rows of a frame, each its values as features by name, and its label."""
    count, numbers, categories = struct.unpack("<I", payload[:4])[0], hello["numbers"], len(hello["categories"])
    at = 8 + 4 * count * numbers  # Numbers come first, and are passed over here: only what can be counted is.
    values = struct.unpack_from(f"<{count * categories}I", payload, at)
    at += 4 * count * categories
    classes = struct.unpack_from(f"<{count}I", payload, at) if labels else [0] * count
    at += 4 * count * labels
    width = len(hello["byte_scales"])
    for row in range(count):
        cells = [f"c{i}={v}" for i, v in enumerate(values[row * categories : (row + 1) * categories])]
        cells += [f"b{i}={v >> 5}" for i, v in enumerate(payload[at + row * width : at + (row + 1) * width])]
        yield cells, classes[row]


def scores(state, cells):
    smoothing, total = settings.get("smoothing", 1.0), sum(state["classes"])
    logs = []
    for k, seen in enumerate(state["classes"]):
        log = math.log((seen + smoothing) / (total + smoothing * len(state["classes"])))
        for cell in cells:
            log += math.log((state["cells"].get(cell, [0] * hello["outputs"])[k] + smoothing) / (seen + 8 * smoothing))
        logs.append(log)
    shares = [math.exp(log - max(logs)) for log in logs]
    return [share / sum(shares) for share in shares]


states = {}
while head := take.read(9):
    kind, payload = head[:1], take.read(struct.unpack("<Q", head[1:])[0])
    if kind == b"H":  # hello
        hello = json.loads(payload)
        settings = hello["settings"]
        answer(b"R", json.dumps({"environment": {"python": sys.version.split()[0]}}).encode())
    elif kind == b"I":  # the state before any row; the seed is not needed
        answer(b"S", json.dumps({"classes": [0] * hello["outputs"], "cells": {}}).encode())
    elif kind == b"T":  # a step: index, steps, visits, seed, state
        state = json.loads(payload[48:])
        answer(b"K")
    elif kind == b"B":  # rows that are visited
        for cells, label in rows(payload, labels=True):
            state["classes"][label] += 1
            for cell in cells:
                state["cells"].setdefault(cell, [0] * hello["outputs"])[label] += 1
        answer(b"K")
    elif kind == b"E":  # the state after the step: sorted, so that the same counts are the same bytes
        answer(b"S", json.dumps(state, sort_keys=True).encode())
    elif kind == b"L":  # a state that answers
        states[payload[:4]] = json.loads(payload[4:])
        answer(b"K")
    elif kind == b"Q":  # rows to be scored by it
        found = [share for cells, _ in rows(payload[4:], labels=False) for share in scores(states[payload[:4]], cells)]
        answer(b"P", struct.pack(f"<{len(found)}f", *found))
