"""One bitmap at a place that the caller names; and bitmaps in a store that speaks S3."""

import os
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import pytest
from faulty_server import Answer, faulty_server
from moto.server import ThreadedMotoServer

import arrow_labels as al
from arrow_labels import fetch as fetching
from arrow_labels.bitmap import decode_bitmap, encode_bitmap
from arrow_labels.bitmap_files import read_bitmap, write_bitmap
from arrow_labels.masks import read_masks

KEY = "5ecret"
IDS = np.array([[0, 1, 2], [300, 70_000, 16_777_215]], np.uint32)
PNG = encode_bitmap(IDS)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_FIRST_WAIT", 0.001)


def same(found: npt.NDArray[np.uint32]) -> bool:
    return found.dtype == np.uint32 and bool(np.array_equal(found, IDS))


def test_bytes() -> None:
    assert same(read_bitmap(PNG))
    with pytest.raises(al.BitmapError, match="at most 5 pixels"):
        read_bitmap(PNG, max_pixels=5)


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (tmp_path / "a.png", str(tmp_path / "b.png"), f"file://{tmp_path}/c.png", tmp_path / "new" / "d.png"):
        write_bitmap(IDS, place)
        assert same(read_bitmap(place))
    monkeypatch.chdir(tmp_path)
    assert same(read_bitmap("a.png"))
    write_bitmap([[7]], "a.png")
    assert read_bitmap("a.png").tolist() == [[7]]
    assert decode_bitmap((tmp_path / "new" / "d.png").read_bytes()).shape == (2, 3)


def test_other_file_systems(tmp_path: Path) -> None:
    write_bitmap(IDS, "memory://files/a.png")
    assert same(read_bitmap("memory://files/a.png"))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/a.png", PNG)
    assert same(read_bitmap(f"zip://in/a.png::{tmp_path}/a.zip"))
    fsspec.get_filesystem_class("zip").clear_instance_cache()  # it keeps the archive open


def test_http() -> None:
    answers = {
        "/a.png": [Answer(status=500), Answer(dropped=True), Answer(PNG)],
        "/b.png": [Answer(status=302, headers={"Location": "/a.png"})],
        "/no.png": [Answer(status=403)],
    }
    with faulty_server(answers) as server:
        assert same(read_bitmap(f"{server.url}/a.png?x=%7e"))
        assert server.paths() == ["/a.png?x=%7e"] * 3
        assert same(read_bitmap(f"{server.url}/b.png", storage_options={"headers": {"X-Key": KEY}}))
        assert server.asked[-1].headers["x-key"] == KEY
        with pytest.raises(al.FetchError) as raised:
            read_bitmap(server.url.replace("//", f"//me:{KEY}@") + f"/no.png?sig={KEY}", retries=0)
        assert str(raised.value).endswith(f"the signed URL has perhaps expired - at {server.url}/no.png")


def test_places_that_fail(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("<html>Log in")
    with pytest.raises(al.BitmapError, match=f"Expected a PNG image, got an HTML page - at {tmp_path}/a.png"):
        read_bitmap(tmp_path / "a.png")
    with pytest.raises(al.FetchError, match=f"Expected a file, got nothing - at {tmp_path}/b.png"):
        read_bitmap(tmp_path / "b.png")
    with pytest.raises(al.FetchError, match=f"Expected a .* - at {tmp_path}$"):
        read_bitmap(tmp_path)
    with pytest.raises(al.FetchError, match="got Protocol not known: nowhere"):
        read_bitmap(f"nowhere://a.png?{KEY}={KEY}")
    with pytest.raises(al.FetchError, match="got Protocol not known: nowhere"):
        write_bitmap(IDS, "nowhere://a.png")
    with pytest.raises(al.BitmapError, match="Expected ids from 0 to 16777215, got -1"):
        write_bitmap([[-1]], tmp_path / "c.png")
    for target in (tmp_path, tmp_path / "a.png" / "c.png", f"http://me:{KEY}@127.0.0.1:9/c.png?sig={KEY}"):
        with pytest.raises(al.TargetError, match="Expected a target that can be written, got .* - at ") as raised:
            write_bitmap(IDS, target)
        assert KEY not in str(raised.value)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Options of a store that speaks S3; nothing in the environment has them."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"key": "key", "secret": KEY, "endpoint_url": f"http://{host}:{port}"}
    fs = fsspec.filesystem("s3", **options)
    fs.mkdir("labels")
    yield options
    reset = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset).close()  # servers of one process share what they store
    server.stop()


