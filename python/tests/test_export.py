"""What leaves: ONNX graphs answer as the engine does, and the ledger knows of every copy."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import CONFIG, numbers

import sisa

ADAM = 'optimizer = { kind = "adam", beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 }\nrate = 0.01\ndecay = "linear"\nl2 = 0\nbatch = 32\nclip = 3\n'
LEARNERS = {
    "linear": 'kind = "linear"\n' + ADAM,
    "mlp": 'kind = "mlp"\nhidden = [16, 8]\nactivation = "tanh"\n' + ADAM,
    "relu": 'kind = "ridge"\nmap = { kind = "relu", dimension = 60 }\nstrength = 3e-3\n',
    "cosine": 'kind = "ridge"\nmap = { kind = "cosine", dimension = 60 }\nstrength = 3e-3\nbins = 1\n',
    "bins": 'kind = "ridge"\nmap = { kind = "bins" }\nstrength = 3e-3\n',
    "forest": 'kind = "forest"\ntrees = 10\n',
    "boost": 'kind = "boost"\nrounds = 12\n',
}
LABELS = {
    "classes": 'column = "y"\nvalues = ["low", "mid", "high"]',
    "two": 'column = "f"\nvalues = ["no", "yes"]',
    "number": 'column = "z"\nrange = [-3.0, 5.0]',
}
#: All kinds of columns; of one category column there are more values than a tree or a regression tells apart one by one.
MIXED = """
[data]
subject = "person"
missing = ["", "NaN", "-999"]
[label]
{label}
[columns]
a = {{ kind = "number", range = [0.0, 100.0], indicator = true }}
b = {{ kind = "number", log1p = true, range = [0.0, 5000.0] }}
k = "byte"
c = {{ kind = "category", values = ["red", "green", "blue"] }}
when = {{ kind = "date", order = "year-month-day", range = [0.0, 10000.0], parts = ["month", "weekday", "hour"], indicator = true }}
many = {{ kind = "category", values = [{many}] }}
{others}
[shards]
shards = 3
slices = {slices}
aggregate = "{aggregate}"
[learner]
{learner}
"""


def mixed(rows: int, seed: int) -> dict[str, np.ndarray]:
    """A table of all kinds of columns, with missing and unknown values."""
    rng = np.random.default_rng(seed)
    a, b, k = rng.normal(50, 20, rows), np.abs(rng.normal(0, 1000, rows)), rng.integers(0, 256, rows)
    c, f = rng.choice(["red", "green", "blue", "violet", ""], rows), rng.integers(0, 2, rows)
    when = np.datetime64("2010-01-01", "s") + rng.integers(0, 5000 * 86_400, rows).astype("timedelta64[s]")
    z = (a - 50) / 20 + np.log1p(b) / 5 - 1 + (c == "red") + 0.8 * f + k / 256 + rng.normal(0, 0.5, rows)
    a[rng.random(rows) < 0.1], b[rng.random(rows) < 0.1] = np.nan, -999
    when = when.astype(str)
    when[rng.random(rows) < 0.1] = ""
    return {
        "person": np.arange(rows) // 2,
        "a": a.astype(np.float32),
        "b": b.astype(np.float32),
        "k": k.astype(np.uint8),
        "c": c,
        "f": np.array(["no", "yes"])[f],
        "when": when,
        "many": np.char.add(rng.integers(0, 400, rows).astype(str), "v"),
        "y": np.array(["low", "mid", "high"])[np.digitize(z, [0.3, 1.3])],
        "z": z.astype(np.float32),
    }


def odd(table: dict[str, np.ndarray], at: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same with numbers at and beside thresholds and at the ends of f32, and with other spellings."""
    rng, rows = np.random.default_rng(9), len(table["a"])
    ends = np.array([0.0, -0.0, 100.0, 1e30, -1e30, -1e-45, 1e-45, np.nan], np.float32)
    changed = dict(table)
    for name, lowest in (("a", -np.inf), ("b", -0.99)):
        near = np.concatenate([ends, at[name], np.nextafter(at[name], np.float32(np.inf)), np.nextafter(at[name], np.float32(-np.inf))])
        changed[name] = rng.choice(near[~(near <= lowest)], rows).astype(np.float32)
    changed["c"] = rng.choice(["red", "RED", "-999", "", "other"], rows)
    changed["f"] = rng.choice(["no", "yes", "No", "TRUE", "0", ""], rows)
    changed["when"] = rng.choice(["1969-12-31T23:59:59", "2024-02-29T12:30:01", "2000-03-01", "1904-02-29", ""], rows)
    changed["many"] = rng.choice(["0v", "379v", "380v", "x"], rows)
    return changed


