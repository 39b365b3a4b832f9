"""Sites as shards: a person is forgotten at one site, a site by leaving it out, exactly."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import CONFIG, numbers

import sisa
from sisa import federated

NAMES = ("east", "north", "west")


@pytest.fixture
def sites(tmp_path: Path) -> dict[str, federated.Site]:
    """Three sites with the subjects of their own, keys of their own, and shards of unequal number."""
    arrays, found = numbers(), {}
    for at, name in enumerate(NAMES):
        mine = arrays["subjects"] % 3 == at
        ws = sisa.Workspace(tmp_path / name, threads=1)
        config = CONFIG.format(learner="boost").replace("shards = 2", f"shards = {2 + at}")
        ws.train({column: cells[mine] for column, cells in arrays.items()}, config=config, seed=10 + at)
        found[name] = federated.Site(name, ws)
    return found


def test_the_mean_is_over_all_constituents(sites: dict[str, federated.Site]) -> None:
    questions = {"X": numbers(60, seed=9)["X"]}
    answers = [sites[name].scores(questions) for name in NAMES]
    assert [answer["weight"] for answer in answers] == [2.0, 3.0, 4.0]
    together = federated.Aggregator().combine(reversed(answers))
    for row in range(60):
        for column in range(2):
            expected = math.fsum(answer["weight"] * float(answer["scores"][row, column]) for answer in answers) / 9
            assert math.isclose(together[row, column], expected, rel_tol=1e-12)
    right = (together.argmax(1) == numbers(60, seed=9)["y"]).mean()
    assert right > 0.8, right


def test_dropping_a_site_is_what_was_without_it(sites: dict[str, federated.Site]) -> None:
    questions = {"X": numbers(60, seed=9)["X"]}
    answers = [sites[name].scores(questions) for name in NAMES]
    aggregator = federated.Aggregator()
    for gone in NAMES:
        others = [answer for answer in answers if answer["site"] != gone]
        assert (aggregator.combine(answers, without=[gone]) == federated.Aggregator().combine(others)).all()
        assert (aggregator.combine(answers) != aggregator.combine(others)).any()
    with pytest.raises(ValueError, match="no site"):
        aggregator.combine(answers, without=NAMES)


def test_a_person_is_forgotten_at_one_site(sites: dict[str, federated.Site], tmp_path: Path) -> None:
    questions, aggregator = {"X": numbers(60, seed=9)["X"]}, federated.Aggregator()
    before = {name: sites[name].scores(questions) for name in NAMES}
    # Subject 4 is of `north`, which alone is asked.
    sites["north"].ws.keygen(tmp_path / "north.key")
    told = sites["north"].ws.delete([4], request_id="case-1")
    envelope = sites["north"].ws.receipt("case-1", sign=tmp_path / "north.key")
    (tmp_path / "receipt.json").write_text(json.dumps(envelope))
    # The aggregator checks the receipt; it needs the site's public key, and no workspace.
    receipt = sisa.Workspace(tmp_path / "nothing").check_receipt(tmp_path / "receipt.json", tmp_path / "north.key.pub")
    assert receipt["request"] == "case-1" and not told["unknown"]
    aggregator.take("north", receipt)
    with pytest.raises(sisa.RetryError, match="north has deleted"):
        aggregator.combine(before.values())
    after = {name: sites[name].scores(questions) for name in NAMES}
    moved = [name for name in NAMES if (before[name]["scores"] != after[name]["scores"]).any()]
    assert moved == ["north"]
    # It is what the sites would answer had the person never been there.
    arrays = numbers()
    mine = (arrays["subjects"] % 3 == 1) & (arrays["subjects"] != 4)
    anew = sisa.Workspace(tmp_path / "anew", threads=1)
    config = CONFIG.format(learner="boost").replace("shards = 2", "shards = 3")
    anew.train({column: cells[mine] for column, cells in arrays.items()}, config=config, seed=11)
    never = {**after, "north": federated.Site("north", anew).scores(questions)}
    assert (aggregator.combine(after.values()) == federated.Aggregator().combine(never.values())).all()


def test_answers_that_do_not_belong_together_are_refused(sites: dict[str, federated.Site]) -> None:
    rows = numbers(60, seed=9)["X"]
    answers = [sites["east"].scores({"X": rows}), sites["west"].scores({"X": rows[:59]})]
    with pytest.raises(ValueError, match="west does not answer what site east does"):
        federated.Aggregator().combine(answers)
    with pytest.raises(ValueError, match="east answers twice"):
        federated.Aggregator().combine([answers[0], answers[0]])


def test_nothing_that_travels_names_anybody(sites: dict[str, federated.Site]) -> None:
    answer = sites["east"].scores({"X": numbers(5, seed=9)["X"]})
    assert sorted(answer) == ["classes", "epoch", "scores", "site", "weight"]
    assert not any(hasattr(federated.Aggregator, name) for name in ("delete", "forget"))
    assert np.asarray(answer["scores"]).shape == (5, 2)


def test_three_hospitals_over_processes_of_flower(tmp_path: Path) -> None:
    """The example checks, as it runs, what docs/FEDERATED.md claims."""
    pytest.importorskip("flwr")
    run = Path(__file__).parents[1] / "examples" / "federated" / "run.py"
    done = subprocess.run([sys.executable, str(run), "--page", str(tmp_path / "page.html")], capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr[-6000:]
    figures = {line[:18].strip(): float(line[18:-1]) for line in done.stdout.splitlines() if line.endswith(" %")}
    assert "sites whose scores moved: north\n" in done.stdout and "which refused the answer" in done.stdout
    assert figures["the centre (S=6)"] - figures["three together"] < 1.5, figures
    assert (tmp_path / "page.html").read_text().count("<rect") == len(figures) == 9
