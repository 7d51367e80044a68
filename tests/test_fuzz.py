"""Whatever arrives: an `ArrowLabelsError`, or the truth; no other exception, no hang, bounded memory."""

import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import strategies
from generate import TASK_TYPES, release
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import in_bytes, mutate, mutate_png
from PIL import Image
from round_trip import MANIFEST, BrokenError, check_bitmap, check_document, check_file, table_files

import arrow_labels as al
from arrow_labels.write.splice import read_footer, write_spliced

SECONDS = 20
bounded = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
chance = st.randoms(use_true_random=False)
drawn = st.one_of(strategies.releases(), strategies.samples(), strategies.labels(), strategies.attributes())
ANNOTATION = '{"id":1,"category_id":1}'


@contextmanager
def in_time() -> Iterator[None]:
    """Raise if this takes much processor time: it hangs."""

    def stop(*_: Any) -> None:
        raise BrokenError(f"more than {SECONDS} s of processor time")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def made() -> list[Any]:
    """A release, sample, label and attributes of each task type."""
    found = []
    for task_type in TASK_TYPES:
        document = release(task_type, samples=2, frames=2, objects=2)
        sample = document["dataset"]["samples"][0]
        label = sample["labels"]["ground-truth"]
        found += [document, sample, label, label["attributes"]]
    return found


def pngs() -> list[bytes]:
    """A small PNG of each mode that is read."""
    ids = np.arange(12 * 7, dtype=np.uint32).reshape(12, 7) * 257
    image = Image.fromarray((ids % 256).astype(np.uint8))
    found = [al.encode_bitmap(ids)]
    for given_image in (image, image.convert("RGB"), image.convert("P"), Image.fromarray(ids.astype(np.uint16))):
        file = fsspec.filesystem("memory").open("/made.png", "wb")
        given_image.save(file, "PNG")
        file.close()
        found.append(fsspec.filesystem("memory").cat("/made.png"))
    return found


@settings(bounded, max_examples=200)
@given(st.sampled_from(made()) | drawn, chance)
def test_mutated_documents(document: Any, random: Random) -> None:
    data = mutate(document, random)
    with in_time():
        check_document(data)


@settings(bounded, max_examples=100)
@given(drawn, chance)
def test_mutated_text(document: Any, random: Random) -> None:
    data = json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")
    with in_time():
        check_document(in_bytes(in_bytes(data, random), random))


@settings(bounded, max_examples=300)
@given(st.sampled_from(pngs()), chance)
def test_mutated_bitmaps(png: bytes, random: Random) -> None:
    with in_time():
        check_bitmap(mutate_png(png, random))


@settings(bounded, max_examples=150)
@given(st.sampled_from(list(table_files())), chance)
def test_mutated_tables(name: str, random: Random) -> None:
    with in_time():
        check_file(name, in_bytes(table_files()[name], random))


def test_mutations_are_of_both_kinds() -> None:
    """Mutations that all fail, or all pass, would find nothing."""
    random = Random(1)
    failures = [check_document(mutate(random.choice(made()), random, 1)) for _ in range(40)]
    assert 4 < failures.count(None) < 37
    failures = [check_bitmap(mutate_png(random.choice(pngs()), random)) for _ in range(100)]
    assert 10 < failures.count(None) < 90
    failures = [check_file(name, in_bytes(content, random)) for name, content in table_files().items()]
    assert failures.count(None) < len(failures)


DEEP = "[" * 400 + "]" * 400
FOUND: dict[str, tuple[str | bytes, str | None]] = {
    "integer of more than 64 bits as a coordinate": (
        '{"annotations":[{"id":1,"category_id":1,"type":"point","points":[[1,1000000000000000000000000]]}]}',
        None,
    ),
    "text that is no UTF-8 in a definition": (
        b'{"dataset":{"task_attributes":{"a":"\xff"},"samples":[{"labels":{}}]}}',
        "Expected UTF-8 text",
    ),
    "text that is no UTF-8 in the labelsets": (
        b'{"dataset":{"labelsets":["\xff"],"samples":[]}}',
        "Expected UTF-8 text",
    ),
    "text that is no UTF-8 beside the labels": (b'{"readme":"\xc0","labels":{"a":null}}', "Expected UTF-8 text"),
    "number beyond float64 in free JSON": (
        '{"annotations":[],"image_attributes":{"a":1e400}}',
        "Expected JSON columns",
    ),
}


