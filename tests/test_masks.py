"""Bitmaps of frames become area, box and run lengths of segments."""

import json
import random
import traceback
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from faulty_server import Answer, Server, faulty_server
from generate import encode_png
from hypothesis import given, settings
from hypothesis import strategies as st

import arrow_labels as al
from arrow_labels import decode, mask_rows
from arrow_labels import fetch as fetching
from arrow_labels.bitmap import decode_bitmap
from arrow_labels.masks import COLUMNS, read_masks
from arrow_labels.schema import SCHEMAS

DATA = Path(__file__).parent / "data"
KEY = "5ecret"
Ids = npt.NDArray[np.uint32]
Json = dict[str, Any]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_FIRST_WAIT", 0.001)


@pytest.fixture
def store() -> Iterator[Any]:
    """An empty file system in memory."""
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    yield fs
    fs.store.clear()


@pytest.fixture
def serve() -> Iterator[Callable[[dict[str, Any]], Server]]:
    running = []

    def start(answers: dict[str, Any]) -> Server:
        found = {path: item if isinstance(item, list) else [item] for path, item in answers.items()}
        server = faulty_server(found)
        running.append(server)
        return server.__enter__()

    yield start
    for server in running:
        server.__exit__(None, None, None)


def bitmap(*rows: list[int]) -> Ids:
    return np.array(rows, dtype=np.uint32)


def png(*rows: list[int]) -> bytes:
    return encode_png(bitmap(*rows))


def frame(url: str | None, *ids: int | tuple[int | None, int | None]) -> Json:
    """A frame with a bitmap, and segments of these ids (or ids and track ids)."""
    pairs = [one if isinstance(one, tuple) else (one, None) for one in ids]
    made = [{"id": one, "track_id": track, "category_id": 0} for one, track in pairs]
    return {"annotations": made, "segmentation_bitmap": {"url": url}}


def sequence(*frames: Json) -> Json:
    return {"frames": list(frames)}


def slow_masks(ids: Ids, one: int) -> Json:
    """What the bitmap says of one id, a pixel at a time."""
    height, width = ids.shape
    pixels = [(x, y) for x in range(width) for y in range(height) if ids[y, x] == one]
    counts, before = [0], False
    for inside in (bool(ids[y, x] == one) for x in range(width) for y in range(height)):
        if inside != before:
            counts.append(0)
            before = inside
        counts[-1] += 1
    xs, ys = [x for x, _ in pixels], [y for _, y in pixels]
    box = (min(xs), min(ys), max(xs) + 1, max(ys) + 1) if pixels else (None,) * 4
    rle = {"height": height, "width": width, "counts": counts}
    return dict(zip(COLUMNS, (len(pixels), *box, rle), strict=True))


NOTHING = dict.fromkeys(COLUMNS)


def masks_of(tables: al.LabelTables) -> list[Json]:
    rows: list[Json] = tables.segments.select(list(COLUMNS)).to_pylist()
    return rows


def found(tables: al.LabelTables) -> list[tuple[Any, ...]]:
    """Rule, frame, annotation, value of each finding."""
    rows = tables.findings.to_pylist()
    assert {row["severity"] for row in rows} <= {"warning"}
    return [(row["rule"], row["frame_index"], row["annotation_index"], row["value"]) for row in rows]


@pytest.mark.parametrize("name", ["street", "drive"])
def test_a_release(name: str) -> None:
    folder = DATA / name
    tables = al.read_labels(folder)
    done = read_masks(tables)
    assert done.segments.drop_columns(COLUMNS) == tables.segments.drop_columns(COLUMNS)
    assert all(table == tables[other] for other, table in done if other != "segments")
    assert done.segments.schema.equals(SCHEMAS["segments"])
    urls = {
        (row["sample_id"], row["labelset"], row["sensor_index"], row["frame_index"]): row["bitmap_url"]
        for row in tables.frames.to_pylist()
    }
    seen = 0
    for row in done.segments.to_pylist():
        url = urls[row["sample_id"], row["labelset"], row["sensor_index"], row["frame_index"]]
        masks = {column: row[column] for column in COLUMNS}
        if url is None:
            assert masks == NOTHING
            continue
        seen += 1
        ids = decode_bitmap((folder / url).read_bytes())
        assert masks["area"] == np.count_nonzero(ids == row["id"])
        if seen % 20 == 1:
            assert masks == slow_masks(ids, row["id"])
    assert seen > 40


