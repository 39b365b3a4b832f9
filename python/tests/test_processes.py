"""Other processes: that delete meanwhile, that are forked, that are interrupted."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import CONFIG, digest, numbers, python

import sisa
from sisa import answers

LONG = CONFIG.format(learner="mlp").replace(
    'kind = "mlp"', 'kind = "mlp"\nhidden = [64]\nactivation = "relu"\noptimizer = { kind = "sgd", momentum = 0.9 }\nrate = 0.01\n'
    'decay = "constant"\nl2 = 0.0001\nbatch = 16'
)
SHORT = LONG + '[schedule]\nkind = "replay"\nepochs = 1500\n'
LONG += '[schedule]\nkind = "replay"\nepochs = 6000\n'


def test_the_next_answer_after_another_process_deleted_is_without_the_person(trained: sisa.Workspace, tmp_path: Path) -> None:
    X = {"X": numbers()["X"]}
    before = trained.predict_proba(X)
    told = python("import sisa, sys; sisa.Workspace(sys.argv[1]).delete(range(60), defer=sys.argv[2] == '1')", trained.path, 0)
    assert told == ""
    after, one = trained.predict_proba(X), trained.predict_proba({"X": X["X"][:1]})
    assert (before != after).any() and (one[0] == after[0]).all()
    scratch = sisa.Workspace(tmp_path / "scratch")
    scratch.train({name: items[180:] for name, items in numbers().items()}, config=CONFIG.format(learner="boost"), seed=1)
    assert (scratch.predict_proba(X) == after).all()


class Enough(Exception):
    pass


def test_what_a_callback_raises_comes_out_and_nothing_is_lost(tmp_path: Path) -> None:
    """Also on a thread that is not the main one, where no signal comes."""
    ws, raised = sisa.Workspace(tmp_path / "a", threads=2), []

    def train(table: object = None, config: str | None = None) -> None:
        try:
            ws.train(table, config=config, seed=1, progress=_raise)
        except Enough as error:
            raised.append(error)

    train(numbers(), SHORT)
    for _ in range(20):
        thread = threading.Thread(target=train)
        thread.start()
        thread.join(60)
        if len(raised) < 2:
            break
    assert raised
    ws.train(seed=1)
    assert ws.verify(retrain=True)["same"]
    scratch = sisa.Workspace(tmp_path / "b")
    scratch.train(numbers(), config=SHORT, seed=1)
    assert digest(ws.path) == digest(scratch.path)


def test_an_import_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    table, config = numbers(200_000), CONFIG.format(learner="forest").replace("slices = 3", "slices = 1").replace("shards = 2", "shards = 40")

    def stop(told: answers.Progress) -> None:
        if told["stage"] == "importing" and told["done"] >= first:
            raise Enough

    for first in (0, 1, 150_000, 200_000):
        ws = sisa.Workspace(tmp_path / str(first), threads=2)
        with contextlib.suppress(Enough):
            ws.train(table, config=config, seed=1, progress=stop)
            continue
        with pytest.raises(sisa.NotReadyError):
            ws.predict({"X": table["X"][:1]})
        assert ws.verify()["same"]
        assert ws.train(table, config=config, seed=1)["complete"]
        assert ws.verify()["same"]


INTERRUPTED = """
import sys, threading, time
import sisa
ws = sisa.Workspace(sys.argv[1], threads=2)
started = threading.Event()
def tell(told):
    if told["stage"] == "training" and not started.is_set():
        started.set()
        print("training", flush=True)
try:
    ws.train(progress=tell)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    print(ws.status()["ledger_entries"], flush=True)