@pytest.mark.parametrize(("document", "message"), FOUND.values(), ids=FOUND)
def test_what_fuzzing_found(document: str | bytes, message: str | None) -> None:
    failure = check_document(document.encode() if isinstance(document, str) else document)
    assert str(failure or "None").startswith(message or "None")


@pytest.mark.parametrize("depth", [10, 100, 300, 450, 600, 800, 950, 1_100, 100_000])
@pytest.mark.parametrize("where", ["attributes", "new", "image_attributes", "metadata", "link", "definition"])
def test_depth(where: str, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    object_ = '{"a":' * depth + "1" + "}" * depth
    for text in (deep, object_):
        document = {
            "attributes": f'{{"annotations":[{{"id":1,"category_id":1,"new":0,"attributes":{{"a":{text}}}}}]}}',
            "new": f'{{"annotations":[],"new":{text}}}',
            "image_attributes": f'{{"annotations":[],"image_attributes":{{"a":{text}}}}}',
            "metadata": f'{{"labels":{{}},"metadata":{{"a":{text}}}}}',
            "link": f'{{"annotations":[],"links":[{{"from_id":1,"to_id":2,"new":0,"attributes":{{"a":{text}}}}}]}}',
            "definition": f'{{"dataset":{{"task_attributes":{{"categories":[{{"id":1,"name":{text}}}]}}}}}}',
        }[where]
        failure = check_document(document.encode())
        assert failure is not None or depth < 1_000
        assert failure is None or depth > 100 or where == "definition"


def test_the_first_of_several_errors_is_the_one_that_is_raised() -> None:
    labels = [
        {"annotations": [{"id": 1, "category_id": 1, "type": "point", "points": [[1, "x"]]}]},
        {"annotations": [1]},
    ]
    sample = {"labels": {str(place): {"attributes": label} for place, label in enumerate(labels)}}
    with pytest.raises(al.DecodeError) as error:
        al.decode_labels([sample])
    assert (error.value.labelset, error.value.path) == ("0", "$.annotations[0].points[0][1]")


def test_a_flipped_bit_of_a_number_in_parquet() -> None:
    name = "cuboids/part-00000.parquet"
    content = table_files()[name]
    yaw = np.float64(al.read_parquet("memory://round-trip/tables").cuboids["yaw"][0].as_py()).tobytes()
    place = content.index(yaw)
    flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    failure = check_file(name, flipped)
    assert isinstance(failure, al.TargetError)
    assert "CRC" in str(failure)


PEAK = """
import resource, sys
from pathlib import Path
import arrow_labels as al
al.decode_labels([{"annotations": [{"id": 1, "category_id": 1, "new": 1}]}])
def peak():
    status = Path("/proc/self/status")
    if status.exists():  # what `getrusage` says begins with the memory of the process that started this one
        return next(int(line.split()[1]) * 1024 for line in status.open() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
"""
CHILD = f"""{PEAK}
before = peak()
try:
    tables = al.read_labels(sys.argv[1])
except al.ArrowLabelsError as error:
    print(error, file=sys.stderr)
print(peak() - before)
"""
CUBOID = (
    '{"id":1234567890123456789,"category_id":3,"type":"cuboid","position":{"x":1.123456789012345,"y":2.123456789012345,'
    '"z":3.123456789012345},"yaw":0.123456789012345}'
)


def many(count: int, *texts: str) -> Iterable[str]:
    """JSON items, the numbers in their places, with commas between them."""
    step = 10_000
    for start in range(0, count, step):
        items = [texts[number % len(texts)].replace("%", str(number)) for number in range(start, start + step)]
        yield ("," if start else "") + ",".join(items)


LARGE: dict[str, Iterable[str]] = {
    "100 MB of text in an attribute": (
        '{"annotations":[{"id":1,"category_id":1,"attributes":{"a":"',
        *["x" * 10**7] * 10,
        '"}}]}',
    ),
    "100 MB of text in an unknown member": ('{"annotations":[],"new":"', *["x" * 10**7] * 10, '"}'),
    "a million keys in an attribute": ('{"annotations":[],"image_attributes":{', many(10**6, '"k%":%'), "}}"),
    "a million unknown keys": ('{"annotations":[],', many(10**6, '"k%":%'), "}"),
    "a million levels": ('{"annotations":[],"new":', "[" * 10**6, "]" * 10**6, "}"),
    "a million annotations": ('{"annotations":[', many(10**6, ANNOTATION), "]}"),
    "a million annotations with wide values": ('{"annotations":[', many(10**6, CUBOID), "]}"),
    "many annotations with unknown members": (
        '{"annotations":[',
        many(10**5, '{"id":1,"category_id":1,"new":%}'),
        "]}",
    ),
    "many annotations, one a frame": ('{"frames":[', many(100_000, f'{{"annotations":[{ANNOTATION}]}}'), "]}"),
    "many empty frames, and an unknown member": ('{"new":1,"frames":[', many(300_000, "{}"), "]}"),
    "many empty links": ('{"annotations":[],"links":[', many(600_000, "{}"), "]}"),
    "many empty cameras": ('{"labels":{},"attributes":{"images":[', many(300_000, "{}"), "]}}"),
    "many empty samples": ('{"dataset":{"samples":[', many(150_000, "{}"), "]}}"),
    "a million points in one polygon": (
        '{"annotations":[{"id":1,"category_id":1,"type":"polygon","points":[',
        many(10**6, "[%.5,1]"),
        "]}]}",
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("w") as file:
        for part in LARGE[name]:
            file.writelines([part] if isinstance(part, str) else part)
    run = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 20 * path.stat().st_size + 100_000_000


LONG = "x" * 2_000_000
REPEATED: dict[str, str] = {
    "sample, by annotations": f'{{"uuid":"{LONG}","labels":{{"a":{{"attributes":{{"annotations":[%]}}}}}}}}',
    "sample, by frames": f'{{"uuid":"{LONG}","labels":{{"a":{{"attributes":{{"frames":[%]}}}}}}}}',
    "sample, by its frames": f'{{"uuid":"{LONG}","attributes":{{"frames":[%]}},"labels":{{}}}}',
    "sample, by cameras": f'{{"uuid":"{LONG}","attributes":{{"images":[%]}},"labels":{{}}}}',
    "labelset, by links": f'{{"labels":{{"{LONG}":{{"attributes":{{"annotations":[],"links":[%]}}}}}}}}',
    "sensor, by frames": f'{{"sensors":[{{"name":"{LONG}","attributes":{{"frames":[%]}}}}]}}',
    "category, by annotations": (
        f'{{"dataset":{{"task_attributes":{{"categories":[{{"id":1,"name":"{LONG}"}}]}},'
        '"samples":[{"labels":{"a":{"attributes":{"annotations":[%]}}}}]}}'
    ),
    "dataset, by samples": f'{{"dataset":{{"name":"{LONG}","samples":[%]}}}}',
    "dataset, by definitions": (
        f'{{"dataset":{{"name":"{LONG}","samples":[],"task_attributes":{{"image_attributes":[%]}}}}}}'
    ),
}


@pytest.mark.parametrize("document", REPEATED.values(), ids=REPEATED)
def test_a_long_name_that_many_rows_repeat(document: str) -> None:
    """2,000 rows of a name of 2 MB: 4 GB. A few of them are what they are."""
    items = ANNOTATION if '"annotations":[%]' in document else "{}"
    with pytest.raises(al.DecodeError, match="shorten"):
        al.decode_labels([document.replace("%", ",".join([items] * 2_000))])
    assert check_document(document.replace("%", ",".join([items] * 3)).encode()) is None


def test_names_that_are_too_long_end_no_other_label() -> None:
    long = {"uuid": LONG, "labels": {"a": {"attributes": {"frames": [{}] * 2_000}}}}
    other = {"uuid": "b", "labels": {"b": {"attributes": {"annotations": [{"id": 1, "category_id": 1}]}}}}
    tables = al.decode_labels([other, long, other], on_error="collect")
    assert tables.rejects["labelset"].to_pylist() == ["a"]
    assert tables.segments["sample_id"].to_pylist() == ["b", "b#2"]


READ_TABLES = f"""{PEAK}
al.read_parquet(sys.argv[1])
before = peak()
for target in sys.argv[2:]:
    try:
        list(al.encode_labels(al.read_parquet(target)))
    except al.ArrowLabelsError as error:
        print(type(error).__name__)
print(peak() - before)
"""


def many_dictionary_items(content: bytes) -> bytes:
    """A file whose first page, the values of a dictionary, states 2**31 - 1 of them."""
    header = rb"(\x15\x04\x15.\x15.\x4c\x15).(\x15\x00\x12\x00\x00)...."
    many = lambda found: found[1] + b"\xfe\xff\xff\xff\x0f" + found[2]  # noqa: E731
    changed, count = re.subn(header, many, content, count=1, flags=re.DOTALL)
    assert (count, len(changed)) == (1, len(content))
    return changed


def many_rows(content: bytes) -> bytes:
    """A file whose row group states 2**31 - 1 rows."""
    footer = read_footer(lambda start, end: content[start:end], len(content))
    (group,) = footer.groups
    rows = b"\x16" + bytes([2 * group.rows]) + b"\x26"
    assert sum(text.endswith(rows) for text in group.texts) == 1
    texts = [
        text.removesuffix(rows) + b"\x16\xfe\xff\xff\xff\x0f\x26" if text.endswith(rows) else text
        for text in group.texts
    ]
    sink = io.BytesIO()
    write_spliced(sink, [group._replace(texts=texts)], footer)
    return sink.getvalue()


def far_frames(content: bytes) -> bytes:
    """A file whose frames stand in the thousands of millions."""
    frames = pq.read_table(io.BytesIO(content))
    index = pa.array(range(2**31 - 1 - frames.num_rows, 2**31 - 1), pa.int32())
    sink = io.BytesIO()
    pq.write_table(frames.set_column(frames.column_names.index("frame_index"), "frame_index", index), sink)
    return sink.getvalue()


def test_memory_of_a_file_that_states_more_than_it_holds(tmp_path: Path) -> None:
    changes = [lambda content: content, many_dictionary_items, many_rows, far_frames]
    targets = [tmp_path / str(number) for number in range(len(changes))]
    name = "frames/part-00000.parquet"
    for target, change in zip(targets, changes, strict=True):
        al.write_parquet(al.decode_labels([release("pointcloud-cuboid-sequence", frames=2)]), target)
        file = io.BytesIO()
        pq.write_table(pq.read_table(target / name), file, compression="none")  # and without checksums
        content = change(file.getvalue())
        (target / name).write_bytes(content)
        manifest = json.loads((target / MANIFEST).read_bytes())
        manifest["tables"]["frames"][0]["bytes"] = len(content)
        (target / MANIFEST).write_text(json.dumps(manifest))
    command = [sys.executable, "-c", READ_TABLES, *map(str, targets)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    *errors, grown = run.stdout.split()
    assert errors == ["TargetError", "TargetError", "SchemaError"]
    assert int(grown) < 100_000_000
