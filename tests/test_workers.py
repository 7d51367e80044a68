"""Several processes give what one gives, end when they shall, and say what they were at when they do not."""

import gzip
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arrow_labels as al
from arrow_labels import workers

LABEL = {"annotations": [{"id": 1, "category_id": 0, "type": "bbox", "points": [[1, 2], [3, 4]]}]}


@pytest.fixture(autouse=True, scope="module")
def _any_size() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "WORTH", 0)
        patch.setattr(workers, "LEAST_SPAN", 1 << 10)
        yield


def in_this_process(
    tasks: Any, count: int, folder: Path, instead: Callable[..., Any], heard: Callable[[Any], None]
) -> Iterator[Any]:
    """What `processes.run` does, without processes: as if each task was done long before it is its turn."""
    line, rest = [], iter(tasks)
    while True:
        while len(line) < 3 and not any(task.is_divided for task, _ in line) and (task := next(rest, None)):
            line.append((task, None))
        if not line:
            return
        for place, (task, result) in enumerate(line):
            if result is None:
                function, arguments = pickle.loads(pickle.dumps((task.function, task.arguments)))
                try:
                    line[place] = (task, pickle.loads(pickle.dumps([function(*arguments, heard)])))
                except Exception as error:
                    line[place] = (task, error)
        (task, result), *line = line
        if isinstance(result, Exception):
            raise result
        others = instead(task, result[0])
        if others is None:
            yield result[0]
        else:
            line = [(other, None) for other in others] + line


names = st.sampled_from(["a", "a#2", "a#2#2", "b", None])
labels = st.builds(
    lambda uuid, labelset: {
        "label_status": "LABELED",
        "attributes": LABEL,
        **({"sample_uuid": uuid} if uuid else {}),
        **({"labelset": labelset} if labelset else {}),
    },
    names,
    st.sampled_from(["x", None]),
)
samples = st.builds(
    lambda uuid, found: {**({"uuid": uuid} if uuid else {}), "labels": found},
    names,
    st.dictionaries(
        st.sampled_from(["x", "y"]), st.sampled_from([None, {"label_status": "LABELED", "attributes": LABEL}])
    ),
)
releases = st.builds(
    lambda name, found, unknown: {
        **({"unknown": 1} if unknown else {}),
        "dataset": {
            "name": name,
            "task_attributes": {"categories": [{"id": 0, "name": name}]},
            "samples": found,
            "labelsets": [],
        },
    },
    names,
    st.lists(samples | st.sampled_from([None, {"labels": 3}, {"labels": {"x": {"attributes": 3}}}]), max_size=6),
    st.booleans(),
)
documents = labels | samples | releases | st.just(LABEL) | st.sampled_from([{}, [], {"dataset": {"samples": None}}])
texts = documents.map(lambda document: json.dumps(document).encode()) | st.sampled_from([b"{", b"\xef\xbb\xbf{}", b""])


@st.composite
def files(draw: st.DrawFn) -> tuple[str, bytes]:
    kind = draw(st.sampled_from([".json", ".json", ".json", ".json.gz", ".jsonl", ".jsonl.gz", "indented"]))
    if kind.startswith(".jsonl"):
        lines = draw(st.lists(texts | st.just(b" "), max_size=6))
        content = draw(st.sampled_from([b"\n", b"\r\n", b"\n\n"])).join(lines) + draw(st.sampled_from([b"", b"\n"]))
    elif kind == "indented":
        kind, content = ".json", b"\xef\xbb\xbf" + json.dumps(draw(documents), indent=1).encode()
    else:
        content = draw(texts)
    return kind, gzip.compress(content) if kind.endswith(".gz") else content


def write(folder: Path, found: list[tuple[str, bytes]]) -> Path:
    for place, (suffix, content) in enumerate(found):
        (folder / f"{place:03}{suffix}").write_bytes(content)
    return folder


def outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except al.ArrowLabelsError as error:
        return type(error), str(error)


@settings(max_examples=100)
@given(
    found=st.lists(files(), min_size=1, max_size=8),
    span=st.integers(1, 2000),
    count=st.integers(2, 4),
    on_error=st.sampled_from(["collect", "raise"]),
)
def test_any_source_is_read_as_by_one_process(
    found: list[tuple[str, bytes]], span: int, count: int, on_error: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source, target = write(tmp_path_factory.mktemp("source"), found), tmp_path_factory.mktemp("target") / "tables"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "LEAST_SPAN", span)
        patch.setattr(workers, "run", in_this_process)
        one = outcome(lambda: al.read_labels(source, on_error=on_error, workers=1))
        parts = al.iter_labels(source, on_error=on_error, workers=count, batch_bytes=span)
        assert outcome(lambda: al.LabelTables.concat(parts)) == one
        rows = outcome(lambda: al.convert_labels(source, target, on_error=on_error, workers=count))
    if isinstance(one, al.LabelTables):
        assert rows == {name: table.num_rows for name, table in one}
        assert al.read_parquet(target) == one
        for name, table in one:
            by_glob = [pq.read_table(path).num_rows for path in sorted((target / name).iterdir())]
            assert sum(by_glob) == table.num_rows
        samples_in_order = pa.concat_tables(map(pq.read_table, sorted((target / "samples").iterdir())))
        assert samples_in_order["sample_id"].to_pylist() == one.samples["sample_id"].to_pylist()
    else:
        assert rows == one
        assert not target.exists()
