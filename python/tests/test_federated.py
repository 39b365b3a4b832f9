"""Sites as shards: a person is forgotten at one site, a site by leaving it out, exactly."""

from __future__ import annotations

import base64
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CONFIG, columns, numbers

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
    assert np.asarray(answer["scores"]).shape == (5, 2)
    # Nor do questions: a table with a column of ids is refused by whoever gets it.
    arrays = columns(numbers(5, seed=9))
    del arrays["y"]
    for kept, dropped in (("id", "subject"), ("subject", "id")):
        with pytest.raises(sisa.InputError, match=f"its column `{kept}` says whom"):
            sites["east"].scores({name: cells for name, cells in arrays.items() if name != dropped})


def test_a_deletion_cannot_be_broadcast(sites: dict[str, federated.Site]) -> None:
    """No method of an aggregator takes an id, and no message is one that deletes."""
    doors = {name for name in dir(federated.Aggregator) if not name.startswith("_")}
    assert doors == {"add", "borrow", "combine", "give_back", "held", "scores", "take"}
    assert federated.Aggregator().__dict__.keys() == {"clock", "_least", "_revoked", "_borrowed"}
    told = [sites["east"].scores({"X": numbers(5, seed=9)["X"]}), sites["north"].forget([4])]
    # A person of one site is unknown to all others, who never hear of them: nothing there is suppressed.
    assert [outcome["outcome"] for outcome in told[1]["outcomes"]] == ["erased"]
    assert [site.ws.log() for name, site in sites.items() if name != "north"] == [[], []]


def test_ids_are_in_no_message_and_in_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that are found anywhere: in what a site says, lends and gives, in receipts, in messages of Flower, in logs."""
    arrays = columns(numbers(300))
    people = np.array([f"Person-{number}-of-somewhere" for number in arrays["subject"]], dtype=object)
    arrays["subject"], arrays["id"] = people, np.array([f"Visit-{number}-there" for number in arrays["id"]], dtype=object)
    questions = {name: cells for name, cells in columns(numbers(20, seed=9)).items() if name.startswith("x")}
    said: list[Any] = []
    with caplog.at_level("DEBUG"):
        for learner, gives in (("boost", "constituents"), (RIDGE, "sums")):
            ws = sisa.Workspace(tmp_path / gives, threads=1)
            ws.train(arrays, config=configured(learner), seed=3)
            site = federated.Site("north", ws, also=[gives])
            ws.keygen(tmp_path / f"{gives}.key")
            for _ in range(2):
                said += [site.scores(questions), getattr(site, gives)()]
                said += messages(site, questions, gives, monkeypatch)
                said.append(site.forget([people[len(said)]], sign=tmp_path / f"{gives}.key"))
    receipts = [base64.b64decode(one["payload"]) for one in said if isinstance(one, dict) and "payload" in one]
    assert len(receipts) == 4 and all(b"erased" in receipt for receipt in receipts)
    for text in [flat(said), *receipts, *(str(record.getMessage()).encode() for record in caplog.records)]:
        assert b"of-somewhere" not in text and b"Visit-" not in text
    assert b"north" in flat(said)


def flat(told: object) -> bytes:
    """All bytes and text in something, one after the other."""
    if isinstance(told, dict):
        return b"\n".join(flat(one) for pair in told.items() for one in pair)
    if isinstance(told, list | tuple):
        return b"\n".join(map(flat, told))
    return told if isinstance(told, bytes) else told.tobytes() if isinstance(told, np.ndarray) else str(told).encode()


def messages(site: federated.Site, questions: dict[str, np.ndarray], gives: str, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What Flower would carry, without its processes; nothing where it is not installed."""
    pytest.importorskip("pandas")
    try:
        from sisa import flower
    except ImportError:
        return []
    import pandas as pd
    from flwr.app import Context, Message, RecordDict
    from flwr.supercore import task_identity

    # As if a process of Flower had started this one.
    for part in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(task_identity.TaskIdentity, part, 1)

    app, carried = flower.client_app(lambda context: site), []

    class Grid:
        """A grid of one node that calls its app at once."""

        def get_node_ids(self) -> list[int]:
            return [7]

        def send_and_receive(self, sent: list[Message], timeout: float) -> list[Message]:
            context = Context(run_id=1, node_id=7, node_config={}, state=RecordDict(), run_config={})
            replies = [app(message, context) for message in sent]
            for message in [*sent, *replies]:
                carried.append({name: dict(record) for name, record in message.content.items() if name != "scores"})
                carried.append([array.numpy() for array in dict(message.content.get("scores", {})).values()])
            return replies

    table = pd.DataFrame(questions).to_csv(index=False).encode()
    (answer,) = flower.ask(Grid(), table)
    assert (answer["scores"] == site.scores(questions)["scores"]).all()
    aggregator = federated.Aggregator()
    if gives == "sums":
        (sums,) = flower.sums(Grid())
        assert sums == site.sums()
    else:
        assert flower.borrow(Grid(), aggregator) == ["north"]
        assert (aggregator.scores(questions) == aggregator.combine([answer])).all()
    assert len(carried) == 8
    return carried


