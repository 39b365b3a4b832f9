#!/usr/bin/env python3
"""Whatever docs/openapi.json allows, and much that it does not, against `sisa serve`: no answer may be one that the document does not tell of.

    pip install schemathesis
    scripts/schema.py SISA [EXAMPLES]

SISA is the program. The embedded data is trained in a temporary folder and served on a free port of this machine. EXAMPLES are asked of each
endpoint (5 without), always the same ones; all of it has 100 seconds. What is asked for is deleted, from a workspace that goes away.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SETTINGS = """
[serve]
repair = "window"
[serve.opendsr]
domain = "dsr.acme.example"
controller = "acme"
"""
# While a deletion is on its way into effect, 503 is the answer that it should be; 500 never is.
CHECKS = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 503]
"""
WHICH = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def main():
    sisa = os.path.abspath(sys.argv[1])
    examples = sys.argv[2] if len(sys.argv) > 2 else "5"
    folder = tempfile.mkdtemp(prefix="sisa-schema-")
    try:
        pathlib.Path(folder, "sisa.toml").write_text((ROOT / "sisa.toml").read_text() + SETTINGS)
        pathlib.Path(folder, "schemathesis.toml").write_text(CHECKS)
        train = [sisa, "-w", folder, "train", str(ROOT / "data/health_visits.csv.gz"), "--seed", "1", "--quiet"]
        subprocess.run(train, check=True)
        serve = [sisa, "-w", folder, "serve", "--json", "--listen", "127.0.0.1:0"]
        service = subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            address = json.loads(service.stdout.readline())["address"]
            program = os.path.join(os.path.dirname(sys.executable), "schemathesis")
            asked = [program, "run", address + "/openapi.json", "--checks", WHICH, "--max-examples", examples, "--seed", "1"]
            # A stream has no end that could be waited for.
            asked += ["--exclude-path", "/v1/events", "--phases", "examples,coverage,fuzzing", "--no-color"]
            done = subprocess.run(asked, cwd=folder, timeout=100)
            assert done.returncode == 0, done.returncode
        finally:
            service.terminate()
            assert service.wait(timeout=15) == 0
    finally:
        shutil.rmtree(folder)
    print("no answer was one that the document does not tell of")


if __name__ == "__main__":
    main()