def test_any_order_of_rows(store: Any) -> None:
    store.pipe({f"/b/{n}.png": png([n, 0, 7], [n, n, 9]) for n in range(5)})
    label = sequence(*(frame(f"{n}.png", 7, n, 9) for n in range(5)))
    tables = al.decode_labels([label])
    order = random.Random(3).sample(range(15), 15)
    shuffled = al.LabelTables(
        **{name: table for name, table in tables if name != "segments"}, segments=tables.segments.take(order)
    )
    expected = read_masks(tables, base="memory://b").segments
    assert read_masks(shuffled, base="memory://b").segments.equals(expected.take(order))
    assert expected["area"].to_pylist() == [area for n in range(5) for area in (1, 3 if n else 0, 1)]


def test_which_pixels_a_segment_has(store: Any) -> None:
    ids = bitmap([1, 2, 3], [1, 2, 16_777_215], [0, 0, 5])
    store.pipe("/b/1.png", encode_png(ids))
    carried = [(1, None), (None, 2), (3, 1), (1, 7), (2**40, None), (-1, None), (0, None), (16_777_215, 4)]
    tables = read_masks(al.decode_labels([frame("1.png", *carried)]), base="memory://b")
    values = [1, 2, 3, 1, None, None, None, 16_777_215]
    assert masks_of(tables) == [slow_masks(ids, -1 if value is None else value) for value in values]
    assert tables.segments["rle"][4].as_py() == {"height": 3, "width": 3, "counts": [9]}
    assert found(tables) == [
        ("no-pixels", 0, 4, str(2**40)),
        ("no-pixels", 0, 5, "-1"),
        ("no-pixels", 0, 6, "0"),
        ("unlisted-pixels", 0, None, "5"),
    ]
    first, *_, last = tables.findings.to_pylist()
    assert (first["sample_id"], first["labelset"], first["sensor_index"], first["track_id"]) == (
        "0",
        "ground-truth",
        0,
        2**40,
    )
    assert first["message"] == f"Expected pixels of id {2**40} in the bitmap, got none"
    assert last["message"] == "Expected an annotation of id 5, got none: the bitmap has 1 pixels of it"
    assert last["track_id"] is None


def test_annotations_with_a_geometry_carry_ids_too(store: Any) -> None:
    store.pipe("/b/1.png", png([1, 2]))
    label = frame("1.png", 1)
    label["annotations"].append({"id": 2, "category_id": 0, "type": "bbox", "points": [[0, 0], [1, 1]]})
    tables = read_masks(al.decode_labels([label]), base="memory://b")
    assert found(tables) == []
    assert tables.segments.num_rows == 1


def test_frames_without_a_bitmap(store: Any) -> None:
    store.pipe("/b/1.png", png([1, 1]))
    frames = [frame(None, 1), frame("", 1), frame("1.png", 1), {"annotations": [{"id": 1, "category_id": 0}]}]
    tables = al.decode_labels([sequence(*frames), {"annotations": [{"id": 1, "category_id": 0}]}])
    done = read_masks(tables, base="memory://b")
    assert done.segments["area"].to_pylist() == [None, None, 2, None, None]
    assert masks_of(done)[0] == NOTHING
    again = read_masks(done, base="memory://b")
    assert again.segments == done.segments
    for nothing in (al.LabelTables(), al.decode_labels([sequence(*frames[:2])])):
        assert read_masks(nothing) == nothing


def test_what_is_there_stays_where_nothing_is_read(store: Any) -> None:
    store.pipe("/b/1.png", png([1, 1]))
    tables = read_masks(al.decode_labels([sequence(frame("1.png", 1), frame("1.png", 1))]), base="memory://b")
    urls = pa.array(["2.png", None])
    place = tables.frames.column_names.index("bitmap_url")
    frames = tables.frames.set_column(place, SCHEMAS["frames"].field("bitmap_url"), urls)
    changed = al.LabelTables(**{name: table for name, table in tables if name != "frames"}, frames=frames)
    done = read_masks(changed, base="memory://b", on_error="collect")
    assert done.segments == tables.segments
    assert done.rejects.num_rows == 1