class Clock:
    """Seconds that a test lets go by."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_borrowed_answers_as_the_sites_do(sites: dict[str, federated.Site]) -> None:
    questions, clock = {"X": numbers(60, seed=9)["X"]}, Clock()
    aggregator = federated.Aggregator(clock)
    lending = [federated.Site(name, sites[name].ws, also=["constituents"], lease=10 * (at + 1)) for at, name in enumerate(NAMES)]
    for site in lending:
        aggregator.borrow(site.constituents())
    answers = [site.scores(questions) for site in lending]
    assert (aggregator.scores(questions) == aggregator.combine(answers)).all()
    assert (aggregator.scores(questions, without=["west"]) == aggregator.combine(answers[:2])).all()
    held = aggregator.held()
    assert [(one.site, one.shard) for one in held] == [("east", 0), ("east", 1), *(("north", k) for k in range(3)), *(("west", k) for k in range(4))]
    # Leases end one after the other, by the aggregator's own clock, and from the moment of asking.
    clock.now = 10
    assert {one.site for one in aggregator.held()} == {"north", "west"}
    assert (aggregator.scores(questions) == aggregator.combine(answers[1:])).all()
    clock.now = 30
    with pytest.raises(sisa.RetryError, match="leases have ended"):
        aggregator.scores(questions)
    loan = lending[0].constituents()
    clock.now = 40
    with pytest.raises(sisa.RetryError, match="after its time"):
        aggregator.borrow(loan, asked=30)
    aggregator.borrow(loan, asked=30.5)
    assert {one.until for one in aggregator.held()} == {40.5}
    aggregator.give_back("east")
    assert aggregator.held() == []


def test_a_receipt_ends_the_lease_of_what_it_revokes(sites: dict[str, federated.Site]) -> None:
    questions = {"X": numbers(60, seed=9)["X"]}
    aggregator = federated.Aggregator()
    north = federated.Site("north", sites["north"].ws, also=["constituents"])
    before = north.constituents()
    aggregator.borrow(before)
    held = {one.lineage for one in aggregator.held()}
    receipt = north.forget([4])
    aggregator.take("north", receipt)
    # The one shard that knew the person, at once; the others never saw them, and go on.
    left = {one.lineage for one in aggregator.held()}
    assert left < held and len(held) - len(left) == 1
    (gone,) = held - left
    assert any(gone in name for name in receipt["purged"])
    with pytest.raises(sisa.RetryError, match="north has deleted"):
        aggregator.borrow(before)
    # Also not under a false epoch: what was revoked is known by its lineage.
    aggregator.borrow({**before, "epoch": "g0001.x.999999"})
    assert {one.lineage for one in aggregator.held()} == left
    aggregator.borrow(north.constituents())
    after = {one.lineage for one in aggregator.held()}
    assert left < after and gone not in after and len(after) == 3
    assert (aggregator.scores(questions) == aggregator.combine([north.scores(questions)])).all()
    # All shards at once: nothing is left, and nothing answers.
    aggregator.take("north", north.forget([person for person in range(1, 200, 3) if person != 4]))
    assert aggregator.held() == []
    with pytest.raises(sisa.RetryError, match="nothing is borrowed"):
        aggregator.scores(questions)


#: Sums that follow from the declarations alone: they add up whatever the sites' keys are.
RIDGE = "ridge"


def configured(learner: str, shards: int = 2) -> str:
    config = CONFIG.format(learner=learner).replace("shards = 2", f"shards = {shards}")
    return config + 'strength = 1e-3\nmap = { kind = "bins" }\n' if learner == RIDGE else config


def test_sums_of_sites_are_the_centres_to_the_byte(tmp_path: Path) -> None:
    arrays, questions = numbers(), {"X": numbers(60, seed=9)["X"]}
    found = {}
    for at, name in enumerate((*NAMES, "centre")):
        mine = arrays["subjects"] % 3 == at if name in NAMES else arrays["subjects"] >= 0
        ws = sisa.Workspace(tmp_path / name, threads=1)
        ws.train({column: cells[mine] for column, cells in arrays.items()}, config=configured(RIDGE, 1 + at), seed=10 + at)
        found[name] = federated.Site(name, ws, also=["sums"])
    aggregator = federated.Aggregator()
    together = aggregator.add([found[name].sums() for name in reversed(NAMES)])
    assert together.sums == found["centre"].sums()["sums"] and together.sites == list(NAMES)
    assert (together.scores(questions) == found["centre"].scores(questions)["scores"]).all()
    # A person is forgotten at one site, and at the centre.
    aggregator.take("north", found["north"].forget([4]))
    with pytest.raises(sisa.RetryError, match="north has deleted"):
        together.scores(questions)
    found["centre"].forget([4])
    parts = [found[name].sums() for name in NAMES]
    after = aggregator.add(parts)
    assert after.sums == found["centre"].sums()["sums"] != together.sums
    # A site is forgotten by leaving it out.
    assert aggregator.add(parts, without=["west"]).sums == aggregator.add(parts[:2]).sums != after.sums
    with pytest.raises(ValueError, match="answers twice"):
        aggregator.add([parts[0], parts[0]])


def test_sums_before_and_after_a_deletion_reveal_the_row(tmp_path: Path) -> None:
    """What docs/FEDERATED.md warns of, so that it stays true: all features of who went are read off."""
    arrays = numbers(200)
    arrays["subjects"] = np.arange(200)
    ws = sisa.Workspace(tmp_path / "ws", threads=1)
    ws.train(arrays, config=configured(RIDGE, 1), seed=1)
    site = federated.Site("east", ws, also=["sums"])

    def gram() -> np.ndarray:
        told = site.sums()["sums"]
        head = int.from_bytes(told[24:32], "little")
        return np.frombuffer(told[64 + head + 32 :], dtype="<i8")

    before = gram()
    site.forget([17])
    gone = before - gram()
    # Of one row: first the count, then the lower triangle of its outer product, whose first column is the row times 127.
    assert gone[0] == 1
    starts = np.cumsum(np.arange(1000))
    width = next(d for d in range(1, 1000) if len(gone) == 1 + starts[d] + 2 * d)
    column = np.array([gone[1 + starts[i]] for i in range(width)]) // 127
    assert column[0] == 127 and width > 60
    assert all((gone[1 + starts[i] :][: i + 1] == column[i] * column[: i + 1]).all() for i in range(width))


def test_sites_give_nothing_beside_scores_that_they_do_not_name(sites: dict[str, federated.Site], tmp_path: Path) -> None:
    for what in ("constituents", "sums"):
        with pytest.raises(sisa.InputError, match=f"site east gives no {what}; .*also="):
            getattr(sites["east"], what)()
    for wrong in ("sums", ["scores"]):
        with pytest.raises(ValueError, match="also"):
            federated.Site("east", sites["east"].ws, also=wrong)
    with pytest.raises(ValueError, match="lease"):
        federated.Site("east", sites["east"].ws, lease=0)
    # States that hold rows are not lent, whatever a site says.
    for learner, says in (("forest", "hold the rows"), (RIDGE, "are sums")):
        ws = sisa.Workspace(tmp_path / learner, threads=1)
        ws.train(numbers(), config=configured(learner), seed=1)
        with pytest.raises(sisa.InputError, match=says):
            federated.Site("east", ws, also=["constituents"]).constituents()
    with pytest.raises(sisa.InputError, match="do not add up"):
        federated.Site("east", sites["east"].ws, also=["sums"]).sums()


def test_three_hospitals_over_processes_of_flower(tmp_path: Path) -> None:
    """The example checks, as it runs, what docs/FEDERATED.md claims."""
    pytest.importorskip("flwr")
    run = Path(__file__).parents[1] / "examples" / "federated" / "run.py"
    done = subprocess.run([sys.executable, str(run), "--picture", str(tmp_path / "sites.png")], capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr[-6000:]
    figures = {line[:18].strip(): float(line[18:-1]) for line in done.stdout.splitlines() if line.endswith(" %")}
    assert "sites whose scores moved: north\n" in done.stdout and "which refused the answer" in done.stdout
    assert figures["the centre (S=6)"] - figures["three together"] < 1.5, figures
    assert "dropped what it had borrowed" in done.stdout
    assert len(figures) == 9 and (tmp_path / "sites.png").read_bytes().startswith(b"\x89PNG")
