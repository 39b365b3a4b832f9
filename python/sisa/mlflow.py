"""Models of a workspace in MLflow: the ONNX graph, with what names it in the ledger.

Needs ``mlflow`` (``mlflow-skinny`` will do), ``onnx`` and, to load a model back, ``onnxruntime``.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._workspace import Workspace

#: Longer values are refused by some stores; what does not fit is in the model's own metadata.
_TAG_LENGTH = 5000


def log_model(
    workspace: Workspace,
    name: str = "model",
    *,
    receipts: Iterable[str | Mapping[str, Any]] = (),
    registered_model_name: str | None = None,
    **options: Any,
) -> Any:
    """Logs what is in service to the active run of MLflow, or to one of its own.

    This is an export: the ledger has the digest of the file, which is the one that MLflow keeps,
    and every later deletion of a person whom it saw names it (docs/EXPORT.md). The run and the
    model get tags that begin with ``sisa.``: generation, recipe, digest of the file, root digest of
    the records, number of the ledger's entry, lineage keys of the members.

    Args:
        workspace: whose model.
        name: of the model.
        receipts: names of deletion requests, or receipts, to be logged beside it; so is the card.
        registered_model_name: as MLflow has it.
        options: further ones of `mlflow.onnx.log_model`.

    Returns:
        MLflow's `ModelInfo`. `mlflow.onnx.load_model` and `mlflow.pyfunc.load_model` load it back;
        hand `predict` a dictionary of arrays, a column each.
    """
    # Their types come and go with what is installed.
    mlflow: Any = importlib.import_module("mlflow")
    flavour: Any = importlib.import_module("mlflow.onnx")
    onnx: Any = importlib.import_module("onnx")

    logged: list[dict[str, Any]] = [workspace.receipt(one) if isinstance(one, str) else dict(one) for one in receipts]
    with tempfile.TemporaryDirectory() as folder:
        told = workspace.export_onnx(os.path.join(folder, "model.onnx"))
        model = onnx.load(told["path"])
    tags = {
        "sisa.generation": told["generation"],
        "sisa.recipe": told["recipe"],
        "sisa.digest": told["digest"],
        "sisa.records": told["records"],
        "sisa.ledger_entry": str(told["entry"]),
    }
    facts = json.loads({one.key: one.value for one in model.metadata_props}["sisa"])
    lineages = ",".join(member["lineage"] for member in facts["members"])
    if len(lineages) <= _TAG_LENGTH:
        tags["sisa.lineages"] = lineages
    options.setdefault("onnx_execution_providers", ["CPUExecutionProvider"])
    with contextlib.nullcontext() if mlflow.active_run() else mlflow.start_run():
        mlflow.set_tags(tags)
        mlflow.log_text(workspace.card(), "sisa/card.md")
        for receipt in logged:
            mlflow.log_dict(receipt, f"sisa/receipts/{receipt['request']}.json")
        return flavour.log_model(
            model,
            name=name,
            registered_model_name=registered_model_name,
            tags={**tags, **(options.pop("tags", None) or {})},
            # The file as it is, so that its digest is the ledger's.
            save_as_external_data=False,
            **options,
        )