def test_a_url_is_fetched_once(serve: Callable[..., Server]) -> None:
    ids = bitmap([1, 2], [2, 2])
    server = serve({"/a.png": Answer(encode_png(ids)), "/b.png": Answer(encode_png(ids))})
    labels = [sequence(frame("a.png", 1), frame(f"{server.url}/a.png", 2, 3)), frame("./a.png", 1, 2), frame("b.png")]
    done = read_masks(al.decode_labels(labels), base=server.url)
    assert sorted(server.paths()) == ["/a.png", "/b.png"]
    assert masks_of(done) == [slow_masks(ids, one) for one in (1, 2, 3, 1, 2)]
    assert found(done) == [
        ("no-pixels", 1, 1, "3"),
        ("unlisted-pixels", 0, None, "2"),
        ("unlisted-pixels", 1, None, "1"),
        ("unlisted-pixels", 0, None, "1"),
        ("unlisted-pixels", 0, None, "2"),
    ]


@pytest.mark.parametrize("columns", [["area"], ["rle"], ("ymax", "xmin"), COLUMNS])
def test_columns(columns: Any) -> None:
    tables = al.read_labels(DATA / "street")
    full, some = read_masks(tables), read_masks(tables, columns=columns)
    for name in COLUMNS:
        assert some.segments[name] == (full if name in columns else tables).segments[name]


def test_long_columns_are_cut_into_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = al.read_labels(DATA / "street")
    whole = read_masks(tables)
    monkeypatch.setattr(mask_rows, "_ROWS", 7)
    cut = read_masks(tables)
    assert cut.segments["rle"].num_chunks > 6
    assert cut == whole


bitmaps = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(st.integers(0, 4), min_size=width, max_size=width), min_size=1, max_size=5)
)


