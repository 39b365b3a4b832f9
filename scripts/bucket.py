#!/usr/bin/env python3
"""`sisa` on a workspace in a bucket: a server of S3 on the loopback, the program as it is, and the bytes of a workspace in a folder.

    pip install 'moto[server]'
    scripts/bucket.py SISA

SISA is the program, built with `--features object-store`. The embedded data is trained in a folder and in a bucket under the same keys, people are
deleted from both, by two processes at the same time from the bucket, and everything that a reader gets from the two is compared. A bucket that
keeps versions is refused.
"""

import csv
import gzip
import logging
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import boto3
from moto.server import ThreadedMotoServer

ROOT = pathlib.Path(__file__).resolve().parent.parent
PATIENCE = 120


class Asked(logging.Handler):
    """Counts the requests that the server answers."""

    def __init__(self):
        super().__init__()
        self.requests = 0

    def emit(self, record):
        self.requests += "HTTP" in record.getMessage()


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    asked = Asked()
    logger = logging.getLogger("werkzeug")
    logger.setLevel(logging.INFO)
    logger.propagate, logger.handlers = False, [asked]
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    environment = {
        **os.environ,
        "AWS_ENDPOINT": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }

    store = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")

    def objects(bucket):
        return [found["Key"] for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket) for found in page.get("Contents", [])]

    def start(folder, workspace, *words):
        command = [program, "-w", workspace, *words]
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(folder, workspace, *words, code=0):
        process = start(folder, workspace, *words)
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == code, (words, process.returncode, out, err)
        return out, err

    bucket = "s3://people/visits"
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        here, there = scratch / "folder", scratch / "machine"
        for folder in (here, there):
            folder.mkdir()
            (folder / "data").symlink_to(ROOT / "data")
            shutil.copy(ROOT / "sisa.toml", folder)
        store.create_bucket(Bucket="people")
        table = ["data/" + next(p.name for p in sorted((ROOT / "data").glob("*.csv*")))]
        for folder, workspace in ((here, "."), (there, bucket)):
            run(folder, workspace, "train", *table, "--seed", "7", "--epochs", "1", "--shards", "3", "--slices", "2", "--learner", "linear")
        held = objects("people")
        assert held and not any("key" in name or "toml" in name for name in held), held
        assert (there / "shards/handle.key").is_file() and not list(there.rglob("*.slice")), "slices are on the machine's disk"

        with gzip.open(ROOT / table[0], "rt", newline="") as rows:
            ids = sorted({row["person_id"] for row in csv.DictReader(rows)})
        people, others = ids[:4], ids[4:]
        run(here, ".", "delete", *[word for person in people for word in ("--subject", person)], "--yes")
        both = [start(there, bucket, "delete", "--subject", a, "--subject", b, "--yes") for a, b in (people[:2], people[2:])]
        for process in both:
            out, err = process.communicate(timeout=PATIENCE)
            assert process.returncode in (0, 4), (process.returncode, out, err)
        answers = [run(folder, workspace, "predict", *table, "--proba")[0] for folder, workspace in ((here, "."), (there, bucket))]
        assert answers[0] == answers[1] and len(answers[0]) > 1000, "other answers"
        assert run(here, ".", "eval") == run(there, bucket, "eval"), "other figures"
        out, _ = run(there, bucket, "verify", "--retrain")
        print(out.strip())
        requests = [line for line in run(there, bucket, "--json", "log")[0].splitlines() if '"request"' in line]
        assert len(requests) == 2, requests
        before = asked.requests
        run(there, bucket, "delete", "--subject", others[0], "--defer")
        print(f"a deletion asked the bucket {asked.requests - before} times")
        assert 5 < asked.requests - before < 15, asked.requests - before

        for words in (["serve"], ["bench"]):
            assert "in a bucket" in run(there, bucket, *words, code=3)[1]
        assert "names no bucket" in run(there, "s3://", "status", code=3)[1]

        store.create_bucket(Bucket="kept")
        store.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
        _, err = run(there, "s3://kept/visits", "--local", str(scratch / "other"), "train", *table, "--config", "sisa.toml", code=7)
        assert "keeps versions" in err, err
    server.stop()
    print(f"the same answers from a bucket, {len(held)} objects, keys and rows nowhere else")


if __name__ == "__main__":
    main()
