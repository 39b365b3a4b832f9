#!/usr/bin/env python3
"""Clients of others, as they are, against `sisa serve`: tritonclient's HTTP client and mlflow's scoring client.

    pip install 'tritonclient[http]' mlflow-skinny pandas scipy
    scripts/clients.py SISA

SISA is the program. The embedded data is trained in a temporary folder and served on a free port of this machine; answers must be those of
`sisa predict --proba`, to the bit. mlflow-skinny has the same scoring client as mlflow, and takes a tenth of the time to install.
"""

import csv
import gzip
import io
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

import numpy as np
import pandas as pd
import tritonclient.http as triton
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from tritonclient.utils import InferenceServerException

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROWS = 500


def bits(value):
    """The bits of a float of single precision."""
    return struct.pack("<f", float(value))


def expected(sisa, folder, table):
    """What the command predicts: classes, and the share of each class by row."""
    text = subprocess.run([sisa, "-w", folder, "predict", table, "--proba"], check=True, capture_output=True, text=True).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    shares = [name for name in rows[0] if name.startswith("p_")]
    return [row["prediction"] for row in rows], [[bits(row[name]) for name in shares] for row in rows], shares


def inputs(client, rows, binary):
    """One tensor for each input that the metadata name, of the datatype that they name."""
    tensors = []
    for told in client.get_model_metadata("sisa")["inputs"]:
        cells = [row[told["name"]] for row in rows]
        if told["datatype"] == "FP32" and "" not in cells:
            tensor, values = triton.InferInput(told["name"], [len(cells)], "FP32"), np.array(cells, dtype=np.float32)
        else:
            tensor, values = triton.InferInput(told["name"], [len(cells)], "BYTES"), np.array(cells, dtype=object)
        tensor.set_data_from_numpy(values, binary_data=binary)
        tensors.append(tensor)
    return tensors


def try_triton(address, rows, classes, shares):
    client = triton.InferenceServerClient(address)
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("sisa")
    assert client.get_server_metadata()["name"] == "sisa"
    version = client.get_model_metadata("sisa")["versions"][0]
    for binary in (True, False):
        wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("prediction", "probabilities")]
        for outputs in (wanted, None):
            for packed in (None, "gzip"):
                answer = client.infer(
                    "sisa", inputs(client, rows, binary), outputs=outputs, request_id="q7", request_compression_algorithm=packed
                )
                told = [c.decode() if isinstance(c, bytes) else c for c in answer.as_numpy("prediction")]
                assert told == classes, (binary, outputs is None, packed)
                assert [[bits(v) for v in row] for row in answer.as_numpy("probabilities")] == shares
                assert answer.get_response()["id"] == "q7" and answer.get_response()["model_version"] == version
    only = client.infer("sisa", inputs(client, rows, True), model_version=version, outputs=wanted[:1])
    assert only.as_numpy("probabilities") is None
    for wrong in (
        lambda: client.infer("other", inputs(client, rows, True)),
        lambda: client.infer("sisa", inputs(client, rows, True)[1:]),
        lambda: client.infer("sisa", inputs(client, rows, True), model_version="g0001.0.1"),
        lambda: client.infer("sisa", inputs(client, rows, True), outputs=[triton.InferRequestedOutput("nothing")]),
    ):
        try:
            wrong()
        except InferenceServerException as e:
            assert e.message(), e
        else:
            raise AssertionError("was not refused")


def try_mlflow(address, rows, classes, shares, names):
    host, port = address.split(":")
    client = ScoringServerClient(host, int(port))
    client.ping()
    assert client.get_version()
    # Cells that are numbers, as pandas reads them, and empty ones as it writes them.
    frame = pd.read_csv(io.StringIO("\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)])), dtype={"site": str})
    told = client.invoke(frame).get_predictions()
    assert list(told.iloc[:, 0]) == classes
    told = client.invoke(frame, params={"proba": True}).get_predictions()
    assert list(told["prediction"]) == classes
    assert [[bits(v) for v in row] for row in told[names].to_numpy()] == shares


def main():
    sisa = os.path.abspath(sys.argv[1])
    folder = tempfile.mkdtemp(prefix="sisa-clients-")
    shutil.copy(ROOT / "sisa.toml", folder)
    train = [sisa, "-w", folder, "train", str(ROOT / "data/health_visits.csv.gz"), "--seed", "1", "--quiet"]
    subprocess.run(train, check=True)
    with gzip.open(ROOT / "data/health_visits.csv.gz", "rt") as file:
        lines = file.read().splitlines()[: ROWS + 1]
    table = os.path.join(folder, "asked.csv")
    pathlib.Path(table).write_text("\n".join(lines) + "\n")
    rows = list(csv.DictReader(lines))
    classes, shares, names = expected(sisa, folder, table)
    serve = [sisa, "-w", folder, "serve", "--json", "--listen", "127.0.0.1:0"]
    service = subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        address = json.loads(service.stdout.readline())["address"].removeprefix("http://")
        try_triton(address, rows, classes, shares)
        try_mlflow(address, rows, classes, shares, names)
    finally:
        service.terminate()
        ended = service.wait(timeout=15)
        shutil.rmtree(folder)
    assert ended == 0, ended
    print(f"the clients of Triton and MLflow have the answers of `sisa predict` on {ROWS} rows")


if __name__ == "__main__":
    main()
