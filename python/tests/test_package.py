"""The package as it is installed: what it brings, loads and says of its types."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import python

import sisa

FOLDER = Path(sisa.__file__).parent


def test_importing_loads_none_of_what_it_works_with() -> None:
    loaded = python("import sys, sisa; print([name for name in ('pandas', 'polars', 'pyarrow', 'sklearn', 'tqdm', 'duckdb') if name in sys.modules])")
    assert loaded == "[]\n"


def test_it_is_the_package_that_was_built() -> None:
    assert importlib.metadata.version("sisa-unlearn") == sisa.__version__
    assert (FOLDER / "py.typed").exists() and (FOLDER / "_sisa.pyi").exists()
    assert [path.suffixes for path in FOLDER.glob("_sisa.*.so")] == [[".abi3", ".so"]]


def test_the_native_half_has_what_its_stub_says() -> None:
    stub = (FOLDER / "_sisa.pyi").read_text()
    for name in ("Engine", "Lent"):
        body = stub.split(f"class {name}:\n")[1].split("\n\n")[0].splitlines()
        told = {line.split("def ")[1].split("(")[0] for line in body if line.startswith("    def ")} - {"__new__"}
        there = {method for method in dir(getattr(sisa._sisa, name)) if not method.startswith("_")} - {"path"}
        assert told == there and told


USE = """
import numpy as np
import sisa
from sisa.sklearn import SisaClassifier

ws = sisa.Workspace("work", threads=2)
told = ws.train({"X": np.zeros((2, 2)), "y": np.arange(2)}, progress=lambda p: print(p["done"]))
records: int = told["imported"]["records"] if told["imported"] else 0
wrong: str = ws.verify(retrain=True)["same"]
ws.delete(["p7"], defer=True)["effective"]["seconds"]
SisaClassifier("forest").fit([[0.0]], [1]).unlearn(["p7"])["repaired"]
"""


@pytest.mark.parametrize("checker", ["mypy", "basedpyright", "pyright"])
def test_types_are_told(checker: str, tmp_path: Path) -> None:
    """The package has no error, and a program that uses it has the one that is in it."""
    if checker == "pyright" and "PYRIGHT" not in os.environ:
        pytest.skip("scripts/python found no npm to install it by")
    use = tmp_path / "use.py"
    use.write_text(USE)
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    what = {
        "mypy": ["--strict", "--ignore-missing-imports"],
        "basedpyright": ["--level", "error", "--pythonpath", sys.executable],
        "pyright": ["--level", "error", "--pythonpath", sys.executable],
    }[checker]
    program = [os.environ["PYRIGHT"]] if checker == "pyright" else [sys.executable, "-m", checker]
    outputs = []
    for files in [["-p", "sisa"] if checker == "mypy" else [str(FOLDER)], [str(use)] if checker == "mypy" else ["-p", str(tmp_path)]]:
        outputs.append(subprocess.run([*program, *what, *files], cwd=tmp_path, capture_output=True, text=True, timeout=300).stdout)
    package, found_in_use = outputs
    if checker == "mypy":
        assert "Success: no issues found" in package, package
    else:
        assert "0 errors" in package, package
    found = [line for line in found_in_use.splitlines() if "error" in line and "use.py:" in line]
    line = 1 + USE.splitlines().index('wrong: str = ws.verify(retrain=True)["same"]')
    assert len(found) == 1 and f"use.py:{line}:" in found[0], found_in_use
