"""The aggregator: asks, waits for the receipt of a deletion, checks it, asks again."""

import json
import time
from pathlib import Path

import numpy as np
from flwr.serverapp import ServerApp

import sisa
from sisa import federated, flower

SITES = 3
app = ServerApp()


def save(path: Path, answers: list[federated.Answer], scores: np.ndarray) -> None:
    arrays = {answer["site"]: answer["scores"] for answer in answers}
    weights = json.dumps({answer["site"]: answer["weight"] for answer in answers})
    # Whole or not there: somebody waits for it.
    with open(path.with_suffix(".part"), "wb") as file:
        np.savez(file, ensemble=scores, weights=np.array(weights), classes=np.array(answers[0]["classes"]), **arrays)
    path.with_suffix(".part").rename(path)


@app.main()
def main(grid, context):
    folder = Path(context.run_config["folder"])
    while len(list(grid.get_node_ids())) < SITES:
        time.sleep(0.2)
    questions, aggregator = (folder / "questions.csv").read_bytes(), federated.Aggregator()
    answers = flower.ask(grid, questions)
    # What the hospitals lend answers as they do, without them.
    flower.borrow(grid, aggregator)
    assert (aggregator.scores(str(folder / "questions.csv")) == aggregator.combine(answers)).all()
    held = aggregator.held()
    save(folder / "before.npz", answers, aggregator.combine(answers))
    # The person asks their hospital, not us. What we get is the hospital's signed receipt.
    receipt = folder / "receipt.json"
    while not receipt.exists():
        time.sleep(0.1)
    told = json.loads(receipt.read_text())
    (folder / "envelope.json").write_text(json.dumps(told["envelope"]))
    checked = sisa.Workspace(folder / "none").check_receipt(folder / "envelope.json", folder / f"{told['site']}.key.pub")
    aggregator.take(told["site"], checked)
    try:
        aggregator.combine(answers)
        raise SystemExit("an answer from before the receipt was used")
    except sisa.RetryError as refused:
        print(refused)
    # The shard that knew the person is in nobody's hands any more; all others never heard of it.
    gone = [one for one in held if one not in aggregator.held()]
    assert [one.site for one in gone] == [told["site"]], gone
    answers = flower.ask(grid, questions)
    save(folder / "after.npz", answers, aggregator.combine(answers))
