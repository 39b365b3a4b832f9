"""A workspace from Python: what is asked, what is answered, what is refused."""

from __future__ import annotations

import datetime
import json
import logging
import pickle
import re
import threading
import typing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import CONFIG, columns, digest, numbers

import sisa
from sisa import answers

DOCS = Path(__file__).parents[2] / "docs"


def test_a_deletion_from_the_first_row_to_the_receipt(tmp_path: Path) -> None:
    frame = pd.DataFrame(columns(numbers())).assign(y=lambda f: np.where(f["y"] == 1, "sick", "well"))
    ws = sisa.Workspace(tmp_path, threads=2)
    proposal = ws.propose(frame, label="y", subject="subject", record="id", learner="boost", shards=2, slices=3)
    assert not (tmp_path / "sisa.toml").exists()
    assert 'subject = "subject"' in proposal and len(proposal.columns) == 4
    told = ws.train(frame, config=proposal, seed=1)
    assert (tmp_path / "sisa.toml").read_text() == proposal
    assert told["complete"] and told["imported"]["records"] + told["imported"]["held_out"] == 600
    assert told["evaluated"]["accuracy"] > 0.8 and told["schema"] is None
    assert ws.evaluate()["accuracy"] == told["evaluated"]["accuracy"]
    assert ws.evaluate(frame)["rows"] == 600
    assert ws.id_columns() == ("subject", ["id"])

    new = frame.drop(columns=["y", "subject", "id"])
    assert ws.classes == ["sick", "well"]
    shares = ws.predict_proba(new)
    assert shares.dtype == np.float32 and shares.shape == (600, 2) and np.allclose(shares.sum(axis=1), 1, atol=1e-6)
    assert (ws.predict(new) == np.array(["sick", "well"])[shares.argmax(axis=1)]).all()

    assert (ws.predict_proba(new[5:9]) == shares[5:9]).all()

    forecast = ws.forecast([7, "99999"])
    assert forecast["row_passes"] > 0 and forecast["unknown_subjects"] == ["99999"]
    deferred = ws.delete([7, "99999"], request_id="case-1", defer=True)
    assert deferred["unknown"] and deferred["unknown_subjects"] == ["99999"] and not deferred["repaired"]
    assert ws.status()["unrepaired"] == ["case-1"] and not ws.status()["complete"]
    assert ws.repair()["requests"] == ["case-1"] and ws.status()["complete"]
    again = ws.delete([7, "99999"], request_id="case-1")
    assert again["repeated"] and again["repair"] is None
    with pytest.raises(sisa.InputError, match="used for other ids"):
        ws.delete([8], request_id="case-1")
    deleted = ws.delete(records=[10_000, ("10001",)], request_id="case-2")
    assert [one["outcome"] for one in deleted["effective"]["outcomes"]] == ["erased"] * 2
    assert [request["request"] for request in ws.log()] == ["case-1", "case-2"]
    assert ws.rekey_due() is None

    verdict = ws.verify(retrain=True)
    assert verdict["same"] and verdict["retrained"] == 6
    receipt = ws.receipt("case-1")
    (tmp_path / "receipt.json").write_text(json.dumps(receipt))
    assert receipt["request"] == "case-1" and ws.verify(receipts=[tmp_path / "receipt.json"])["same"]
    public = ws.keygen(tmp_path / "key")
    (tmp_path / "signed.json").write_text(json.dumps(ws.receipt("case-1", sign=tmp_path / "key")))
    assert ws.check_receipt(tmp_path / "signed.json", public) == receipt
    assert ws.unsuppress([7]) == 1

    remaining = frame[(frame["subject"] != 7) & ~frame["id"].isin([10_000, 10_001])]
    scratch = sisa.Workspace(tmp_path / "scratch")
    scratch.train(remaining, config=proposal, seed=1)
    assert digest(scratch.path) == digest(ws.path)
    rekeyed = ws.rekey(seed=2)
    assert rekeyed["records"] + ws.status()["shards"][0]["held_out"] + ws.status()["shards"][1]["held_out"] == len(remaining)