@settings(max_examples=60)
@given(st.lists(st.tuples(bitmaps, st.lists(st.integers(0, 5), max_size=4)), max_size=4))
def test_any_labels(images: list[tuple[list[list[int]], list[int]]]) -> None:
    fs = fsspec.filesystem("memory")
    labels, expected, rules = [], [], []
    for number, (rows, ids) in enumerate(images):
        image = bitmap(*rows)
        fs.pipe(f"/any/{number}.png", encode_png(image))
        labels.append(frame(f"{number}.png", *ids))
        expected += [slow_masks(image, one or -1) for one in ids]
        present = set(image.ravel().tolist()) - {0}
        rules += [("no-pixels", str(number), str(one)) for one in ids if one not in present]
        rules += [("unlisted-pixels", str(number), str(one)) for one in present - set(ids)]
    done = read_masks(al.decode_labels(labels), base="memory://any", concurrency=3)
    assert masks_of(done) == expected
    rows_found = [(row["rule"], row["sample_id"], row["value"]) for row in done.findings.to_pylist()]
    assert sorted(rows_found) == sorted(rules)


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def wide(width: int, height: int) -> bytes:
    """The start of a PNG that declares these sides."""
    header = b"IHDR" + width.to_bytes(4) + height.to_bytes(4) + bytes([8, 6, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4) + header + zlib.crc32(header).to_bytes(4)


WRONG: dict[str, tuple[Answer, type[al.ArrowLabelsError], str]] = {
    "expired": (Answer(b"<Error>", 403), al.FetchError, "403 Forbidden: the signed URL has perhaps expired"),
    "missing": (Answer(status=404), al.FetchError, "404 Not Found"),
    "busy": (Answer(status=503), al.FetchError, r"503 Service Unavailable \(attempt 2 of 2\)"),
    "dropped": (Answer(dropped=True), al.FetchError, "got a dropped connection"),
    "html": (Answer(b"<!DOCTYPE html><html>Log in"), al.BitmapError, "got an HTML page"),
    "xml": (Answer(b"<?xml version='1.0'?><Error/>"), al.BitmapError, "got an XML document"),
    "empty": (Answer(), al.BitmapError, "got no bytes"),
    "truncated": (Answer(cut(png([1, 2]))), al.BitmapError, "cut off"),
    "pixels": (Answer(wide(20_000, 20_000)), al.BitmapError, r"at most 1,000 pixels \(`max_pixels`\), got 20,000 x"),
    "bytes": (Answer(bytes(4000), endless=True), al.FetchError, r"at most 3,000 bytes \(`max_bytes`\), got more"),
    "redirect": (Answer(status=302, headers={"Location": "file:///etc/passwd"}), al.FetchError, "one to `file:`"),
    "size": (Answer(png([1], [2])), al.BitmapError, "Expected a bitmap of 2 x 1 pixels, as the others .* got 1 x 2"),
}


@pytest.mark.parametrize(("answer", "kind", "message"), WRONG.values(), ids=WRONG)
def test_bitmaps_that_fail(
    serve: Callable[..., Server], answer: Answer, kind: type[al.ArrowLabelsError], message: str
) -> None:
    server = serve({"/fine.png": Answer(png([1, 0])), "/wrong.png": answer})
    signed = server.url.replace("//", f"//user:{KEY}@") + f"/wrong.png?X-Amz-Signature={KEY}"
    fine = frame(f"{server.url}/fine.png", 1)
    tables = al.decode_labels([{"attributes": sequence(fine, frame(signed, 1), fine), "sample_uuid": "s1"}])
    options: Json = {"retries": 1, "max_pixels": 1000, "max_bytes": 3000}
    with pytest.raises(kind, match=message) as raised:
        read_masks(tables, **options)
    where = f"at `$.frames[1].segmentation_bitmap.url` in {server.url}/wrong.png"
    assert str(raised.value).endswith(f" - {where} (sample s1, labelset ground-truth, frame 1)")
    assert KEY not in "".join(traceback.format_exception(raised.value))

    done = read_masks(tables, **options, on_error="collect")
    assert done.segments["area"].to_pylist() == [1, None, 1]
    assert done.findings.num_rows == 0
    (reject,) = done.rejects.to_pylist()
    error = reject.pop("error")
    assert str(raised.value) == f"{error} - {where} (sample s1, labelset ground-truth, frame 1)"
    assert reject == {
        "source": f"{server.url}/wrong.png",
        "sample_id": "s1",
        "labelset": "ground-truth",
        "path": "$.frames[1].segmentation_bitmap.url",
    }
    assert KEY not in repr(done.rejects.to_pylist() + done.findings.to_pylist())


def test_paths_of_what_fails() -> None:
    inner = {
        "name": "back",
        "task_type": "image-segmentation-sequence",
        "attributes": sequence(frame(None), frame("b.png")),
    }
    lone = {"name": "front", "task_type": "segmentation-bitmap", "attributes": frame("a.png")}
    labels = [frame("a.png"), sequence(frame("a.png")), {"sensors": [lone, inner]}]
    tables = al.decode_labels(labels)
    done = read_masks(tables, on_error="collect", base="memory://nothing")
    assert done.rejects["path"].to_pylist() == [
        "$.segmentation_bitmap.url",
        "$.frames[0].segmentation_bitmap.url",
        "$.sensors[0].attributes.segmentation_bitmap.url",
        "$.sensors[1].attributes.frames[1].segmentation_bitmap.url",
    ]
    assert set(done.rejects["error"].to_pylist()) == {"Expected a file, got nothing"}
    assert done.rejects["source"][3].as_py() == "memory://nothing/b.png"
    with pytest.raises(al.FetchError, match=r"\(sample 0, labelset ground-truth, sensor front, frame 0\)$"):
        read_masks(al.decode_labels(labels[2:]), base="memory://nothing")


def test_rejects_come_after_those_that_are_there() -> None:
    broken = {"annotations": [{"id": "x", "category_id": 0}]}
    tables = al.decode_labels([broken, frame("a.png")], on_error="collect")
    done = read_masks(tables, on_error="collect")
    assert done.rejects["sample_id"].to_pylist() == ["0", "1"]
    assert done.rejects.slice(0, 1) == tables.rejects


def test_again(store: Any) -> None:
    """What failed is tried again; what an earlier call said of the same frames is not said twice."""
    store.pipe("/b/3.png", png([0, 7], [7, 9]))
    lone = {"name": "front", "task_type": "segmentation-bitmap", "attributes": frame("late.png", 7, 8)}
    labels = [frame("3.png", 7, 8), sequence(frame("3.png", 5), frame("late.png", 7, 8)), {"sensors": [lone]}]
    one = read_masks(al.decode_labels(labels), on_error="collect")
    assert (one.rejects.num_rows, one.findings.num_rows) == (4, 0)
    two = read_masks(one, base="memory://b", on_error="collect")  # the URLs lead elsewhere now
    assert two.rejects["path"].to_pylist() == [
        "$.frames[1].segmentation_bitmap.url",
        "$.sensors[0].attributes.segmentation_bitmap.url",
    ]
    assert two.findings.num_rows == 5
    three = read_masks(two, base="memory://b", on_error="collect")
    assert three == two
    store.pipe("/b/late.png", png([7, 7], [7, 7]))
    store.rm("/b/3.png")
    four = read_masks(three, base="memory://b", on_error="collect")
    assert four.segments["area"].to_pylist() == [2, 0, 0, 4, 0, 4, 0]
    assert four.findings.slice(0, 5) == two.findings, "those of bitmaps that are gone stay, as their masks do"
    assert [row[:2] for row in found(four)[5:]] == [("no-pixels", 1), ("no-pixels", 0)]
    assert four.rejects["sample_id"].to_pylist() == ["0", "1"]
    store.pipe("/b/3.png", png([0, 7], [7, 9]))
    assert read_masks(four, base="memory://b").rejects.num_rows == 0


def test_what_others_found_and_rejected_stays(store: Any) -> None:
    store.pipe("/b/a.png", png([1]))
    wrong = {"annotations": [], "segmentation_bitmap": {"url": 5}}
    broken = [{"sample_uuid": "s", "attributes": wrong}, {"annotations": [{"id": "x", "category_id": 0}]}]
    tables = al.decode_labels([*broken, {"sample_uuid": "s", "attributes": frame("a.png", 2)}], on_error="collect")
    # Decoding rejected a document of the same key, at the path of the bitmap.
    rejects = [{**row, "labelset": "ground-truth"} for row in tables.rejects.to_pylist()]
    assert (rejects[0]["sample_id"], rejects[0]["path"]) == ("s", "$.segmentation_bitmap.url")
    one = dict.fromkeys(SCHEMAS["findings"].names)
    key = {"sample_id": "s", "labelset": "ground-truth", "sensor_index": 0, "frame_index": 0}
    findings = [
        {**one, **key, "rule": "duplicate-id"},
        {**one, **key, "rule": "no-pixels", "frame_index": 1},
        {**one, **key, "rule": "unlisted-pixels", "sample_id": "t"},
    ]
    tables = al.LabelTables(
        **{
            **dict(tables),
            "rejects": pa.Table.from_pylist(rejects, SCHEMAS["rejects"]),
            "findings": pa.Table.from_pylist(findings, SCHEMAS["findings"]),
        }
    )
    done = read_masks(read_masks(tables, base="memory://b"), base="memory://b")
    assert done.rejects == tables.rejects
    assert done.findings.slice(0, 3) == tables.findings
    assert done.findings["rule"].to_pylist()[3:] == ["no-pixels", "unlisted-pixels"]


def test_the_first_that_fails_is_the_one_that_is_told(serve: Callable[..., Server]) -> None:
    server = serve({"/0.png": Answer(png([1])), "/1.png": Answer(status=404, wait=0.2), "/2.png": Answer(status=410)})
    tables = al.decode_labels([sequence(*(frame(f"{server.url}/{number}.png") for number in range(3)))])
    with pytest.raises(al.FetchError, match="404 Not Found"):
        read_masks(tables)


def test_one_frame_refuses_many_pixels_only_if_told(store: Any) -> None:
    store.pipe("/b/1.png", png([1] * 30))
    tables = al.decode_labels([frame("1.png", 1)])
    for limit in (30, None):
        assert read_masks(tables, base="memory://b", max_pixels=limit).segments["area"].to_pylist() == [30]
    with pytest.raises(al.BitmapError, match="at most 29 pixels"):
        read_masks(tables, base="memory://b", max_pixels=29)
    with pytest.raises(al.FetchError, match="at most 10 bytes"):
        read_masks(tables, base="memory://b", max_bytes=10)


def test_a_photograph(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_rows, "_MAX_IDS", 3)
    store.pipe({"/b/1.png": png([0, 1, 2, 3]), "/b/2.png": png([1, 2, 3, 4])})
    assert read_masks(al.decode_labels([frame("1.png")]), base="memory://b").findings.num_rows == 3
    with pytest.raises(al.BitmapError, match="at most 3 ids, got 4: is it a photograph"):
        read_masks(al.decode_labels([frame("2.png")]), base="memory://b")


SIZES: dict[str, tuple[list[str], list[int]]] = {
    "most": (["ab", "cd", "ab"], [1]),
    "most, later": (["ab", "cd", "cd"], [0]),
    "as many": (["ab", "cd", "cd", "ab"], [1, 2]),
    "as many of three": (["ef", "cd", "ab"], [1, 2]),
    "all": (["ab", "ab"], []),
}


@pytest.mark.parametrize(("sizes", "wrong"), SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("late", [0, 1, 2])
def test_siblings(serve: Callable[..., Server], sizes: list[str], wrong: list[int], late: int) -> None:
    images = {"ab": png([1, 1]), "cd": png([1], [1]), "ef": png([1])}
    server = serve(
        {f"/{n}.png": Answer(images[size], wait=0.05 * (n == late)) for n, size in enumerate(sizes)},
    )
    label = sequence(*(frame(f"{n}.png", 1) for n in range(len(sizes))))
    done = read_masks(al.decode_labels([label]), base=server.url, on_error="collect")
    assert [path[9] for path in done.rejects["path"].to_pylist()] == [str(n) for n in wrong]
    assert [area is None for area in done.segments["area"].to_pylist()] == [n in wrong for n in range(len(sizes))]


def test_who_is_a_sibling(store: Any) -> None:
    store.pipe({"/b/wide.png": png([1, 1]), "/b/high.png": png([1], [1])})

    def sensor(name: str | None, *urls: str) -> Json:
        kind = "image-segmentation-sequence"
        return {"name": name, "task_type": kind, "attributes": sequence(*(frame(url, 1) for url in urls))}

    wide, high = "wide.png", "high.png"
    fine = {"sensors": [sensor("a", wide, wide), sensor("b", high), sensor(None, wide), sensor(None, high)]}
    done = read_masks(al.decode_labels([fine, frame(high, 1)]), base="memory://b")
    assert done.segments["area"].null_count == 0
    sample = {
        "uuid": "s",
        "labels": {
            name: {"label_status": "LABELED", "attributes": frame(url, 1)}
            for name, url in (("ground-truth", wide), ("other", high), ("third", high))
        },
    }
    done = read_masks(al.decode_labels([sample]), base="memory://b", on_error="collect")
    assert done.rejects["labelset"].to_pylist() == ["ground-truth"]


def test_local_documents_and_their_folders(tmp_path: Path) -> None:
    for name, ids in (("a", [1, 1]), ("b", [1, 0])):
        (tmp_path / name / "png").mkdir(parents=True)
        (tmp_path / name / "png" / "1.png").write_bytes(png(ids))
        (tmp_path / name / "label.json").write_text(json.dumps(frame("png/1.png", 1)))
    (tmp_path / "c.json").write_text(json.dumps(frame("../a.png", 1)))
    (tmp_path / "d.json").write_text(json.dumps(frame("file:///etc/passwd", 1)))
    (tmp_path / "e.json").write_text(json.dumps(frame("/dev/zero", 1)))
    tables = al.read_labels(tmp_path)
    done = read_masks(tables, on_error="collect")
    assert dict(zip(done.segments["sample_id"].to_pylist(), done.segments["area"].to_pylist(), strict=True)) == {
        "a/label": 2,
        "b/label": 1,
        "c": None,
        "d": None,
        "e": None,
    }
    assert done.rejects["sample_id"].to_pylist() == ["c", "d", "e"]
    assert all("got one outside" in error for error in done.rejects["error"].to_pylist())
    assert done.rejects["source"].to_pylist() == ["../a.png", "file:///etc/passwd", "/dev/zero"]
    with pytest.raises(al.FetchError, match="got one outside - at `.*` in ../a.png"):
        read_masks(tables)
    moved = read_masks(tables, on_error="collect", base=tmp_path / "b")
    assert moved.segments["area"].to_pylist()[:2] == [1, 1]


def test_labels_of_one_key_have_no_folder(tmp_path: Path) -> None:
    """Or a stranger's document could take the key of a local one, and with it the folder."""
    (tmp_path / "1.png").write_bytes(png([1]))
    (tmp_path / "s.json").write_text(json.dumps(frame(None, 1)))
    stranger = {"attributes": sequence(frame(None, 1), frame("1.png", 1)), "sample_uuid": "s"}
    both = al.LabelTables.concat([al.read_labels(tmp_path / "s.json"), al.decode_labels([stranger])])
    with pytest.raises(al.FetchError, match="Expected a whole URL, got a relative one"):
        read_masks(both)
    (tmp_path / "2.png").write_bytes(png([1, 2, 3]))
    one = al.decode_labels([{"sample_uuid": "s", "attributes": frame("2.png", 1, 4)}])
    twice = read_masks(al.LabelTables.concat([one, one]), base=tmp_path)
    assert twice.segments["area"].to_pylist() == [1, 0, 1, 0]
    assert [value for rule, *_, value in found(twice) if rule == "unlisted-pixels"] == ["2", "3"]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "zip://a.png::file:///etc/a.zip", "ftp://h/a.png", "a.png"])
