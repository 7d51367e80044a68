"""The package as a whole: layers, names, and what an import costs."""

import ast
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import arrow_labels as al

PACKAGE = Path(al.__file__).parent
LAYERS = (
    "errors",
    "redaction",
    "schema",
    "annotation",
    "wire",
    "merge_patch",
    "tables",
    "rle",
    "extension_types",
    "extension_dtypes",
    "extension",
    "geoarrow",
    "id_runs",
    "bitmap",
    "segment_columns",
    "segmentation",
    "segment_places",
    "decode.values",
    "decode.wanted",
    "decode.careful",
    "decode.columns",
    "decode.shapes",
    "decode.short_ids",
    "decode.number_lists",
    "decode.point_ids",
    "decode.annotations",
    "decode.sample_frames",
    "decode.rows",
    "decode.frames",
    "decode.labels",
    "decode.parsed_samples",
    "decode.samples",
    "decode.definitions",
    "decode.kinds",
    "decode.records",
    "decode.keys",
    "decode.documents",
    "decode",
    "sources",
    "contents",
    "encode.rows",
    "encode.labels",
    "encode.samples",
    "encode",
    "locate",
    "http_bytes",
    "fetch",
    "files",
    "bitmap_files",
    "mask_rows",
    "masks",
    "known",
    "state",
    "changes",
    "scan",
    "processes",
    "spans",
    "division",
    "workers",
    "read",
    "pieces",
    "partitions",
    "write.folder",
    "write.replacing",
    "write.parts",
    "write.splice",
    "write.merge",
    "write.owners",
    "write.upsert",
    "write.parquet",
    "write.stored",
    "write.convert",
    "write.update",
    "write.duckdb",
    "write.merge_keys",
    "write.hugging_face",
    "write.passing",
    "write.row_order",
    "write.lakehouse",
    "write.lance_tables",
    "write.lance",
    "write.delta_tables",
    "write.delta",
    "write.iceberg_tables",
    "write.iceberg_commits",
    "write.iceberg",
    "write",
    "inspection",
    "expressions.columns",
    "expressions.ids",
    "expressions.json_values",
    "expressions.definitions",
    "expressions.attributes",
    "expressions.rotations",
    "expressions.poses",
    "expressions.ego",
    "expressions.kinematics",
    "expressions.cameras",
    "expressions.projection",
    "expressions.points",
    "expressions.cells",
    "expressions.rectangles",
    "expressions.cuboids",
    "expressions.overlap",
    "expressions.containment",
    "expressions.quaternions",
    "expressions.blend",
    "expressions.grid",
    "expressions.tracks",
    "expressions.spans",
    "expressions.keyframes",
    "expressions.interpolation",
    "expressions.interpolation_error",
    "expressions.resampling",
    "expressions",
    "checks.found",
    "checks.definitions",
    "checks.documents",
    "checks.crossings",
    "checks.outlines",
    "checks.parts",
    "checks.places",
    "checks.sizes",
    "checks.rows",
    "checks.ids",
    "checks.categories",
    "checks.attributes",
    "checks.vectors",
    "checks.cuboids",
    "checks.sequences",
    "checks.links",
    "checks",
    "mask_overlap",
    "matching",
    "comparison",
    "report",
    "",
    "engines",
    "engines.worker",
    "engines.driver",
    "engines.groups",
    "engines.arrivals",
    "engines.ray",
    "engines.spark_options",
    "engines.spark",
    "terminal",
    "formats",
    "check_command",
    "command_messages",
    "command_options",
    "convert_command",
    "cli",
)
"""Every module, each after those that it may import; "" is the package itself."""


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imports(path: Path) -> set[str]:
    """The modules of the package that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module]
        for name in names:
            if name.split(".")[0] == "arrow_labels":
                found.add(name.removeprefix("arrow_labels").lstrip("."))
    return found


def test_every_module_has_a_layer() -> None:
    assert set(modules()) == set(LAYERS)


@pytest.mark.parametrize("module", LAYERS)
def test_modules_import_only_from_above(module: str) -> None:
    above = set(LAYERS[: LAYERS.index(module)])
    assert imports(modules()[module]) <= above


def test_no_module_is_called_utils() -> None:
    assert not {name.rpartition(".")[2] for name in modules()} & {"utils", "util", "helpers", "common", "misc"}


def test_public_names() -> None:
    assert set(al.__all__) == {
        "SCHEMAS",
        "SCHEMA_VERSION",
        "ArrowLabelsError",
        "BitmapError",
        "Comparison",
        "DecodeError",
        "ExprLabels",
        "FetchError",
        "FrameLabels",
        "LabelTables",
        "MissingExtraError",
        "SchemaError",
        "SemanticMap",
        "TargetError",
        "WorkerError",
        "bitmap_runs",
        "check_labels",
        "coco_to_rle",
        "convert_labels",
        "compare_labels",
        "decode_bitmap",
        "decode_labels",
        "duckdb_views",
        "encode_bitmap",
        "encode_labels",
        "from_datasets",
        "inspect_labels",
        "iter_labels",
        "iter_parquet",
        "mask_indices",
        "mask_table",
        "mask_to_rle",
        "masks_to_bitmap",
        "point_categories",
        "point_indices",
        "read_bitmap",
        "read_delta",
        "read_iceberg",
        "read_labels",
        "read_lance",
        "read_masks",
        "read_parquet",
        "register",
        "rle_to_coco",
        "rle_to_mask",
        "scan_labels",
        "semantic_map",
        "to_datasets",
        "to_extension",
        "to_geoarrow",
        "to_storage",
        "unregister",
        "update_parquet",
        "write_bitmap",
        "write_delta",
        "write_iceberg",
        "write_lance",
        "write_parquet",
        "write_release",
    }
    assert all(getattr(al, name).__doc__ for name in al.__all__ if callable(getattr(al, name)))


def test_type_checkers_see_the_names_that_there_are() -> None:
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
    found = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    named = {alias.name: node.module for node in found for alias in node.names}
    assert {name for name, module in named.items() if module != "arrow_labels"} == set(al.__all__)
    assert all(
        getattr(al, name) is getattr(importlib.import_module(module or ""), name) for name, module in named.items()
    )
    assert set(dir(al)) == set(named)


def test_the_package_can_be_imported_from_an_archive(tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "al"), "zip", PACKAGE.parent, PACKAGE.name)
    code = "import arrow_labels as al; print(al.__file__); al.decode_labels([])"
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": archive},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.startswith(archive)


NOT_AT_ONCE = (
    "PIL",
    "fsspec",
    "numpy",
    "pyarrow",
    "tenacity",
    "pycocotools",
    "skimage",
    "typer",
    "rich",
    "pandas",
    "duckdb",
    "segments",
    "s3fs",
    "aiohttp",
    "deltalake",
    "lance",
    "datasets",
    "geoarrow",
    "pyiceberg",
    "ray",
    "pyspark",
)


def test_an_import_takes_no_package_that_it_may_not_need() -> None:
    code = f"import sys, arrow_labels; print([name for name in {NOT_AT_ONCE!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"


def test_errors_form_a_tree() -> None:
    refused = (al.BitmapError, al.DecodeError, al.FetchError, al.SchemaError, al.TargetError, al.WorkerError)
    assert all(issubclass(error, al.ArrowLabelsError) for error in refused)
    assert issubclass(al.ArrowLabelsError, ValueError)
    assert issubclass(al.MissingExtraError, ImportError)
