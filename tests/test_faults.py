"""Networks that fail while labels are read and written: nothing is lost, and nothing is half."""

import gc
import json
import os
import random
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from faulty_proxy import FAULTS, FINE, Fault, Proxy, faulty_proxy
from faulty_server import Answer, Server, faulty_server
from generate import release

import arrow_labels as al
from arrow_labels import fetch
from arrow_labels.formats import read_tables
from arrow_labels.schema import SCHEMAS

OLD = al.decode_labels([release("segmentation-bitmap", samples=2)])
NEW = al.decode_labels([release("pointcloud-cuboid-sequence", samples=2, frames=2)])
LABELS = [{"annotations": [{"id": number, "category_id": 0}]} for number in range(20)]
ROUNDS = int(os.environ.get("ARROW_LABELS_FAULTS", "12"))
"""How many writes a mode are done to, each at another request; more by hand."""


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs.core

    monkeypatch.setattr(fetch, "_FIRST_WAIT", 0.001)
    monkeypatch.setattr(s3fs.core.S3FileSystem, "retries", 2)


@pytest.fixture(scope="module")
def store() -> Iterator[tuple[dict[str, Any], dict[str, Any], Proxy]]:
    """Options of an S3 client for a server with a bucket `bucket`, those of one for the proxy before it, the proxy."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"key": "the-key", "secret": "the-secret", "use_listings_cache": False}
    direct = {**keys, "endpoint_url": f"http://{host}:{port}"}
    fsspec.filesystem("s3", **direct).mkdir("faults")
    with faulty_proxy(direct["endpoint_url"]) as proxy:
        quick = {"retries": {"max_attempts": 1}, "read_timeout": 5, "connect_timeout": 5}
        yield direct, {**keys, "endpoint_url": proxy.url, "config_kwargs": quick}, proxy
    server.stop()


def files(direct: dict[str, Any], folder: str) -> list[str]:
    fs = fsspec.filesystem("s3", **direct)
    fs.invalidate_cache()
    return sorted(name.partition("/out/")[2] for name in fs.find(folder))


def once(place: int, fault: Fault) -> Callable[[int, str, str], Fault]:
    return lambda number, *_: fault if number == place else FINE


def for_good(place: int, fault: Fault) -> Callable[[int, str, str], Fault]:
    return lambda number, *_: fault if number >= place else FINE


def state(target: str, direct: dict[str, Any]) -> str:
    """What a reader with a sound network sees."""
    try:
        found = al.read_parquet(target, storage_options=direct)
    except al.TargetError as error:
        return "half" if "mode=" not in str(error) and "got nothing" not in str(error) else "nothing"
    return "old" if found == OLD else "new" if found == NEW else "mixed"


@pytest.mark.parametrize("mode", ["error", "overwrite"])
def test_writes_to_s3(store: tuple[dict[str, Any], dict[str, Any], Proxy], mode: Any) -> None:
    direct, through, proxy = store
    target = "s3://faults/{}/out"
    proxy.restart()
    if mode == "overwrite":
        al.write_parquet(OLD, target.format(f"{mode}-count"), storage_options=direct)
    al.write_parquet(NEW, target.format(f"{mode}-count"), mode=mode, storage_options=through)
    requests = len(proxy.asked)
    rng = random.Random(1)
    seen: Counter[tuple[str, str]] = Counter()
    plans = [(kind, make) for kind in FAULTS for make in (once, for_good)]
    for number in range(ROUNDS):
        kind, make = plans[number % len(plans)]
        place = rng.randrange(requests)
        here = target.format(f"{mode}-{number}")
        before = "nothing"
        if mode == "overwrite":
            al.write_parquet(OLD, here, storage_options=direct)
            before = "old"
        proxy.restart(make(place, FAULTS[kind]))
        try:
            al.write_parquet(NEW, here, mode=mode, storage_options=through)
            failed = ""
        except al.TargetError as error:
            failed = str(error)
        proxy.restart()
        after = state(here, direct)
        seen["failed" if failed else "done", after] += 1
        about = (kind, make.__name__, place, failed)
        assert after == "new" if not failed else after in (before, "new"), about
        assert "the-key" not in failed, about
        # Whatever is left of it, the next write with a sound network ends well and tidies up.
        al.write_parquet(OLD, here, mode="error" if after == "nothing" else "overwrite", storage_options=direct)
        assert state(here, direct) == "old", about
        assert len(files(direct, f"faults/{mode}-{number}")) == len(SCHEMAS) + 1, about
    print(mode, requests, "requests a write:", dict(seen))
    assert {how for how, _ in seen} == {"done", "failed"}


def outcome(url: str, options: dict[str, Any] | None) -> al.LabelTables | None:
    """What is read, or None where there is an error."""
    try:
        return al.read_labels(url, storage_options=options)
    except al.ArrowLabelsError as error:
        if url not in str(error):
            raise
        return None


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("name", ["release.json", "labels.jsonl", "labels.jsonl.gz"])
def test_reads_from_s3(store: tuple[dict[str, Any], dict[str, Any], Proxy], kind: str, name: str) -> None:
    direct, through, proxy = store
    url = f"s3://faults/in/{name}"
    if name == "release.json":
        content = json.dumps(release("pointcloud-cuboid-sequence", samples=2, frames=2)).encode()
    else:
        content = b"".join(json.dumps(label).encode() + b"\n" for label in LABELS)
    with fsspec.open(url, "wb", compression="infer", **direct) as file:
        file.write(content)
    expected = al.read_labels(url, storage_options=direct)
    proxy.restart()
    assert al.read_labels(url, storage_options=through) == expected
    for place in range(len(proxy.asked)):
        for make in (once, for_good):
            proxy.restart(make(place, FAULTS[kind]))
            assert outcome(url, through) in (None, expected), (place, make.__name__)
    proxy.restart()


@pytest.fixture(scope="module")
def web() -> Iterator[tuple[Server, Proxy]]:
    lines = b"".join(json.dumps(label).encode() + b"\n" for label in LABELS)
    image = al.encode_bitmap([[1, 2], [3, 4]])
    with (
        faulty_server({"/labels.jsonl": [Answer(lines)], "/a.png": [Answer(image)]}) as server,
        faulty_proxy(server.url) as proxy,
    ):
        yield server, proxy


@pytest.mark.parametrize("kind", FAULTS)
def test_reads_over_http(web: tuple[Server, Proxy], kind: str) -> None:
    server, proxy = web
    expected = al.read_labels(f"{server.url}/labels.jsonl").segments
    proxy.restart()
    al.read_labels(f"{proxy.url}/labels.jsonl")
    for place in range(len(proxy.asked)):
        for make in (once, for_good):
            proxy.restart(make(place, FAULTS[kind]))
            found = outcome(f"{proxy.url}/labels.jsonl", None)
            assert found is None or found.segments == expected, (kind, place, make.__name__)


@pytest.mark.parametrize("kind", FAULTS)
def test_bitmaps_over_http(web: tuple[Server, Proxy], kind: str) -> None:
    _, proxy = web
    proxy.restart(once(0, FAULTS[kind]))
    if kind in ("403", "404"):
        with pytest.raises(al.FetchError, match=f"got {kind}"):
            al.read_bitmap(f"{proxy.url}/a.png")
    elif kind == "too short":
        with pytest.raises(al.BitmapError):
            al.read_bitmap(f"{proxy.url}/a.png")
    else:
        assert al.read_bitmap(f"{proxy.url}/a.png").tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("kind", ["lost", "unanswered", "503", "latency"])
def test_a_release_to_s3(store: tuple[dict[str, Any], dict[str, Any], Proxy], kind: str) -> None:
    direct, through, proxy = store
    for number, make in enumerate((once, for_good)):
        for place in range(3):
            url = f"s3://faults/{kind}/{number}/{place}.json"
            proxy.restart(make(place, FAULTS[kind]))
            try:
                al.write_release(NEW, url, storage_options=through)
            except al.TargetError:
                proxy.restart()
                if not fsspec.filesystem("s3", **direct).exists(url):
                    continue
            proxy.restart()
            assert al.read_labels(url, storage_options=direct).cuboids == NEW.cuboids


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # s3fs sends the rest in `__del__`
def test_a_large_release_to_s3(store: tuple[dict[str, Any], dict[str, Any], Proxy]) -> None:
    """In several parts: what ends the write is told, also when what was sent cannot be taken back."""
    direct, through, proxy = store
    sample = {"metadata": {"notes": "x" * (6 << 20)}, "labels": {}}
    tables = al.decode_labels([{"dataset": {"samples": [{"uuid": name, **sample} for name in "abc"]}}])
    proxy.restart(for_good(3, FAULTS["lost"]))
    with pytest.raises(al.TargetError, match="Expected a target that can be written, got ") as raised:
        al.write_release(tables, "s3://faults/large.json", storage_options=through | {"default_block_size": 5 << 20})
    assert "uploadId" not in "".join(traceback.format_exception(raised.value))
    proxy.restart()
    assert not fsspec.filesystem("s3", **direct).exists("s3://faults/large.json")
    del raised
    gc.collect()


def test_what_a_place_holds_in_s3(store: tuple[dict[str, Any], dict[str, Any], Proxy]) -> None:
    _, through, proxy = store
    proxy.restart(for_good(0, FAULTS["lost"]))
    with pytest.raises(al.TargetError, match="Expected a folder that can be read, got EndpointConnectionError"):
        read_tables("s3://faults/out", None, storage_options=through, lake_options=None)
    proxy.restart()


def test_folders_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    al.write_parquet(OLD, tmp_path / "out")
    for path in (tmp_path / "none/in.json", tmp_path / "none"):
        with pytest.raises(al.FetchError, match="got nothing"):
            al.read_labels(path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(al.TargetError, match="NotADirectoryError|FileExistsError"):
        al.write_parquet(NEW, tmp_path / "file/out")
    with pytest.raises(al.TargetError, match="Expected a target that can be written"):
        al.write_release(NEW, tmp_path / "none/back.json")
    with pytest.raises(al.TargetError, match="Expected a folder that can be written, got .*Read-only|Permission|Err"):
        al.write_parquet(NEW, "/proc/labels/out")
    with pytest.raises(al.TargetError, match="Expected a target that can be written"):
        al.write_release(NEW, "/proc/back.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]
    assert al.read_parquet(tmp_path / "out") == OLD


def test_a_release_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written beside its place: the folder of temporary files may be on another disk."""
    target = tmp_path / "back.json.gz"
    target.write_bytes(b"old")
    monkeypatch.setattr("tempfile.mkstemp", None)

    def full(*_: Any) -> bytes:
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".back.json.gz.partial-")]
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("arrow_labels.encode.os.fsync", full)
        with pytest.raises(al.TargetError, match="No space left on device"):
            al.write_release(NEW, target)
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["back.json.gz"]
    al.write_release(NEW, target)
    assert al.read_labels(target).cuboids == NEW.cuboids
    assert [path.name for path in tmp_path.iterdir()] == ["back.json.gz"]
