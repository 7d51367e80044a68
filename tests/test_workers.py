"""Several processes give what one gives, end when they shall, and say what they were at when they do not."""

import gzip
import io
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from generate import release
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scripts import (
    chatter,
    children,
    fail,
    fail_oddly,
    in_session,
    leave,
    leftovers,
    modules,
    run_script,
    until,
    use_names,
)

import arrow_labels as al
from arrow_labels import division, processes, sources, workers
from arrow_labels.changes import Changes
from arrow_labels.spans import Samples
from arrow_labels.write.parts import write_part

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
                    # As it comes from a process, without the frames that it was raised in and their open files.
                    line[place] = (task, pickle.loads(pickle.dumps(error)))
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


@settings(max_examples=60)
@given(
    found=st.lists(files(), min_size=1, max_size=6),
    span=st.integers(1, 1000),
    on_error=st.sampled_from(["collect", "raise"]),
)
def test_any_source_is_read_as_by_one_process(
    found: list[tuple[str, bytes]], span: int, on_error: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = write(tmp_path_factory.mktemp("source"), found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "LEAST_SPAN", span)
        patch.setattr(division, "_BLOCK", span)
        patch.setattr(workers, "run", in_this_process)
        parts = al.iter_labels(source, on_error=on_error, workers=2, batch_bytes=span)
        many = outcome(lambda: al.LabelTables.concat(parts))
    assert many == outcome(lambda: al.read_labels(source, on_error=on_error, workers=1))


@settings(max_examples=5)
@given(found=st.lists(files(), min_size=1, max_size=5), span=st.integers(100, 1000))
def test_any_source_is_converted_as_by_one_process(
    found: list[tuple[str, bytes]], span: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source, target = write(tmp_path_factory.mktemp("source"), found), tmp_path_factory.mktemp("target") / "tables"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "LEAST_SPAN", span)
        patch.setattr(workers, "run", in_this_process)
        rows = al.convert_labels(source, target, on_error="collect", workers=2)
    one = al.LabelTables.concat(al.iter_labels(source, on_error="collect", changes=Changes()))
    assert rows == {name: table.num_rows for name, table in one}
    converted = al.read_parquet(target)
    assert converted == one
    assert converted.labels.equals(one.labels)  # with their hashes
    names = converted.datasets["dataset"].to_pylist()
    assume(len(set(names)) == len(names))  # of a dataset that comes twice, an update keeps the last
    before = {path: path.stat() for path in target.rglob("*")}
    with suppress(al.SchemaError, al.FetchError):  # a label that stands twice; no document at all
        al.update_parquet(source, target, on_error="collect")
    assert {path: path.stat() for path in target.rglob("*")} == before
    for name, table in one:  # Other engines read files in the order of their names.
        by_name = pa.concat_tables(map(pq.read_table, sorted((target / name).iterdir())))
        assert by_name.cast(table.schema).equals(table)


def test_what_processes_write_is_added(tmp_path: Path) -> None:
    document = release("image-vector-sequence", seed=5, samples=6)
    samples = document["dataset"]["samples"]
    for number, found in enumerate((samples[:4], samples[3:])):
        whole = document | {"dataset": document["dataset"] | {"samples": found}}
        (tmp_path / f"{number}.json").write_text(json.dumps(whole))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "run", in_this_process)
        for count in (1, 2):
            target = tmp_path / f"by {count}"
            for number, mode in enumerate(("append", "upsert")):
                al.convert_labels(tmp_path / f"{number}.json", target, mode=mode, workers=count)  # type: ignore[arg-type]
            with pytest.raises(al.TargetError, match="Expected labels that are not there yet"):
                al.convert_labels(tmp_path / "0.json", target, mode="append", workers=count)
    one, two = (al.read_parquet(tmp_path / f"by {count}") for count in (1, 2))
    assert one == two
    assert one.labels.equals(two.labels)
    assert one.samples["sample_id"].to_pylist() == [sample["uuid"] for sample in samples]


def divided(path: Path, is_guessed: bool) -> Any:
    (file,) = sources.resolve(path, None)
    return division.divide(division.Large(file, 0), path.parent, 1, 2, is_guessed, print)


def test_where_samples_begin_is_guessed_and_proved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(division, "_BLOCK", 1000)
    path = tmp_path / "a.json"
    for indent in (None, 2):
        path.write_text("\ufeff" + json.dumps(release("multisensor-sequence", seed=5, samples=8), indent=indent))
        one, two = divided(path, True)
        assert len(one.edges) + len(two.edges) == 8 + 2
        assert one.edges[-1] == two.edges[0]
        expected = divided(path, False)
        starts, lengths = (
            np.concatenate(parts)
            for parts in zip(*(division.prove(it, False, print) for it in (one, two)), strict=True)
        )
        assert starts.tolist() == [start for span in expected for start in span.starts]
        assert lengths.tolist() == [length for span in expected for length in span.lengths]
        assert {json.dumps(json.loads(it.head)) for it in (one, two, *expected)} == {json.dumps(json.loads(one.head))}