def thresholds(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Of a model's trees the numbers at which the columns `a` and `b` part; some others where there are no trees."""
    found: dict[str, list[np.ndarray]] = {"a": [np.float32(np.arange(0, 100, 0.5))], "b": [np.float32(np.arange(0, 5000, 50))]}
    for node in model.graph.node:
        if node.op_type == "TreeEnsemble":
            has = {one.name: one for one in node.attribute}
            splits, asks = onnx.numpy_helper.to_array(has["nodes_splits"].t), np.array(has["nodes_featureids"].ints)
            modes = onnx.numpy_helper.to_array(has["nodes_modes"].t)
            for column, name in enumerate(found):
                found[name].append(splits[(asks == column) & (modes == 0) & np.isfinite(splits)].astype(np.float32))
    return {name: np.unique(np.concatenate(parts)) for name, parts in found.items()}


def feed(session: onnxruntime.InferenceSession, table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A table as a session takes it."""
    fed = {}
    for one in session.get_inputs():
        if one.name == "bytes":
            fed[one.name] = table["k"][:, None] if "k" in table else table["X"]
        elif one.type == "tensor(double)":
            cells = table[one.name]
            seconds = np.where(cells == "", "NaT", cells).astype("datetime64[s]")
            fed[one.name] = np.where(np.isnat(seconds), np.nan, seconds.astype(np.int64).astype(float))
        elif one.type == "tensor(string)":
            fed[one.name] = table[one.name].astype(object)
        else:
            fed[one.name] = table[one.name]
    return fed


def opened(ws: sisa.Workspace, path: Path) -> tuple[onnx.ModelProto, onnxruntime.InferenceSession]:
    told = ws.export_onnx(path)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert {one.domain for one in model.opset_import} == {"", "ai.onnx.ml"}
    # A library that reads the file writes the same one, so that its digest stays.
    assert model.SerializeToString() == path.read_bytes() and told["bytes"] == path.stat().st_size
    return model, onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def same(ws: sisa.Workspace, session: onnxruntime.InferenceSession, table: dict[str, np.ndarray], asked: Any) -> None:
    """Asserts that both answer alike: labels but for ties within 1e-6, probabilities within that."""
    answers = dict(zip((one.name for one in session.get_outputs()), session.run(None, feed(session, table)), strict=True))
    if "value" in answers:
        np.testing.assert_allclose(answers["value"], ws.predict(asked), rtol=0, atol=2e-6)
        return
    shares = ws.predict_proba(asked)
    np.testing.assert_allclose(answers["probabilities"], shares, rtol=0, atol=1e-6)
    first, second = np.sort(shares, axis=1)[:, -1], np.sort(shares, axis=1)[:, -2]
    clear = first - second > 1e-6
    assert clear.any() and (answers["label"] == ws.predict(asked))[clear].all()


@pytest.mark.parametrize("aggregate", ["mean", "vote"])
@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("learner", LEARNERS)
def test_a_graph_answers_as_the_engine_does(tmp_path: Path, learner: str, label: str, aggregate: str) -> None:
    if aggregate == "vote" and (label == "number" or learner not in ("mlp", "forest")):
        pytest.skip("no vote is taken, or it is like that of another learner")
    others = {"classes": 'f = "boolean"\nz = "ignore"', "two": 'y = "ignore"\nz = "ignore"', "number": 'f = "boolean"\ny = "ignore"'}
    config = MIXED.format(
        label=LABELS[label],
        others=others[label],
        many=", ".join(f'"{at}v"' for at in range(380)),
        slices=1 if LEARNERS[learner].startswith(('kind = "ridge"', 'kind = "forest"')) else 2,
        aggregate=aggregate,
        learner=LEARNERS[learner],
    )
    ws = sisa.Workspace(tmp_path / "ws", threads=2, temporary=True)
    table = mixed(900, 1)
    ws.train(table, config=config, seed=3)
    model, session = opened(ws, tmp_path / "model.onnx")
    same(ws, session, table, table)
    strange = odd(mixed(3000, 2), thresholds(model))
    if label == "two":
        del strange["f"]
    same(ws, session, strange, strange)
    # What the engine refuses counts as missing.
    endless, missing = dict(table), dict(table)
    endless["a"], missing["a"] = np.full_like(table["a"], np.inf), np.full_like(table["a"], np.nan)
    with pytest.raises(sisa.InputError):
        ws.predict(endless)
    for one, other in zip(session.run(None, feed(session, endless)), session.run(None, feed(session, missing)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("learner", ["image", "forest", "boost", "mlp"])
def test_images_are_one_matrix(tmp_path: Path, learner: str) -> None:
    rng = np.random.default_rng(5)
    X, y = rng.integers(0, 256, (400, 12 * 8)).astype(np.uint8), rng.integers(0, 2, 400)
    X[y == 1, ::3] //= 4
    kinds = {**LEARNERS, "image": 'kind = "ridge"\nmap = { kind = "image", width = 12, height = 8, dimension = 40 }\nstrength = 1e-3\n'}
    config = f"""
[data]
[label]
column = "y"
values = ["0", "1"]
[columns]
"x0..x95" = "byte"
[shards]
shards = 2
slices = 1
[learner]
{kinds[learner]}
"""
    ws = sisa.Workspace(tmp_path / "ws", threads=2, temporary=True)
    ws.train({"X": X, "y": y}, config=config, seed=3, no_ids=True)
    _, session = opened(ws, tmp_path / "model.onnx")
    flat = np.repeat(np.arange(0, 256, 5), 96).reshape(-1, 96).astype(np.uint8)
    for pixels in (X, flat, np.zeros((1, 96), np.uint8)):
        shares = session.run(["probabilities"], {"bytes": pixels})[0]
        np.testing.assert_allclose(shares, ws.predict_proba({"X": pixels}), rtol=0, atol=1e-6)


@pytest.mark.parametrize("learner", ["mlp", "relu", "forest", "boost"])
def test_all_rows_of_the_demonstration(tmp_path: Path, learner: str) -> None:
    root = Path(__file__).parents[2]
    source = root / "data" / "health_visits.csv.gz"
    declared = (root / "sisa.toml").read_text().split("[shards]")[0].replace("data/health_visits.csv.gz", str(source))
    config = declared + f"[shards]\nshards = 3\nslices = 1\n[learner]\n{LEARNERS[learner]}"
    ws = sisa.Workspace(tmp_path / "ws", threads=2, temporary=True)
    ws.train(config=config, seed=3)
    _, session = opened(ws, tmp_path / "model.onnx")
    with gzip.open(source, "rt") as file:
        rows = list(csv.DictReader(file))
    texts = {one.name for one in session.get_inputs() if one.type == "tensor(string)"}
    cells = {name: [row[name] for row in rows] for name in rows[0]}
    table = {
        name: np.array(column, object) if name in texts else np.array([cell or "nan" for cell in column]).astype(np.float32)
        for name, column in cells.items()
        if name not in ("person_id", "doctor_visits")
    }
    assert len(rows) == 20_190
    same(ws, session, table, str(source))


def test_weights_are_tensors_with_one_fact(tmp_path: Path) -> None:
    from safetensors import safe_open

    ws = sisa.Workspace(tmp_path / "ws", threads=2, temporary=True)
    ws.train(numbers(), config=CONFIG.format(learner="linear") + ADAM, seed=1)
    paths = [tmp_path / "one", tmp_path / "two"]
    for path in paths:
        ws.export(path, "safetensors")
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with safe_open(paths[0], "np") as file:
        assert list(file.metadata()) == ["sisa"]
        facts = json.loads(file.metadata()["sisa"])
        assert facts["classes"] == ["0", "1"] and facts["settings"]["kind"] == "linear"
        weight = file.get_tensor("shard0001.layer0.weight")
        shift, gain = file.get_tensor("shard0001.numbers.shift"), file.get_tensor("shard0001.numbers.gain")
        bias = file.get_tensor("shard0001.layer0.bias")
        other = [file.get_tensor(f"shard0000.{name}") for name in ("numbers.shift", "numbers.gain", "layer0.weight", "layer0.bias")]
    shares = 0
    for s, g, w, b in ((shift, gain, weight, bias), other):
        sums = ((numbers()["X"] - s) * g) @ w + b
        shares = shares + np.exp(sums) / np.exp(sums).sum(1, keepdims=True) / 2
    np.testing.assert_allclose(shares, ws.predict_proba({"X": numbers()["X"]}), atol=1e-5)


def test_the_ledger_names_copies_and_a_card_tells_of_them(trained: sisa.Workspace, tmp_path: Path) -> None:
    told = trained.export(tmp_path / "model.onnx")
    assert [one["entry"] for one in trained.status()["exports"]] == [told["entry"]]
    forecast = trained.forecast([7])["exports"]
    deleted = trained.delete([7], request_id="q")
    named = {"entry": told["entry"], "time": told["time"], "format": "onnx", "digest": told["digest"], "certain": True}
    assert forecast == deleted["exports"] == deleted["effective"]["exports"] == trained.log()[0]["exports"] == [named]
    assert trained.receipt("q")["exports"] == [named]
    card = trained.card()
    assert card.startswith("---\n") and told["digest"] in card and "`sisa verify --retrain`" in card
    assert card.facts["deletions"]["records"] == 3 and card.facts["exports"][0]["requests"] == 1
    assert card.facts["quality"] is None and card.facts["label"] == {"name": "y", "kind": "class", "declared": "0, 1"}


def test_what_has_no_such_form_is_refused_with_what_to_do(trained: sisa.Workspace, tmp_path: Path) -> None:
    with pytest.raises(sisa.InputError, match=r"(?s)trees and no weights.*`export\(path\)`"):
        trained.export(tmp_path / "weights", "safetensors")
    with pytest.raises(ValueError, match="no format"):
        trained.export(tmp_path / "weights", "pickle")  # type: ignore[arg-type]
    assert not (tmp_path / "weights").exists() and trained.status()["exports"] == []


def test_mlflow_loads_the_model_back(trained: sisa.Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    import mlflow

    import sisa.mlflow

    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    trained.delete([7], request_id="q")
    info = sisa.mlflow.log_model(trained, receipts=["q"])
    copy = trained.status()["exports"][0]
    run = mlflow.get_run(info.run_id)
    assert run.data.tags["sisa.digest"] == copy["digest"] and run.data.tags["sisa.ledger_entry"] == str(copy["entry"])
    assert run.data.tags["sisa.records"] == copy["records"] and len(run.data.tags["sisa.lineages"].split(",")) == 2
    files = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert json.loads(next(path for path in files if path.name == "q.json").read_text())["request"] == "q"
    X = numbers()["X"]
    asked = {f"x{at}": X[:, at] for at in range(4)}
    answers = mlflow.pyfunc.load_model(info.model_uri).predict(asked)
    np.testing.assert_allclose(answers["probabilities"], trained.predict_proba({"X": X}), rtol=0, atol=1e-6)
    # The file that MLflow keeps is the one in the ledger.
    trained.export(tmp_path / "again.onnx")
    [kept] = [path for path in files if path.name == "model.onnx"]
    assert hashlib.sha256(kept.read_bytes()).digest() == hashlib.sha256((tmp_path / "again.onnx").read_bytes()).digest()
    assert trained.delete([8])["exports"][0]["digest"] == copy["digest"]


@pytest.mark.parametrize("learner", ["mlp", "relu", "forest", "boost"])
def test_a_vector_is_one_input(learner: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    table = {"v": rng.normal(0, 2, (900, 8)).astype(np.float32), "a": rng.normal(0, 1, 900).astype(np.float32)}
    table["v"][rng.random((900, 8)) < 0.05], table["v"][::50, 3] = np.nan, -999
    table["y"] = np.where(table["a"] + np.nansum(table["v"][:, :2], axis=1) > 0, "up", "down")
    config = '[data]\nmissing = ["", "-999"]\n[label]\ncolumn = "y"\nvalues = ["down", "up"]\n[columns]\n'
    config += 'v = { kind = "embedding", size = 8, range = [-5, 5] }\na = { kind = "number", range = [-4, 4] }\n'
    ws = sisa.Workspace(tmp_path / "ws")
    ws.train(table, config=config + "[shards]\nshards = 2\nslices = 1\n[learner]\n" + LEARNERS[learner], seed=1)
    model, session = opened(ws, tmp_path / "m.onnx")
    assert {one.name: one.shape for one in session.get_inputs()} == {"v": ["rows", 8], "a": ["rows"]}
    asked = {name: items[:300] for name, items in table.items() if name != "y"}
    same(ws, session, asked, asked)
