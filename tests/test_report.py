"""The report is one page that needs nothing else, whatever is in the labels."""

from html.parser import HTMLParser

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import arrow_labels as al
from arrow_labels.report import html_report
from arrow_labels.schema import SCHEMAS

EVIL = "<script>alert(1)</script><img src=x onerror='alert(2)'>\"&amp;\u202e\x1b[31m\n"


class Page(HTMLParser):
    """The elements and attributes of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.rows = 0
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.rows += tag == "tr"

    def handle_data(self, data: str) -> None:
        self.text += data


def page(text: str) -> Page:
    parsed = Page()
    parsed.feed(text)
    parsed.close()
    return parsed


def findings(rows: int = 1, **columns: object) -> pl.DataFrame:
    row = {"rule": "speed", "severity": "warning", "sample_id": "s", "message": "m"} | columns
    empty = pl.DataFrame(pl.from_arrow(SCHEMAS["findings"].empty_table()))
    return pl.concat([empty, pl.DataFrame([row] * rows)], how="diagonal_relaxed")


def test_no_text_of_a_label_is_code() -> None:
    text = html_report(findings(rule=EVIL, sample_id=EVIL, labelset=EVIL, message=EVIL, value=EVIL), EVIL)
    found = page(text)
    assert not found.tags & {"script", "img", "link", "iframe", "object", "a", "svg"}
    assert not found.attributes & {"src", "href", "onerror", "style"}
    assert found.text.count("<script>alert(1)</script>") == 7  # title, heading, and five cells
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "://" not in text
    assert "url(" not in text
    assert "default-src 'none'" in text


@given(st.text(), st.text(max_size=400))
def test_any_text_stands_there_as_it_is(name: str, message: str) -> None:
    name = name.encode("utf-8", "replace").decode()
    message = message.encode("utf-8", "replace").decode()
    found = page(html_report(findings(sample_id=name, message=message), "t"))
    assert found.tags <= page(html_report(findings(), "t")).tags
    printable = "".join(each for each in message[:300] if each.isprintable())
    kept = "".join(each for each in found.text if each.isprintable())
    if printable == message[:300]:
        assert printable in kept


def test_counts_and_limits() -> None:
    many = pl.concat([findings(501), findings(rule="hole", sample_id="t"), findings(rule="speed", severity="error")])
    found = page(html_report(many, "t"))
    assert "502warnings" in found.text
    assert "1errors" in found.text
    assert "2samples with findings" in found.text
    assert "The first 500 of 501." in found.text or "The first 500 of 502." in found.text
    empty = page(html_report(al.check_labels(al.LabelTables()), "t"))
    assert "No findings." in empty.text
    assert empty.rows == 0


@pytest.mark.parametrize("rule", ["speed", "reject"])
def test_rules_are_explained_where_known(rule: str) -> None:
    found = page(html_report(findings(rule=rule), "t"))
    assert ("faster than 70 m/s" in found.text) == (rule == "speed")
