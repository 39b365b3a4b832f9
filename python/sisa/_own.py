"""A learner of your own as `[learner]` of a `sisa.toml`."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import sys
from typing import Any

from . import worker

#: A header of a table of TOML.
_HEADER = re.compile(r"""^\s*\[{1,2}[\w\s."'-]+\]{1,2}\s*(#.*)?$""")


def table(learner: Any, root: str) -> str:
    """`[learner]` for a workspace in `root`: of an object that `sisa.worker` serves, or of the text ``FILE.py:NAME`` that names one."""
    if isinstance(learner, str):
        file, _, name = learner.rpartition(":")
        made: Any = worker.named(learner)
        file = os.path.abspath(file)
    else:
        made, (file, name) = learner, _where(learner)
    parts = [file, *(os.path.abspath(part) for part in getattr(made, "code", ()))]
    code = [_from(part, root) for part in parts]
    lines: dict[str, Any] = {
        "kind": "external",
        "name": os.path.splitext(os.path.basename(file))[0][:64],
        "command": [_python(), "-m", "sisa.worker", f"{code[0]}:{name}"],
        "code": code,
    }
    lines["batch"] = getattr(made, "batch", 256)
    if getattr(made, "replay", True) is False:
        lines["replay"] = False
    if hasattr(made, "variables"):
        lines["variables"] = made.variables()
    return "[learner]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in lines.items())


def put(text: str, learner: str) -> str:
    """A configuration with another `[learner]`; all else stays."""
    kept, out = True, []
    for line in text.splitlines():
        if _HEADER.match(line):
            kept = re.match(r"^\s*\[\s*learner\s*[.\]]", line) is None
        if kept:
            out.append(line)
    return "\n".join(out).rstrip() + "\n\n" + learner


def has(text: str, learner: str) -> bool:
    """Whether a configuration has this `[learner]`: every line of it."""
    there = {line.strip() for line in text.splitlines()}
    return all(line.strip() in there for line in learner.splitlines())


def _where(learner: Any) -> tuple[str, str]:
    """The file in which a learner is a global, and its name there."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file is None or not file.endswith(".py"):
            continue
        for name, value in vars(module).items():
            if value is learner:
                made = inspect.getmodule(getattr(learner, "module", None) or type(learner))
                own = getattr(made, "__file__", None)
                if own is None or os.path.abspath(own) == os.path.abspath(file) or not own.startswith(sys.prefix):
                    return os.path.abspath(file), name
    raise ValueError(
        "the learner is no global of a file, and a worker has to import it from one; write it into a file, and give `learner=\"FILE.py:NAME\"`"
    )


def _from(path: str, root: str) -> str:
    """A path from the workspace's folder if it is in it, else whole."""
    path, root = os.path.realpath(path), os.path.realpath(root)
    return os.path.relpath(path, root) if path.startswith(root + os.sep) else path


def _python() -> str:
    """This interpreter: by its name if that leads to it, so that the workspace may be moved."""
    found = shutil.which("python3")
    return "python3" if found is not None and os.path.dirname(found) == os.path.dirname(sys.executable) else sys.executable


def toml(value: Any) -> str:
    """A value as TOML writes it, on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)
