"""The engine as the other scripts call it: its settings as text, and its commands with `--json`."""
import json
import os
import subprocess
import time
from pathlib import Path


def config(columns, classes, shards, slices, hidden, batch, epochs, schedule="cumulative", activation="tanh", rate=0.05, average=0.0):
    """The text of a sisa.toml for a table with columns id, .., class."""
    net = f'kind = "mlp"\nhidden = {hidden}\nactivation = "{activation}"' if hidden else 'kind = "linear"'
    label = f"values = {json.dumps(classes)}\n" if classes else ""
    return f"""[data]
subject = "id"
record = ["id"]
[label]
column = "class"
{label}[columns]
{columns}
[shards]
shards = {shards}
slices = {slices}
[learner]
{net}
optimizer = {{ kind = "sgd", momentum = 0.9 }}
rate = {rate!r}
decay = "constant"
l2 = 0.0
batch = {batch}
average = {average!r}
[schedule]
kind = "{schedule}"
epochs = {epochs}
"""


class Engine:
    """A workspace of the engine."""

    def __init__(self, binary, folder, threads=None):
        self.binary, self.folder, self.threads = os.path.abspath(binary), Path(folder), threads
        self.folder.mkdir(parents=True, exist_ok=True)

    def configure(self, text):
        (self.folder / "sisa.toml").write_text(text)

    def lines(self, *command, threads=None):
        """Wall seconds of the whole process, from before it is made until it has ended, and its lines in order."""
        threads = threads or self.threads
        call = [self.binary, "-w", str(self.folder), "--json", "--quiet", *(["--threads", str(threads)] if threads else []), *map(str, command)]
        start = time.perf_counter()
        done = subprocess.run(call, capture_output=True, text=True)
        seconds = time.perf_counter() - start
        if done.returncode:
            raise RuntimeError(f"{call}: {done.stdout}{done.stderr}")
        return seconds, [json.loads(line) for line in done.stdout.splitlines()]

    def run(self, *command, threads=None):
        """As `lines`, by type: the last of each."""
        seconds, lines = self.lines(*command, threads=threads)
        return seconds, {line["type"]: line for line in lines}

    def until(self, wanted, *command):
        """Seconds from before the process is made until it printed a line of a type, and until it ended; lines by type."""
        call = [self.binary, "-w", str(self.folder), "--json", "--quiet", *(["--threads", str(self.threads)] if self.threads else []), *map(str, command)]
        start, found, lines = time.perf_counter(), None, []
        with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                lines.append(json.loads(line))
                if lines[-1]["type"] == wanted and found is None:
                    found = time.perf_counter() - start
        seconds = time.perf_counter() - start
        if process.returncode or found is None:
            raise RuntimeError(f"{call}: {lines}")
        return found, seconds, {line["type"]: line for line in lines}