def test_rows_are_deleted_by_what_they_hold(tmp_path: Path) -> None:
    arrays = {"X": numbers()["X"], "y": numbers()["y"]}
    config = CONFIG.format(learner="forest").replace('subject = "subject"\nrecord = ["id"]\n', "").replace("slices = 3", "slices = 1")
    ws = sisa.Workspace(tmp_path / "a")
    ws.train(arrays, config=config, seed=1)
    deleted = ws.delete(rows={"X": np.vstack([arrays["X"][:3], np.full((1, 4), 7.5, "f4")]), "y": np.append(arrays["y"][:3], 0)})
    assert deleted["unknown_rows"] == ["the arrays, row 4"] or len(deleted["unknown_rows"]) == 1
    assert ws.verify(retrain=True)["same"]
    scratch = sisa.Workspace(tmp_path / "b")
    scratch.train({name: items[3:] for name, items in arrays.items()}, config=config, seed=1)
    assert digest(scratch.path) == digest(ws.path)


def test_numbers_are_learnt_too(tmp_path: Path) -> None:
    arrays = numbers()
    config = CONFIG.format(learner="boost").replace('values = ["0", "1"]', "range = [-20, 20]")
    ws = sisa.Workspace(tmp_path)
    ws.train({**arrays, "y": arrays["X"][:, 0] * 2}, config=config, seed=1)
    assert np.corrcoef(ws.predict({"X": arrays["X"]}), arrays["X"][:, 0])[0, 1] > 0.9
    assert ws.classes == [] and ws.evaluate({**arrays, "y": arrays["X"][:, 0] * 2})["r2"] > 0.8
    with pytest.raises(TypeError, match="no probabilities"):
        ws.predict_proba({"X": arrays["X"]})


def test_a_plan_needs_no_training(tmp_path: Path) -> None:
    frame = pd.DataFrame(columns(numbers()))
    plan = sisa.Workspace(tmp_path).plan(frame, label="y", subject="subject", shard_counts=[1, 2], slice_counts=[1, 4], pilot=False)
    assert [(one["shards"], one["slices"]) for one in plan["candidates"]] == [(1, 1), (1, 4), (2, 1), (2, 4)]
    assert plan["subjects"] == 180 and plan["recommended_learner"]["kind"] == "forest"
    assert list(tmp_path.iterdir()) == []


def test_a_configuration_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    ws, config = sisa.Workspace(tmp_path), CONFIG.format(learner="boost")
    (tmp_path / "sisa.toml").write_text("# mine\n" + config)
    with pytest.raises(sisa.InputError, match=r"sisa\.toml exists and is not overwritten"):
        ws.train(numbers(), config=config)
    assert (tmp_path / "sisa.toml").read_text().startswith("# mine")
    ws.train(numbers(), config="# mine\n" + config, seed=1)
    with pytest.raises(sisa.InputError, match="TOML"):
        sisa.Workspace(tmp_path / "other").train(numbers(), config="[data")
    assert not (tmp_path / "other" / "sisa.toml").exists()
    with pytest.raises(TypeError, match="no such setting: leaner"):
        ws.train(leaner="forest")


def test_errors_say_whom_they_concern_and_what_helps(trained: sisa.Workspace, tmp_path: Path) -> None:
    with pytest.raises(sisa.NotReadyError, match=r"holds no records yet") as empty:
        sisa.Workspace(tmp_path / "empty").predict(numbers())
    assert empty.value.exit_code == 9 and empty.value.remedies == [{"do": "import"}] and "`train(table)`" in str(empty.value)
    with pytest.raises(ValueError, match=r"holds 600 records already") as again:
        trained.train(numbers())
    assert isinstance(again.value, sisa.InputError) and "fresh=True" in str(again.value)
    back = pickle.loads(pickle.dumps(again.value))
    assert (type(back), str(back), back.remedies) == (sisa.InputError, str(again.value), again.value.remedies)
    with pytest.raises(sisa.InputError, match=r"`log\(\)` lists the requests"):
        trained.receipt("nobody's")
    bad = numbers(50)
    bad["y"] = bad["y"] + 7
    with pytest.raises(sisa.InputError, match="row 1.*label `[78]` is not one of the declared values"):
        sisa.Workspace(tmp_path / "bad").train(bad, config=CONFIG.format(learner="boost"))
    next(Path(trained.path).glob("checkpoints/g*/*/0000/03-*.ckpt")).write_bytes(b"torn")
    assert not trained.verify()["same"]
    assert trained.repair()["rebuilt"] == 1 and trained.verify(retrain=True)["same"]
    next(Path(trained.path).glob("shards/g*/0000/02.slice")).write_bytes(b"torn")
    with pytest.raises(sisa.DamageError):
        trained.repair()
    trained.repair(numbers())
    assert trained.verify(retrain=True)["same"]
    disk = sisa.DiskError("full")
    assert isinstance(disk, OSError) and str(disk) == "full" and str(pickle.loads(pickle.dumps(disk))) == "full"


