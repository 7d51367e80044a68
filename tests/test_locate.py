"""Where URLs out of documents may lead."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import arrow_labels as al
from arrow_labels.locate import PROTOCOLS, Home, Place, home, locate, store

WEB = home("https://example.com/v1/release.json")
BUCKET = home("s3://labels/v1/release.json")
SECRETS = {"token": "secret"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of labels, with a secret beside it and a link to that."""
    (tmp_path / "labels" / "bitmaps").mkdir(parents=True)
    (tmp_path / "labels" / "bitmaps" / "1.png").touch()
    (tmp_path / "secret.png").touch()
    (tmp_path / "labels" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "labels" / "up").symlink_to(tmp_path)
    return tmp_path / "labels"


INSIDE = (
    "bitmaps/1.png",
    "./bitmaps/../bitmaps/1.png",
    "file:bitmaps/1.png",
    "{folder}/bitmaps/1.png",
    "file:{folder}/bitmaps/1.png",
    "file://{folder}/bitmaps/1.png",
    "FILE://localhost{folder}/bitmaps/1.png",
    "local://{folder}/up/labels/bitmaps/1.png",
)


@pytest.mark.parametrize("url", INSIDE)
def test_local_paths_of_local_documents(folder: Path, url: str) -> None:
    for source in (f"{folder}/release.json", f"file://{folder}/release.json", f"{folder}/labels.jsonl:3"):
        place = locate(url.format(folder=folder), home(source), options=SECRETS)
        assert place == Place(str(folder / "bitmaps" / "1.png"), None, is_local=True)


OUTSIDE = (
    "../secret.png",
    "bitmaps/../../secret.png",
    "{folder}/../secret.png",
    "/etc/passwd",
    "file:///etc/passwd",
    "FILE:/etc/passwd",
    "file://localhost/etc/passwd",
    "local:///etc/passwd",
    "link.png",
    "up/secret.png",
    "file:../secret.png",
)


@pytest.mark.parametrize("url", OUTSIDE)
def test_local_paths_stay_below_the_folder_of_the_document(folder: Path, url: str) -> None:
    url = url.format(folder=folder)
    with pytest.raises(al.FetchError, match="Expected a path below the folder of the document, or below `base`"):
        locate(url, home(str(folder / "release.json")))
    assert locate(url, home(str(folder / "release.json"), base="/")).is_local


def test_base_is_the_folder_that_counts(folder: Path) -> None:
    inner = home(str(folder / "release.json"), base=str(folder / "bitmaps"))
    assert locate("1.png", inner).url == str(folder / "bitmaps" / "1.png")
    with pytest.raises(al.FetchError, match="got one outside"):
        locate("../release.json", inner)
    for source in (None, "<document 0>", "https://example.com/release.json"):
        assert locate("1.png", home(source, base=str(folder / "bitmaps"))).is_local
        assert locate("1.png", home(source, base=f"file://{folder}/bitmaps/")).is_local
    assert home("release.json", base="https://example.com/a?key=b") == Home(url="https://example.com/a?key=b/")
    with pytest.raises(ValueError, match="base: expected a folder or a URL, got a chain of file systems"):
        home(None, base="zip://::labels.zip")


@pytest.mark.parametrize("source", [None, "<document 3>", "https://h/a.json", "s3://b/a.json", "zip://a.json::b.zip"])
@pytest.mark.parametrize("url", ["file:///etc/passwd", "local:///etc/passwd", "file:a.png", "File:/etc/passwd"])
def test_other_documents_have_no_local_paths(source: str | None, url: str) -> None:
    with pytest.raises(al.FetchError, match="got a local path in a document that is not a local file"):
        locate(url, home(source))
    with pytest.raises(al.FetchError, match="got a local path in a document that is not a local file"):
        locate(url, home(str(source), base="https://example.com/"))