def label(*urls: str) -> dict[str, Any]:
    frames = [{"annotations": [{"id": 2, "category_id": 0}], "segmentation_bitmap": {"url": url}} for url in urls]
    return {"frames": frames}


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_s3(bucket: dict[str, Any]) -> None:
    for number in range(20):
        ids = np.full((2, 30), 1, np.uint32)
        ids[0, :number] = 2
        write_bitmap(ids, f"s3://labels/v1/{number}.png", storage_options=bucket)
    assert read_bitmap("s3://labels/v1/3.png", storage_options=bucket)[0].tolist() == [2] * 3 + [1] * 27
    with pytest.raises(al.FetchError, match="Expected a file, got nothing - at s3://labels/no.png"):
        read_bitmap("s3://labels/no.png", storage_options=bucket)

    whole = al.decode_labels([label(*(f"s3://labels/v1/{number}.png" for number in range(20)))])
    done = read_masks(whole, storage_options=bucket)
    assert done.segments["area"].to_pylist() == list(range(20))
    with pytest.raises(al.FetchError, match="at most 10 bytes"):
        read_masks(whole, storage_options=bucket, max_bytes=10)

    fs = fsspec.filesystem("s3", **bucket)
    fs.pipe(
        "labels/v1/release.json",
        b'{"frames": [%s]}'
        % b", ".join(
            b'{"annotations": [{"id": 2, "category_id": 0}], "segmentation_bitmap": {"url": "%d.png"}}' % number
            for number in range(20)
        ),
    )
    read = al.read_labels("s3://labels/v1/release.json", storage_options=bucket, masks=True)
    assert read.segments["area"].to_pylist() == list(range(20))


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_s3_through_faults() -> None:
    faults = [Answer(status=500), Answer(status=503), Answer(dropped=True), Answer(b"abc", length=500)]
    answers = {f"/labels/{number}.png": [fault, fault, Answer(PNG)] for number, fault in enumerate(faults)}
    with faulty_server(answers) as server:
        options = {"key": "key", "secret": KEY, "endpoint_url": server.url}
        done = read_masks(al.decode_labels([label(*(f"s3:/{path}" for path in answers))]), storage_options=options)
        assert done.segments["area"].to_pylist() == [1] * 4
        assert done.segments.num_rows == 4
        assert set(server.paths()) == set(answers)
        assert all(asked.headers["range"] == f"bytes=0-{64 << 20}" for asked in server.asked)


def test_options_of_a_store_are_not_told_to_servers() -> None:
    with faulty_server({"/a.png": [Answer(PNG)], "/labels/a.png": [Answer(PNG)]}) as server:
        options = {"key": "key", "secret": KEY, "endpoint_url": server.url}
        tables = al.decode_labels([label(f"{server.url}/a.png", "s3://labels/a.png")])
        done = read_masks(tables, storage_options=options, concurrency=1)
        assert done.segments["area"].to_pylist() == [1, 1]
        first, second = server.asked
        assert "authorization" not in first.headers
        assert "key/" in second.headers["authorization"].lower()
        headers = {"headers": {"Authorization": KEY}}
        for base, told in ((server.url, True), ("https://other.example.com", False), (None, False)):
            read_masks(al.decode_labels([label(f"{server.url}/a.png")]), storage_options=headers, base=base)
            assert (server.asked[-1].headers.get("authorization") == KEY) is told