"""


def test_ctrl_c_is_heard_and_the_workspace_stays_sound(tmp_path: Path) -> None:
    ws = sisa.Workspace(tmp_path, threads=2)
    with pytest.raises(Enough):
        ws.train(numbers(), config=LONG, seed=1, progress=_raise)
    for _ in range(5):
        child = subprocess.Popen([sys.executable, "-c", INTERRUPTED, ws.path], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None and child.stdout.readline() == "training\n"
        child.send_signal(signal.SIGINT)
        # Epochs without end: it ends because it was asked to.
        out, _ = child.communicate(timeout=60)
        assert out.startswith("interrupted\n") and child.returncode == 0
    assert ws.verify()["same"]


def _raise(told: answers.Progress) -> None:
    if told["stage"] == "training":
        raise Enough


def test_a_signal_handler_may_end_the_program(tmp_path: Path) -> None:
    code = INTERRUPTED.replace("started = ", "import signal; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); started = ")
    with pytest.raises(Enough):
        sisa.Workspace(tmp_path, threads=2).train(numbers(), config=LONG, seed=1, progress=_raise)
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "training\n"
    child.terminate()
    child.communicate(timeout=60)
    assert child.returncode == 7


ENDING = """
import sys, threading, time
import sisa
started, here = threading.Event(), sys.argv[1:]
def busy(*_):
    started.set()
    while True:
        pass
class Table:
    __arrow_c_stream__ = busy
def begin():
    if here[0] == "progress":
        sisa.Workspace(here[1], threads=2).train(progress=busy)
    elif here[0] == "table":
        sisa.Workspace(here[1], threads=2).predict(Table())
    else:
        sisa.Workspace(here[1], threads=2).train(progress=lambda told: started.set())
threading.Thread(target=begin, daemon=True).start()
started.wait(50)
print("over")
"""


@pytest.mark.parametrize("at", ["progress", "table", "training"])
def test_a_program_ends_while_a_daemon_thread_is_in_it(at: str, tmp_path: Path) -> None:
    """Python ends such a thread where it asks for its lock: in what it calls of ours, or in what we call of Python's."""
    with pytest.raises(Enough):
        sisa.Workspace(tmp_path, threads=2).train(numbers(), config=LONG, seed=1, progress=_raise)
    for _ in range(3):
        assert python(ENDING, at, tmp_path) == "over\n"


def _answer(ws: sisa.Workspace, queue: object) -> None:
    queue.put(ws.predict_proba({"X": numbers()["X"]}).tobytes())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_answer_after_their_parent_did(method: str, trained: sisa.Workspace) -> None:
    context = multiprocessing.get_context(method)
    expected = trained.predict_proba({"X": numbers()["X"]}).tobytes()
    for _ in range(100 if method == "fork" else 3):
        queue = context.Queue()
        child = context.Process(target=_answer, args=(trained, queue))
        child.start()
        assert queue.get(timeout=60) == expected
        child.join(60)
        assert child.exitcode == 0


def test_a_child_that_was_forked_meanwhile_keeps_no_lock(tmp_path: Path) -> None:
    """It has a copy of every file that was open, also of the one that is locked as long as somebody writes."""
    children: list[int] = []

    def fork(told: answers.Progress) -> None:
        if told["stage"] == "importing" and not children:
            child = os.fork()
            if child == 0:
                signal.pause()
                os._exit(0)
            children.append(child)

    ws = sisa.Workspace(tmp_path, threads=2)
    config = CONFIG.format(learner="forest").replace("slices = 3", "slices = 1")
    try:
        ws.train(numbers(300_000), config=config, seed=1, progress=fork)
        assert children, "nothing was told of the import"
        assert ws.delete([199])["repaired"] and ws.verify()["same"]
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_python_runs_while_the_engine_works(tmp_path: Path) -> None:
    ticks, done = 0, threading.Event()

    def count() -> None:
        nonlocal ticks
        while not done.is_set():
            ticks += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        sisa.Workspace(tmp_path).train(numbers(), config=SHORT, seed=1)
    finally:
        done.set()
        thread.join()
    assert ticks > 10


def test_two_that_write_at_once_are_told_or_wait(trained: sisa.Workspace) -> None:
    waiting = sisa.Workspace(trained.path, wait=True)
    results: list[object] = []

    def delete(first: int) -> None:
        results.append([waiting.delete([subject])["repaired"] for subject in range(first, first + 5)])

    threads = [threading.Thread(target=delete, args=(first,)) for first in (0, 50, 100)]
    [thread.start() for thread in threads]
    [thread.join(60) for thread in threads]
    assert len(results) == 3 and trained.verify(retrain=True)["same"]
    assert np.isfinite(trained.predict_proba({"X": numbers()["X"]})).all()