@pytest.mark.parametrize("source", [None, "<document 3>", "zip://a.json::b.zip"])
@pytest.mark.parametrize("url", ["a.png", "/etc/passwd", "../a.png", "//h/a.png"])
def test_relative_urls_need_something_to_be_relative_to(source: str | None, url: str) -> None:
    with pytest.raises(al.FetchError, match="Expected a whole URL, got a relative one .* `base` says"):
        locate(url, home(source))


RELATIVE = {
    "a.png": ("https://example.com/v1/a.png", "s3://labels/v1/a.png"),
    "x/../a.png": ("https://example.com/v1/a.png", "s3://labels/v1/a.png"),
    "../a.png": ("https://example.com/a.png", "s3://labels/a.png"),
    "../../../../a.png": ("https://example.com/a.png", "s3://labels/a.png"),
    "/a.png": ("https://example.com/a.png", "s3://labels/a.png"),
    "a.png?sig=1": ("https://example.com/v1/a.png?sig=1", "s3://labels/v1/a.png?sig=1"),
    "a b#c.png": ("https://example.com/v1/a b#c.png", "s3://labels/v1/a b#c.png"),
}


@pytest.mark.parametrize(("url", "expected"), RELATIVE.items(), ids=RELATIVE)
def test_relative_urls_stay_in_the_store_of_the_document(url: str, expected: tuple[str, str]) -> None:
    assert (locate(url, WEB).url, locate(url, BUCKET).url) == expected
    assert locate(url, home("memory://v1/release.json")).url.startswith("memory://v1/")


def test_documents_at_the_top_of_a_store() -> None:
    assert locate("a.png", home("https://example.com")).url == "https://example.com/a.png"
    assert locate("a.png", home("memory:///release.json")).url == "memory:///a.png"
    assert locate("a.png", home("s3://labels/release.json")).url == "s3://labels/a.png"
    assert locate("a.png", home("s3://x/y.json", base="s3://labels")).url == "s3://labels/a.png"


@pytest.mark.parametrize("url", ["//evil.com/a.png", "\\\\evil.com\\a.png", "/\\evil.com/a.png", " //evil.com/a.png"])
@pytest.mark.parametrize("at", [WEB, BUCKET, home("/data/release.json")])
def test_relative_urls_name_no_host(url: str, at: Home) -> None:
    with pytest.raises(al.FetchError, match="another host|got one outside"):
        locate(url, at)


@given(st.text("./\\:?#@% ab", max_size=12))
def test_whatever_a_relative_url_is_made_of(url: str) -> None:
    for at in (WEB, BUCKET):
        try:
            place = locate(url, at)
        except al.FetchError:
            continue
        assert at.url is not None
        assert (store(place.url), place.is_local) == (store(at.url), False)
    try:
        place = locate(url, Home(folder="/data/labels"))
    except al.FetchError:
        return
    assert place.is_local
    assert Path(place.url).is_relative_to("/data/labels")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_protocols_that_are_allowed(protocol: str) -> None:
    for at in (Home(), WEB, BUCKET, home("/data/release.json")):
        assert locate(f"{protocol}://host/a.png?x=1", at).url == f"{protocol}://host/a.png?x=1"
        assert locate(f" {protocol.upper()}://host/a.png", at).url == f"{protocol}://host/a.png"


@pytest.mark.parametrize(
    "url",
    ["ftp://h/a", "sftp://u:p@h/a", "memory://a", "data:image/png;base64,AA", "zip://a", "simplecache://a", "gopher:a"],
)
def test_other_protocols(url: str) -> None:
    for at in (Home(), WEB, BUCKET, home("/data/release.json")):
        with pytest.raises(al.FetchError, match=r"Expected a URL of https, http, s3, .*, got `\w+:`$"):
            locate(url, at)
    with pytest.raises(al.FetchError, match="Expected a URL of s3, got `https:`"):
        locate("https://example.com/a.png", WEB, protocols=("s3",))
    assert locate("memory://a/b.png", Home(), protocols=("memory",)).url == "memory://a/b.png"