def test_divergence_is_an_error_and_the_workspace_serves_what_it_has(tmp_path: Path) -> None:
    config = CONFIG.format(learner="mlp").replace(
        'kind = "mlp"', 'kind = "mlp"\nhidden = [8]\nactivation = "relu"\noptimizer = { kind = "sgd", momentum = 0.9 }\nrate = 1e6\n'
        'decay = "constant"\nl2 = 0\nbatch = 16'
    )
    with pytest.raises(sisa.DivergedError, match="shard 0") as diverged:
        sisa.Workspace(tmp_path).train(numbers(), config=config, seed=1)
    assert diverged.value.exit_code == 8 and not diverged.value.answer["complete"]


def test_notes_are_logged_and_progress_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sisa")
    seen: list[answers.Progress] = []
    ws = sisa.Workspace(tmp_path)
    ws.train(pd.DataFrame(columns(numbers())), label="y", subject="subject", seed=1, progress=seen.append)
    assert any("look at it, it is yours" in record.message for record in caplog.records)
    assert seen and {"stage", "done", "total"} <= seen[0].keys()
    ws.train(learner="linear", epochs=200, progress=True)
    assert "settings differ" in caplog.text


def test_many_threads_use_one_workspace(trained: sisa.Workspace) -> None:
    X, found = {"X": numbers()["X"]}, []
    expected = trained.predict_proba(X)

    def ask() -> None:
        for at in range(20):
            some = {"X": X["X"][: 1 + 40 * at]}
            found.append((trained.predict_proba(some) == expected[: 1 + 40 * at]).all())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join(60) for thread in threads]
    assert len(found) == 80 and all(found)


def test_a_pickle_is_a_path(trained: sisa.Workspace) -> None:
    back = pickle.loads(pickle.dumps(trained))
    assert back.path == trained.path and (back.predict({"X": numbers()["X"]}) == trained.predict({"X": numbers()["X"]})).all()
    assert len(pickle.dumps(trained)) < 500


def test_a_batch_comes_to_what_is_there(tmp_path: Path) -> None:
    frame = pd.DataFrame(columns(numbers())).assign(y=lambda f: np.where(f["y"] == 1, "sick", "well"))
    whole, parts = sisa.Workspace(tmp_path / "whole", threads=2), sisa.Workspace(tmp_path / "parts", threads=2)
    config = whole.propose(frame, label="y", subject="subject", record="id", learner="forest", shards=2, slices=2)
    whole.train(frame, config=config, seed=1)
    parts.train(frame[:500], config=config, seed=1)
    told = parts.append(frame[500:], batch="monday")
    assert told["new"] and told["batch"] == 2 and told["records"] + told["held_out"] == 100
    assert told["repair"] is not None and parts.status()["complete"] and parts.status()["batches"] == 2
    assert not parts.append(frame[500:], batch="monday")["new"]
    with pytest.raises(sisa.InputError, match="holds other rows"):
        parts.append(frame[500:501], batch="monday")
    # Learners of sets come to what one import of everything comes to.
    new = frame.drop(columns=["y", "subject", "id"])
    assert (parts.predict_proba(new) == whole.predict_proba(new)).all()
    assert parts.verify(retrain=True)["same"]
    assert parts.plan(frame, batches=(30, 0.01), pilot=False)["growth"] is None