def test_what_only_looks_like_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(division, "_BLOCK", 300)
    monkeypatch.setattr(workers, "run", in_this_process)
    inside = [{"uuid": str(place)} for place in range(100)]
    found = [{"uuid": str(place), "labels": {}, "metadata": {"a": inside}} for place in range(4)]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"dataset": {"samples": found}}))
    assert None in [division.prove(blocks, False, print) for blocks in divided(path, True)]
    assert al.read_labels(path, workers=2) == al.read_labels(path, workers=1)
    # Samples that stand elsewhere, and those of a key that comes again.
    path.write_text(json.dumps({"samples": inside, "dataset": {"samples": found}}))
    assert all(isinstance(span, Samples) for span in divided(path, True))
    path.write_text(json.dumps({"dataset": {"samples": inside, "Samples": found}}).replace("Samples", "samples"))
    assert al.read_labels(path, workers=2) == al.read_labels(path, workers=1)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of many samples, a second one with the same names, and files of labels and samples."""
    folder = tmp_path_factory.mktemp("source")
    document = release("multisensor-sequence", seed=5, samples=8)
    (folder / "a.json").write_text(json.dumps(document))
    (folder / "b.json.gz").write_bytes(gzip.compress(json.dumps(document, indent=1).encode()))
    (folder / "c.jsonl").write_bytes(
        b"\n".join(json.dumps(sample).encode() for sample in document["dataset"]["samples"])
    )
    (folder / "d.json").write_text(json.dumps(LABEL))
    return folder


@pytest.fixture(scope="module")
def expected(source: Path) -> al.LabelTables:
    return al.read_labels(source, workers=1)


def test_processes_give_what_one_gives(source: Path, expected: al.LabelTables, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path))
        assert al.read_labels(source, workers=2) == expected
        plain = [source / "a.json", source / "c.jsonl"]
        rows = al.convert_labels(plain, tmp_path / "out", workers=2, progress=lambda *now: seen.append(now))
    assert al.read_parquet(tmp_path / "out") == al.read_labels(plain, workers=1)
    assert rows == {name: table.num_rows for name, table in al.read_parquet(tmp_path / "out")}
    assert len(list((tmp_path / "out" / "cuboids").iterdir())) > 2
    assert {total for _, total in seen} == {sum(path.stat().st_size for path in plain)}
    assert max(seen) == seen[-1]
    assert 0.9 * seen[-1][1] < seen[-1][0] <= seen[-1][1]
    assert leftovers(tmp_path) == ["out"]
    assert not children()


def test_masks_are_read_in_the_processes(tmp_path: Path) -> None:
    drive, counted = Path(__file__).parent / "data/drive/release.json", []
    options = {"progress": lambda *now: counted.append(now)}
    found = al.read_labels(drive, masks=True, mask_options=options, tables=["segments"], workers=2)
    assert found == al.read_labels(drive, masks=True, tables=["segments"], workers=1)
    assert found.segments["area"].null_count < found.segments.num_rows
    assert len(counted) == len(list((drive.parent / "bitmaps").iterdir()))


def test_a_script_needs_no_guard(source: Path, expected: al.LabelTables, tmp_path: Path) -> None:
    read = f"print(al.read_labels({str(source)!r}, workers=2).cuboids.num_rows)"
    out, err = run_script(tmp_path, "print('once')", read).communicate()
    assert (out, err) == (f"once\n{expected.cuboids.num_rows}\n", "")


# Each time that a process says how far it is, it is a while until it goes on.
SLOWLY = "import time; slow = lambda *now: (print(*now, flush=True), time.sleep(0.2))"


def test_interrupted(source: Path, tmp_path: Path) -> None:
    """Ctrl-C goes to all processes of a terminal."""
    convert = f"al.convert_labels({str(source)!r}, {str(tmp_path / 'out')!r}, workers=2, progress=slow)"
    with run_script(
        tmp_path, SLOWLY, "try:", f"    {convert}", "except KeyboardInterrupt:", "    print('end')"
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert len(in_session(process.pid)) == 3
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate()
    assert out.endswith("end\n")
    assert err == ""
    assert process.returncode == 0
    assert in_session(process.pid) == []
    assert leftovers(tmp_path) == ["script.py"]


def test_killed(source: Path, tmp_path: Path) -> None:
    """Nobody is left when the process that waits is killed: its processes notice."""
    read = (
        f"for part in al.iter_labels({str(source)!r}, workers=2, batch_bytes=1000): print(1, flush=True); time.sleep(1)"
    )
    with run_script(tmp_path, "import time", read) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert len(leftovers(tmp_path)) == 2
        process.kill()
        process.communicate()
    until(lambda: not in_session(process.pid))
    assert leftovers(tmp_path) == ["script.py"]


def test_a_process_that_dies(source: Path, tmp_path: Path) -> None:
    number = signal.SIGKILL

    def kill(*_: Any) -> None:
        for child in children():
            os.kill(child, number)

    release_, target = source / "a.json", tmp_path / "out"
    with pytest.raises(al.WorkerError) as error:
        al.convert_labels(release_, target, workers=2, progress=kill)
    assert re.match(
        rf"Expected a process to finish samples [\d,]+ to [\d,]+ \(bytes [\d,]+ to [\d,]+\) of {release_}, "
        rf"got one that ended with {number.name}: .*run it again",
        str(error.value),
    )
    assert leftovers(tmp_path) == []
    assert not children()
    copy = pickle.loads(pickle.dumps(error.value))
    assert (str(copy), copy.what, copy.status) == (str(error.value), error.value.what, -number)


def test_an_iterator_that_is_left_alone_ends_its_processes(source: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path))
        parts = al.iter_labels(source, workers=2, batch_bytes=1)
        first = next(parts)
        assert len(children()) == 2
        parts.close()  # type: ignore[attr-defined]
    assert not children()
    assert leftovers(tmp_path) == []
    assert first.nbytes > 0


def test_what_is_not_shared(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(processes, "_start", never)
    text = (source / "a.json").read_bytes()
    expected = al.read_labels(source / "a.json", workers=1)
    fsspec.filesystem("memory").pipe("/workers/a.json", text)
    for here in (text, json.loads(text), io.BytesIO(text), "memory://workers/a.json", [str(source / "a.json"), LABEL]):
        assert al.read_labels(here, workers=2).cuboids.num_rows == expected.cuboids.num_rows
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert al.read_labels(source / "a.json", workers=2) == expected
    monkeypatch.setattr(sys, "frozen", False)
    with pytest.raises(AssertionError, match="a process was started"):
        al.read_labels(source / "a.json", workers=2)
    monkeypatch.setattr(workers, "WORTH", 128 << 20)
    assert al.read_labels(source / "a.json", workers=2) == expected


def test_a_target_in_this_process(source: Path, expected: al.LabelTables) -> None:
    al.convert_labels(source, "memory://workers/tables", workers=2)
    assert al.read_parquet("memory://workers/tables") == expected


@pytest.mark.parametrize("count", [0, -1, "2", 1.5])
def test_wrong_numbers(count: Any, source: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"workers: expected a positive whole number, or None .*, got {count!r}"):
        al.read_labels(source, workers=count)
    with pytest.raises(ValueError, match="workers: expected a positive whole number"):
        al.convert_labels(source, tmp_path / "out", workers=count)
    assert leftovers(tmp_path) == []


def test_cores_are_those_of_this_process() -> None:
    command = [sys.executable, "-c", "from arrow_labels.processes import cores; print(cores())"]
    core = min(os.sched_getaffinity(0))
    found = subprocess.run(
        command, capture_output=True, text=True, check=True, preexec_fn=lambda: os.sched_setaffinity(0, {core})
    )
    assert found.stdout == "1\n"


def test_what_functions_raise_and_print(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def run(*tasks: tuple[Any, ...]) -> list[Any]:
        found = [processes.Task("it", function, arguments) for function, *arguments in tasks]
        return list(processes.run(found, 1, tmp_path / "no", lambda *_: None, lambda _: None))

    assert run((chatter,), (chatter,)) == [3, 3]
    assert capfd.readouterr() == ("", "not a reply\nnor this" * 2)
    with pytest.raises(KeyError, match="x") as error:
        run((fail, KeyError("x")))
    assert "in fail" in error.value.__notes__[0]
    with pytest.raises(RuntimeError, match="1 and 2"):
        run((fail_oddly,))
    with pytest.raises(al.WorkerError, match="finish it, got one that ended with exit status 3: run it again"):
        run((leave,))


def test_processes_import_what_they_need(tmp_path: Path) -> None:
    """Their start counts; what a function asks of the package is there all the same."""
    tasks = [processes.Task("it", function, (workers.kept, write_part)) for function in (modules, use_names)]
    loaded, names = processes.run(tasks, 1, tmp_path / "no", lambda *_: None, lambda _: None)
    assert {"arrow_labels.workers", "arrow_labels.write.parts"} <= loaded
    assert not loaded & {"polars", "arrow_labels.checks", "arrow_labels.expressions"}
    assert names == (al.__version__, 1)