def test_documents_from_elsewhere(url: str) -> None:
    """Nothing is asked of anybody; the URL may be as long as it likes."""
    tables = al.decode_labels([frame(f"{url}?sig={KEY}{'x' * 10_000}", 1)])
    done = read_masks(tables, on_error="collect")
    (reject,) = done.rejects.to_pylist()
    assert reject["source"] == url
    assert KEY not in repr(reject)
    long = read_masks(al.decode_labels([frame(f"data:image/png;base64,{'x' * 10_000}")]), on_error="collect")
    assert len(long.rejects["source"][0].as_py()) < 400


def test_bitmaps_through_faults(serve: Callable[..., Server]) -> None:
    rng = random.Random(5)
    images = [np.array([[rng.randrange(5) for _ in range(40)] for _ in range(30)], np.uint32) for _ in range(40)]
    faults = [Answer(status=500), Answer(dropped=True), Answer(status=429), Answer(b"abc", length=50), Answer(wait=0.6)]
    answers: dict[str, Any] = {}
    for number, image in enumerate(images):
        before = rng.sample(faults, number % 3)
        answers[f"/{number}.png"] = [*before, Answer(encode_png(image), wait=rng.random() / 50)]
    server = serve(answers)
    label = sequence(*(frame(f"{number}.png", 1, 2, 3, 4) for number in range(40)))
    seen: list[tuple[int, int]] = []
    done = read_masks(
        al.decode_labels([label]),
        base=server.url,
        concurrency=8,
        timeout=0.5,
        retries=8,
        progress=lambda *both: seen.append(both),
    )
    assert masks_of(done) == [slow_masks(image, one) for image in images for one in (1, 2, 3, 4)]
    assert (done.rejects.num_rows, done.findings.num_rows) == (0, 0)
    assert set(server.paths()) == set(answers)
    assert len(server.asked) >= 40 + sum(number % 3 for number in range(40))
    assert server.peak <= 8 + sum(answer.wait > 0.5 for given in answers.values() for answer in given)
    assert seen == [(number, 40) for number in range(1, 41)]