def test_records_hold_something_else_and_old_ones_go(tmp_path: Path) -> None:
    frame = pd.DataFrame(columns(numbers())).assign(seen=[f"2023-{1 + at % 12:02}-15" for at in range(600)])
    config = CONFIG.format(learner="forest").replace(
        "[shards]", 'seen = { kind = "date", order = "year-month-day", range = [0, 20000] }\n[shards]'
    )
    ws = sisa.Workspace(tmp_path / "ws", threads=2)
    ws.train(frame, config=config, seed=1)
    right = frame[frame["subject"] == 7].assign(x0=1.5)
    strange = right[:1].assign(id=99_999)
    both = pd.concat([right, strange])
    forecast = ws.forecast_correction(both)
    assert sum(cell["come"] for cell in forecast["cells"]) == 3 and len(forecast["left_rows"]) == 1
    told = ws.correct(both, request_id="r-17")
    assert (told["records"], told["left_rows"]) == (3, forecast["left_rows"]) and "row 4" in told["left_rows"][0]
    assert told["effective"]["cells"] == forecast["cells"] and told["repair"] is not None and told["repaired"]
    assert ws.correct(both, request_id="r-17")["repeated"]
    frame.loc[frame["subject"] == 7, "x0"] = 1.5

    with pytest.raises(TypeError, match="write a date"):
        ws.expire(20230401)  # type: ignore[arg-type]
    with pytest.raises(sisa.InputError, match="yesterday"):
        ws.expire("yesterday")
    cost = ws.forecast_expiry("2023-04-01")
    expired = ws.expire(datetime.date(2023, 4, 1), request_id="old", defer=True)
    assert expired["effective"]["cells"] == cost["cells"] and expired["undated"] == cost["undated"] == 0
    assert expired["repair"] is None and len(expired["effective"]["outcomes"]) == 150
    ws.repair()
    scratch = sisa.Workspace(tmp_path / "scratch", threads=2)
    scratch.train(frame[frame["seen"] >= "2023-04-01"], config=config, seed=1)
    assert digest(scratch.path) == digest(ws.path)
    assert ws.status()["suppressed"] == 0 and [one["request"] for one in ws.log()] == ["r-17", "old"]


def test_a_column_comes_without_the_source(tmp_path: Path) -> None:
    frame = pd.DataFrame(columns(numbers()))
    config = CONFIG.format(learner="forest")
    ws, scratch = sisa.Workspace(tmp_path / "ws", threads=2), sisa.Workspace(tmp_path / "scratch", threads=2)
    ws.train(frame, config=config, seed=1)
    other = config.replace("[shards]", 'weight = { kind = "number", range = [0, 9] }\n[shards]').replace("slices = 3", "slices = 2")
    (tmp_path / "ws" / "sisa.toml").write_text(other)
    told = ws.migrate(seed=2)
    assert told["new"] and told["complete"] and any("`weight` is new" in change for change in told["changes"])
    scratch.train(frame.assign(weight=np.nan), config=other, seed=1)
    scratch.rekey(seed=2)
    assert digest(scratch.path) == digest(ws.path) and not ws.migrate()["new"]
    (tmp_path / "ws" / "sisa.toml").write_text(other.replace("x0..x3", "x0..x2"))
    assert ws.migrate()["changes"] == ["`x3` goes"]
    (tmp_path / "ws" / "sisa.toml").write_text(other.replace('subject = "subject"', 'subject = "id"'))
    with pytest.raises(sisa.InputError, match="rows hold no ids"):
        ws.migrate()


def documented(kind: str) -> set[str]:
    """The fields of a type in docs/JSON.md, at its first level."""
    section = (DOCS / "JSON.md").read_text().split(f"\n## {kind}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell) if "." not in name and "[" not in name}


@pytest.mark.parametrize(
    "kind",
    ["trained", "evaluated", "status", "effective", "forecast", "repaired", "deleted", "corrected", "appended", "request", "verified", "schema", "migrated", "rekeyed", "rekey_due",
     "candidate", "plan", "exported", "card"],
)
def test_answers_have_the_names_of_the_documentation(kind: str) -> None:
    name = {"forecast": "Forecasted", "rekey_due": "RekeyDue"}.get(kind, kind.capitalize())
    fields = set(typing.get_type_hints(getattr(answers, name))) - {"type"}
    assert fields == documented(kind)