CHAINS = (
    "zip://a.png::file:///etc/labels.zip",
    "zip://a.png::https://example.com/labels.zip",
    "simplecache::https://example.com/a.png",
    "filecache::s3://labels/a.png",
    "reference://::s3://labels/a.json",
    "s3://labels/a.png::file:///etc/passwd",
    "a.png::file:///etc/passwd",
)


@pytest.mark.parametrize("url", CHAINS)
def test_chains_are_refused(url: str) -> None:
    everything = (*PROTOCOLS, "zip", "simplecache", "filecache", "reference")
    for at in (Home(), WEB, BUCKET, home("/data/release.json"), home(None, base="/")):
        with pytest.raises(al.FetchError, match="got a chain of file systems"):
            locate(url, at, protocols=everything)


def test_two_colons_are_no_chain_in_http() -> None:
    assert locate("http://[::1]:80/a.png", Home()).url == "http://[::1]:80/a.png"
    assert locate("https://h/a::file:///etc/passwd", Home()) == Place("https://h/a::file:///etc/passwd", None)


@pytest.mark.parametrize("url", ["https:/h/a", "https:a.png", "http:///a.png", "s3:///a.png", "https://", "s3:a"])
def test_urls_without_a_host(url: str) -> None:
    with pytest.raises(al.FetchError, match="Expected a URL with a host or bucket"):
        locate(url, WEB)


@pytest.mark.parametrize(
    "url", ["https://h/a\r\nHost: evil", "a\x00.png", "https://h\t/", "http://[h/a", "http://h:x/a"]
)
def test_text_that_is_no_url(url: str) -> None:
    for at in (WEB, home("/data/release.json")):
        with pytest.raises(al.FetchError, match="Expected a URL, got (one with control characters|text that is none)"):
            locate(url, at)


OPTIONS: dict[str, tuple[str, str | None, bool]] = {
    "the document's server": ("https://example.com/a.png", "https://example.com/release.json", True),
    "relative": ("a.png", "https://example.com/release.json", True),
    "its port": ("https://example.com:443/a.png", "https://EXAMPLE.com/release.json", True),
    "another server": ("https://evil.com/a.png", "https://example.com/release.json", False),
    "another port": ("https://example.com:8443/a.png", "https://example.com/release.json", False),
    "another protocol": ("http://example.com/a.png", "https://example.com/release.json", False),
    "a name before the host": ("https://example.com@evil.com/a.png", "https://example.com/release.json", False),
    "a server, from a bucket": ("https://example.com/a.png", "s3://labels/release.json", False),
    "a server, from memory": ("https://example.com/a.png", None, False),
    "a server, from a file": ("https://example.com/a.png", "/data/release.json", False),
    "a bucket, from memory": ("s3://labels/a.png", None, True),
    "a bucket, from a file": ("s3://labels/a.png", "/data/release.json", True),
    "another bucket": ("s3://labels/a.png", "s3://other/release.json", True),
    "the same by another name": ("s3a://labels/a.png", "s3://other/release.json", True),
    "a bucket, from a server": ("s3://labels/a.png", "https://example.com/release.json", False),
}


@pytest.mark.parametrize(("url", "source", "gets"), OPTIONS.values(), ids=OPTIONS)
def test_options_go_to_those_they_are_for(url: str, source: str | None, gets: bool) -> None:
    assert locate(url, home(source), options=SECRETS).options == (SECRETS if gets else None)


def test_options_go_to_no_other_account() -> None:
    def ftp(url: str, source: str | None, **options: Any) -> Any:
        return locate(url, home(source), protocols=["ftp"], options=options).options

    ours = {"host": "ours.com", "password": "secret"}
    assert ftp("ftp://ours.com/a.png", None, **ours) == ours
    assert ftp("ftp://ours.com/a.png", "ftp://ours.com/release.json", password="secret") == {"password": "secret"}
    for source in (None, "/data/release.json", "ftp://ours.com/release.json"):
        for options in (ours, {"password": "secret"}):
            with pytest.raises(
                al.FetchError, match="Expected a URL of the host that `storage_options` names, got another"
            ):
                ftp("ftp://evil.com/a.png", source, **options)