@pytest.mark.parametrize("batch_bytes", [1, 20_000, 1 << 30])
def test_streamed(batch_bytes: int) -> None:
    expected = read_masks(al.read_labels(DATA / "street"))
    parts = list(al.iter_labels(DATA / "street", masks=True, batch_bytes=batch_bytes))
    assert al.LabelTables.concat(parts) == expected
    assert len(parts) in {1: [7], 20_000: range(2, 7)}.get(batch_bytes, [1])
    assert al.read_labels(DATA / "street", masks=True) == expected


def test_masks_count_as_much_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is done when the JSON and the masks together are enough bytes."""
    noise = np.random.default_rng(1).integers(1, 3, (100, 100)).astype(np.uint32)
    (tmp_path / "1.png").write_bytes(encode_png(noise))
    (tmp_path / "labels.jsonl").write_bytes(b"\n".join(json.dumps(frame("1.png", 1, 2)).encode() for _ in range(20)))
    monkeypatch.setattr(decode, "CHUNK_BYTES", 1)
    parts = list(al.iter_labels(tmp_path / "labels.jsonl", masks=True, batch_bytes=100_000))
    (one,) = {part.segments.num_rows // 2 for part in parts[:-1]}
    size = read_masks(al.read_labels(tmp_path / "labels.jsonl")).nbytes // 20
    assert size > 20_000
    assert one <= 100_000 // size + 1 < 20
    assert len(list(al.iter_labels(tmp_path / "labels.jsonl", batch_bytes=100_000))) == 1


def test_streamed_options(store: Any) -> None:
    store.pipe(
        {"/b/1.png": png([1, 1]), "/b/a.json": json.dumps(sequence(frame("1.png", 1), frame("2.png", 1))).encode()}
    )
    with pytest.raises(al.FetchError, match=r"Expected a file, got nothing - at `\$.frames\[1\]"):
        list(al.iter_labels("memory://b/a.json", masks=True))
    seen: list[Any] = []
    done = al.read_labels(
        "memory://b/a.json",
        masks=True,
        on_error="collect",
        mask_options={"columns": ["area"], "progress": lambda *both: seen.append(both)},
    )
    assert done.segments["area"].to_pylist() == [2, None]
    assert done.segments["rle"].null_count == 2
    assert done.rejects["path"].to_pylist() == ["$.frames[1].segmentation_bitmap.url"]
    assert seen == [(1, 2), (2, 2)]
    with pytest.raises(ValueError, match="mask_options: expected them with masks=True only"):
        al.read_labels("memory://b/a.json", mask_options={"columns": ["area"]})


@pytest.mark.parametrize("tables", [["segments"], ["frames", "findings"], ["samples"]])
def test_streamed_tables(tables: list[str]) -> None:
    whole = al.read_labels(DATA / "street", masks=True)
    some = al.read_labels(DATA / "street", masks=True, tables=tables)
    for name, table in some:
        assert table == (whole[name] if name in tables else SCHEMAS[name].empty_table())


OPTIONS: dict[str, tuple[Json, str]] = {
    "columns": ({"columns": ["box"]}, "columns: expected names out of area, xmin, ymin, xmax, ymax, rle, got box"),
    "no columns": ({"columns": []}, "columns: expected names out of area, xmin, ymin, xmax, ymax, rle, got none"),
    "text for columns": ({"columns": "rle"}, "columns: expected a collection of names, got the text 'rle'"),
    "text for protocols": ({"protocols": "https"}, "protocols: expected a collection of names, got the text"),
    "file": ({"protocols": ["file"]}, "protocols: expected those of URLs, got that of local paths: base= says"),
    "concurrency": ({"concurrency": 0}, "concurrency: expected a positive number, got 0"),
    "retries": ({"retries": -1}, "retries: expected 0 or a positive number, got -1"),
    "timeout": ({"timeout": 0}, "timeout: expected a positive number of seconds, got 0"),
    "on_error": ({"on_error": "skip"}, 'on_error: expected "raise" or "collect", got \'skip\''),
    "base": ({"base": "zip://::a.zip"}, "base: expected a folder or a URL, got a chain of file systems"),
}


@pytest.mark.parametrize(("options", "message"), OPTIONS.values(), ids=OPTIONS)
def test_wrong_options(options: Json, message: str) -> None:
    with pytest.raises(ValueError, match=".") as raised:
        read_masks(al.decode_labels([frame("1.png")]), **options)
    assert str(raised.value).startswith(message)
