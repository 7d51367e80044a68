"""What engines send to other processes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from labelled import hide_library
from pyspark import cloudpickle

import arrow_labels as al
from arrow_labels.engines.worker import shipped
from arrow_labels.merge_patch import apply

LOAD = "import pickle, sys; print(pickle.load(sys.stdin.buffer)({'b': 2}))"


def run(tmp_path: Path, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    """Run a function of the library in a process that has only the path `tmp_path`."""
    sent = cloudpickle.dumps(shipped(apply, *arguments))
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(al.__file__).parents[1]}"}
    return subprocess.run([sys.executable, "-c", LOAD], input=sent, capture_output=True, env=environment)


def test_arguments_go_along(tmp_path: Path) -> None:
    assert run(tmp_path, {"a": 1}).stdout.decode() == "{'a': 1, 'b': 2}\n"


def test_a_worker_without_the_library_says_so(tmp_path: Path) -> None:
    hide_library(tmp_path)
    said = run(tmp_path, {"a": 1}).stderr.decode()
    fix = (
        rf"install it on every machine of the cluster: python -m pip install arrow-labels=={re.escape(al.__version__)}"
    )
    assert re.search(f"ImportError: Expected arrow_labels on the worker, got import of .* halted.*: {fix}", said)


def test_another_version_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    patch = shipped(apply, {"a": 1})
    assert patch({"b": 2}) == {"a": 1, "b": 2}
    version = al.__version__
    monkeypatch.setattr(al, "__version__", "0.0.7")
    with pytest.raises(
        ImportError, match=f"^Expected arrow_labels {re.escape(version)} on the worker, got 0.0.7: inst"
    ):
        patch({"b": 2})
