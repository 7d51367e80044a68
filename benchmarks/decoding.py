"""How fast label JSON becomes what a user works with, against what else could do it.

Every measurement is a process of its own, on one core, over the same documents, with the result kept:

    python benchmarks/decoding.py [--quick] [--rounds N] [--megabytes N] [--only 'CONTENDER;...'] [--daft PYTHON]

Daft asks for an older pyarrow than the others may have, so it is measured in an environment of its own, whose
interpreter `--daft` names.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

ONE_CORE: Final = {
    "POLARS_MAX_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ARROW_IO_THREADS": "1",
    "PYTHONHASHSEED": "0",
}
DOCUMENT_MEGABYTES: Final = {"cuboids": 2.0, "vectors": 0.47, "point_ids": 1.6}
MODELS: Final = {
    "cuboids": "PointcloudSequenceCuboidLabelAttributes",
    "vectors": "ImageVectorLabelAttributes",
    "point_ids": "PointcloudSequenceSegmentationLabelAttributes",
}
TARGETS: Final = {
    "cuboids": {"segments-ai": 12.0, "orjson": 0.9, "simdjson": 0.18},
    "vectors": {"segments-ai": 7.0, "orjson": 3.0, "simdjson": 0.28},
    "point_ids": {"segments-ai": 2.2, "orjson": 1.0, "simdjson": 0.55},
}
OTHER_PEER: Final = 1.0
DAFT: Final = "daft"
REFERENCES: Final = {"segments-ai, gc off", "orjson, gc off", "simdjson"}

Run = Callable[[], Any]
Prepare = Callable[[str, list[bytes], Path], Run]


# What the explicit schemas say, once for all engines: name -> type, {...} a struct, [...] a list of one type.
_XYZ: Final = {"x": "float", "y": "float", "z": "float"}
_ANNOTATION: Final = {"id": "int", "track_id": "int", "category_id": "int", "is_keyframe": "bool"}
_CUBOID: Final = {
    **_ANNOTATION,
    "type": "text",
    "position": _XYZ,
    "dimensions": _XYZ,
    "yaw": "float",
    "rotation": {"qx": "float", "qy": "float", "qz": "float", "qw": "float"},
    "attributes": "json",
}
_SHAPE: Final = {"id": "int", "category_id": "int", "type": "text", "points": [["float"]], "attributes": "json"}
_FRAME: Final = {"timestamp": "text", "format_version": "text"}
FIELDS: Final[dict[str, dict[str, Any]]] = {
    "cuboids": {"format_version": "text", "frames": [{**_FRAME, "annotations": [_CUBOID]}]},
    "vectors": {"format_version": "text", "annotations": [_SHAPE], "image_attributes": "json"},
    "point_ids": {
        "format_version": "text",
        "frames": [{**_FRAME, "annotations": [{**_ANNOTATION, "attributes": "json"}], "point_annotations": ["id"]}],
    },
}
FLAT: Final = {"cuboids": ["frames", "annotations"], "vectors": ["annotations"], "point_ids": ["frames"]}


def _without_json(fields: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name, of) for name, of in fields.items() if of != "json"]


def _arrow_type(of: Any) -> Any:
    import pyarrow as pa

    if isinstance(of, dict):
        return pa.struct([(name, _arrow_type(inner)) for name, inner in _without_json(of)])
    if isinstance(of, list):
        return pa.list_(_arrow_type(of[0]))
    return {"float": pa.float64(), "int": pa.int64(), "id": pa.int32(), "bool": pa.bool_(), "text": pa.string()}[of]


def _polars_type(of: Any) -> Any:
    import polars as pl

    if isinstance(of, dict):
        return pl.Struct({name: _polars_type(inner) for name, inner in _without_json(of)})
    if isinstance(of, list):
        return pl.List(_polars_type(of[0]))
    return {"float": pl.Float64, "int": pl.Int64, "id": pl.Int32, "bool": pl.Boolean, "text": pl.String}[of]


def _duckdb_type(of: Any) -> str:
    if isinstance(of, dict):
        members = [f'"{name}" {_duckdb_type(inner)}' for name, inner in of.items()]
        return f"STRUCT({', '.join(members)})"
    if isinstance(of, list):
        return _duckdb_type(of[0]) + "[]"
    types = {"float": "DOUBLE", "int": "BIGINT", "id": "INTEGER", "bool": "BOOLEAN", "text": "VARCHAR", "json": "JSON"}
    return types[of]


def _daft_type(of: Any) -> Any:
    from daft import DataType

    if isinstance(of, dict):
        return DataType.struct({name: _daft_type(inner) for name, inner in _without_json(of)})
    if isinstance(of, list):
        return DataType.list(_daft_type(of[0]))
    types = {"float": "float64", "int": "int64", "id": "int32", "bool": "bool", "text": "string"}
    return getattr(DataType, types[of])()


# Each contender prepares what it reads from (outside the clock) and gives the function that is timed.


def _arrow_labels(workload: str, documents: list[bytes], folder: Path) -> Run:
    import arrow_labels

    return lambda: arrow_labels.decode_labels(documents)


def _segments_ai(workload: str, documents: list[bytes], folder: Path) -> Run:
    import segments.typing

    validate = getattr(segments.typing, MODELS[workload]).model_validate_json
    return lambda: [validate(document) for document in documents]


def _orjson(workload: str, documents: list[bytes], folder: Path) -> Run:
    from orjson import loads

    return lambda: [loads(document) for document in documents]


def _gc_off(prepare: Prepare) -> Prepare:
    """The same without garbage collection, which otherwise walks over all that is kept again and again."""

    def prepared(workload: str, documents: list[bytes], folder: Path) -> Run:
        gc.disable()
        return prepare(workload, documents, folder)

    return prepared


def _pandas(workload: str, documents: list[bytes], folder: Path) -> Run:
    import pandas as pd
    from orjson import loads

    # Lists made here and no record_path: json_normalize takes almost three times as long with it.
    def run() -> Any:
        if workload == "vectors":
            return pd.json_normalize([shape for document in documents for shape in loads(document)["annotations"]])
        frames = (frame for document in documents for frame in loads(document)["frames"])
        if workload == "point_ids":
            return pd.json_normalize(list(frames))
        return pd.json_normalize(
            [{**cuboid, "timestamp": frame["timestamp"]} for frame in frames for cuboid in frame["annotations"]]
        )

    return run


def _pyarrow(workload: str, documents: list[bytes], folder: Path) -> Run:
    import pyarrow as pa
    import pyarrow.json

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    lines = pa.py_buffer(b"\n".join(documents))
    read = pyarrow.json.ReadOptions(use_threads=False, block_size=lines.size + 1)
    parse = pyarrow.json.ParseOptions(
        explicit_schema=pa.schema([(name, _arrow_type(of)) for name, of in _without_json(FIELDS[workload])]),
        unexpected_field_behavior="ignore",
    )
    return lambda: pyarrow.json.read_json(pa.BufferReader(lines), read, parse)


def _duckdb(workload: str, documents: list[bytes], folder: Path) -> Run:
    return _query(f"SELECT * FROM {_read_json(workload, documents, folder)}")


def _duckdb_flat(workload: str, documents: list[bytes], folder: Path) -> Run:
    rows = f"SELECT row_number() OVER () AS document, * FROM {_read_json(workload, documents, folder)}"
    for level in FLAT[workload]:
        rows = f"""
            SELECT * EXCLUDE {level}, generate_subscripts({level}, 1) AS {level}_index,
                unnest({level}, max_depth := 2)
            FROM ({rows})"""
    return _query(rows)


def _query(query: str) -> Run:
    import duckdb

    connection = duckdb.connect(config={"threads": 1})
    return lambda: connection.sql(query).to_arrow_table()


def _read_json(workload: str, documents: list[bytes], folder: Path) -> str:
    path = folder / f"{workload}-{len(documents)}-{os.getpid()}.ndjson"
    path.write_bytes(b"\n".join(documents))
    columns = {name: _duckdb_type(of) for name, of in FIELDS[workload].items()}
    return (
        f"read_json('{path}', format = 'newline_delimited', columns = {columns}, "
        f"maximum_object_size = {2 * max(map(len, documents))})"
    )


def _polars(workload: str, documents: list[bytes], folder: Path) -> Run:
    import polars as pl

    dtype = _polars_type(FIELDS[workload])
    column = pl.Series([document.decode() for document in documents])
    return lambda: column.str.json_decode(dtype)


def _daft(workload: str, documents: list[bytes], folder: Path) -> Run:
    import daft

    path = folder / f"{workload}-{len(documents)}-{os.getpid()}.ndjson"
    path.write_bytes(b"\n".join(documents))
    schema = {name: _daft_type(of) for name, of in _without_json(FIELDS[workload])}
    return lambda: daft.read_json(str(path), schema=schema).to_arrow()


def _simdjson(workload: str, documents: list[bytes], folder: Path) -> Run:
    import simdjson

    parse = simdjson.Parser().parse

    def run() -> None:
        for document in documents:
            parse(document)

    return run


# How many cuboids, vertices or point ids a result holds: a contender that skips some would look fast.


def _count_tables(workload: str, tables: Any) -> int:
    import pyarrow.compute as pc

    if workload == "cuboids":
        return int(pc.count(tables["cuboids"]["x"]).as_py())
    lists = tables["vectors"]["points"] if workload == "vectors" else tables["frames"]["point_annotations"]
    return int(pc.sum(pc.list_value_length(lists)).as_py())


def _count_models(workload: str, models: Any) -> int:
    return _count_dicts(workload, (model.model_dump() for model in models))


def _count_dicts(workload: str, documents: Any) -> int:
    if workload == "vectors":
        return sum(len(shape["points"]) for document in documents for shape in document["annotations"])
    frames = (frame for document in documents for frame in document["frames"])
    if workload == "point_ids":
        return sum(len(frame["point_annotations"]) for frame in frames)
    return sum(cuboid["position"] is not None for frame in frames for cuboid in frame["annotations"])


def _count_frame(workload: str, frame: Any) -> int:
    if workload == "cuboids":
        return int(frame["position.x"].count())
    return int(frame["points" if workload == "vectors" else "point_annotations"].map(len).sum())


def _count_flat(workload: str, table: Any) -> int:
    import pyarrow.compute as pc

    if workload == "cuboids":
        return int(pc.count(pc.struct_field(table["position"], "x")).as_py())
    return int(pc.sum(pc.list_value_length(table["points" if workload == "vectors" else "point_annotations"])).as_py())


def _count_nested(workload: str, table: Any) -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(table, pa.Table):
        table = table.struct.unnest().to_arrow()
    if workload == "vectors":
        points = pc.struct_field(pc.list_flatten(table["annotations"]), "points")
        return int(pc.sum(pc.list_value_length(points)).as_py())
    frames = pc.list_flatten(table["frames"])
    if workload == "point_ids":
        return int(pc.sum(pc.list_value_length(pc.struct_field(frames, "point_annotations"))).as_py())
    cuboids = pc.list_flatten(pc.struct_field(frames, "annotations"))
    return int(pc.count(pc.struct_field(cuboids, ["position", "x"])).as_py())


class Contender(NamedTuple):
    """Who is measured: the module it needs, what is timed, how its result is counted, and what the result is."""

    module: str
    prepare: Prepare
    counted: Callable[[str, Any], int] | None
    result: str


CONTENDERS: Final = {
    "arrow_labels": Contender("arrow_labels", _arrow_labels, _count_tables, "all tables, flat, attributes as JSON"),
    "segments-ai": Contender("segments", _segments_ai, _count_models, "pydantic models (`model_validate_json`)"),
    "orjson": Contender("orjson", _orjson, _count_dicts, "dicts and lists (`orjson.loads`)"),
    "pandas": Contender("pandas", _pandas, _count_frame, "a DataFrame: `orjson.loads`, then `pandas.json_normalize`"),
    "pyarrow": Contender(
        "pyarrow",
        _pyarrow,
        _count_nested,
        "a nested row a document, explicit schema; free attributes it cannot hold: left out",
    ),
    "duckdb": Contender(
        "duckdb", _duckdb, _count_nested, "a nested row a document, explicit columns, attributes as JSON"
    ),
    "duckdb, flat": Contender(
        "duckdb", _duckdb_flat, _count_flat, "the same, then unnested: an annotation a row; for point ids a frame a row"
    ),
    "polars": Contender(
        "polars",
        _polars,
        _count_nested,
        "a nested row a document (`json_decode`), explicit dtype; free attributes it cannot hold: left out",
    ),
    DAFT: Contender(
        "daft",
        _daft,
        _count_nested,
        "a nested row a document, explicit schema; free attributes it cannot hold: left out",
    ),
    "segments-ai, gc off": Contender(
        "segments", _gc_off(_segments_ai), _count_models, "the same with `gc.disable()`: for reference"
    ),
    "orjson, gc off": Contender(
        "orjson", _gc_off(_orjson), _count_dicts, "the same with `gc.disable()`: for reference"
    ),
    "simdjson": Contender("simdjson", _simdjson, None, "nothing: the bare parse, not kept: the limit"),
}


def measure(name: str, workloads: list[str], folder: Path) -> None:
    """In a fresh process: time one contender, and print its CPU seconds and what it counted."""
    contender = CONTENDERS[name]
    found = {}
    for workload in workloads:
        documents = (folder / f"{workload}.jsonl").read_bytes().splitlines()
        run = contender.prepare(workload, documents, folder)
        run()  # pays for memory that the system has yet to find: on a virtual machine, as much as decoding
        gc.collect()
        start = time.process_time()
        result = run()
        seconds = time.process_time() - start
        found[workload] = (seconds, contender.counted(workload, result) if contender.counted else None)
        del result
    print(json.dumps(found))


def measured(name: str, workloads: list[str], folder: Path, daft: str) -> dict[str, tuple[float, int | None]]:
    """CPU seconds and count of a contender, from a fresh process."""
    done = subprocess.run(
        [daft if name == DAFT else sys.executable, __file__, "--measure", name, *workloads, "--folder", str(folder)],
        env={**os.environ, **ONE_CORE},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found: dict[str, tuple[float, int | None]] = json.loads(done.stdout)
    return found


def benchmark(names: list[str], rounds: int, megabytes: float, one_process: bool, daft: str) -> None:
    """Measure and print."""
    from workloads import WORKLOADS

    seconds: dict[tuple[str, str], list[float]] = {}
    size: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        expected = {}
        for workload, generate in WORKLOADS.items():
            documents = generate(max(2, round(megabytes / DOCUMENT_MEGABYTES[workload])))
            (folder / f"{workload}.jsonl").write_bytes(b"\n".join(documents))
            size[workload] = sum(map(len, documents))
            expected[workload] = _count_dicts(workload, map(json.loads, documents))
            print(f"{workload}: {len(documents)} documents, {size[workload] / 1e6:.1f} MB", flush=True)
        runs = [list(WORKLOADS)] if one_process else [[workload] for workload in WORKLOADS]
        for number in range(rounds):
            for workloads in runs:
                for name in names:
                    _tell(f"round {number + 1} of {rounds}: {', '.join(workloads)}: {name}")
                    for workload, (taken, count) in measured(name, workloads, folder, daft).items():
                        seconds.setdefault((name, workload), []).append(taken)
                        if count not in (None, expected[workload]):
                            raise SystemExit(
                                f"{name}, {workload}: expected {expected[workload]:,} values, got {count:,}"
                            )
        _tell("")
    print(f"\nrounds: {rounds}; MB of JSON a CPU second: median (best)\n")
    print(report(names, seconds, size))
    if "arrow_labels" in names:
        print("\narrow_labels against the targets, by the medians:\n")
        print(verdicts(names, seconds))


def report(names: list[str], seconds: dict[tuple[str, str], list[float]], size: dict[str, int]) -> str:
    """The table: MB/s of each contender, and how many times that arrow_labels makes."""
    lines = [
        "| | " + " | ".join(f"{workload}, MB/s | ours is" for workload in size) + " | what it gives |",
        "|---|" + "---:|" * (2 * len(size)) + "---|",
    ]
    for name in names:
        cells = []
        for workload, nbytes in size.items():
            taken = seconds[name, workload]
            rates = [nbytes / value / 1e6 for value in (statistics.median(taken), min(taken))]
            ratio = _ratio(name, workload, seconds)
            cells += [f"{rates[0]:.0f} ({rates[1]:.0f})", "" if ratio is None else f"{ratio:.2f} x"]
        lines.append(f"| {name} | {' | '.join(cells)} | {CONTENDERS[name].result} |")
    return "\n".join(lines)


def verdicts(names: list[str], seconds: dict[tuple[str, str], list[float]]) -> str:
    """Each target and whether it is met."""
    lines = ["| workload | against | wanted | got | |", "|---|---|---:|---:|---|"]
    for workload, targets in TARGETS.items():
        for name in names:
            ratio = _ratio(name, workload, seconds)
            if ratio is not None and (name in targets or name not in REFERENCES):
                wanted = targets.get(name, OTHER_PEER)
                met = ratio >= wanted if name in targets else ratio > wanted
                sign = ">=" if name in targets else ">"
                lines.append(
                    f"| {workload} | {name} | {sign} {wanted:g} x | {ratio:.2f} x | {'ok' if met else 'short'} |"
                )
    return "\n".join(lines)


def _ratio(name: str, workload: str, seconds: dict[tuple[str, str], list[float]]) -> float | None:
    """How many times as fast arrow_labels is, by the medians."""
    ours, theirs = seconds.get(("arrow_labels", workload)), seconds.get((name, workload))
    if name == "arrow_labels" or ours is None or theirs is None:
        return None
    return statistics.median(theirs) / statistics.median(ours)


def _tell(text: str) -> None:
    """Progress, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r{text:<70}", end="" if text else "\r", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small and once: shows that it runs, not how fast")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=float, default=40, help="JSON of each workload")
    parser.add_argument("--only", help="contenders, with semicolons between them")
    parser.add_argument("--daft", default="", metavar="PYTHON", help="an interpreter that has Daft")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure[0], options.measure[1:], options.folder)
        return
    names = options.only.split(";") if options.only else list(CONTENDERS)
    there = {
        name: options.daft if name == DAFT else importlib.util.find_spec(CONTENDERS[name].module) for name in names
    }
    for name in [name for name in names if not there[name]]:
        print(f"{name}: not installed, left out")
        names.remove(name)
    if options.quick:
        print("quick: the times say nothing")
        benchmark(names, 1, 2, one_process=True, daft=options.daft)
    else:
        benchmark(names, options.rounds, options.megabytes, one_process=False, daft=options.daft)


if __name__ == "__main__":
    main()
