"""Sources that engines read: labels of every task type, in files of every kind."""

import json
import os
from pathlib import Path
from typing import Any

import generate
import pyarrow as pa

import arrow_labels as al
from arrow_labels.schema import SCHEMAS

Json = dict[str, Any]

TYPES = ("attribute_specs", "cameras", "frames", "labels", "segments", "vectors")
"""Tables that have, together, columns of every type: what an engine could do to a table, it does to one of these."""
TASK_TYPES = ("segmentation-bitmap", "vector", "pointcloud-segmentation", "multisensor-sequence")
"""Task types whose labels fill all tables."""


def one_thread() -> None:
    """Let the processes that engines start take one core each, as those of a cluster would."""
    for name in ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"


def write_folder(folder: Path) -> None:
    """Releases of some task types, samples and labels as lines and as files, names that repeat, nulls."""
    folder.mkdir()
    for task_type in TASK_TYPES:
        release = generate.release(task_type, samples=2, frames=2, objects=3)
        (folder / f"{task_type}.json").write_text(json.dumps(release))
    samples = release["dataset"]["samples"]
    (folder / "samples.jsonl").write_text("\n".join(map(json.dumps, samples * 2)))
    for number, sample in enumerate(samples):
        label = sample["labels"]["ground-truth"]
        (folder / f"label-{number}.json").write_text(json.dumps({**label, "sample_uuid": "one", "labelset": "x"}))
    (folder / "empty.jsonl").write_text("\n")
    (folder / "null.json").write_text(json.dumps({"labels": {"ground-truth": None}, "priority": None}))


def write_broken(folder: Path) -> None:
    """A release with a label that cannot be decoded, and a file that is no JSON."""
    folder.mkdir()
    release = generate.release("pointcloud-cuboid", samples=3, frames=1, objects=3)
    release["dataset"]["samples"][1]["labels"]["ground-truth"]["attributes"]["annotations"][1]["position"] = "here"
    (folder / "release.json").write_text(json.dumps(release))
    (folder / "none.json").write_text("{")


def stored(table: str, made: pa.Table) -> pa.Table:
    """A table that an engine gave, with the schema of ours: nothing but metadata and names within lists may differ."""
    schema = SCHEMAS[table]
    assert made.schema.names == schema.names
    assert [field.type for field in made.schema] == [field.type for field in schema]
    return made.cast(schema)


def by_key(table: str, rows: pa.Table) -> pa.Table:
    """Rows in the order of their key."""
    return rows.sort_by([(name, "ascending") for name in al.schema.KEYS[table]])


def unordered(rows: pa.Table) -> list[str]:
    """Rows whatever their order: Spark reads the largest of several files first."""
    return sorted(map(repr, rows.to_pylist()))


def hide_library(folder: Path) -> None:
    """Make a folder that hides the library from each Python that has it in its path."""
    (folder / "sitecustomize.py").write_text("import sys; sys.modules['arrow_labels'] = None")
