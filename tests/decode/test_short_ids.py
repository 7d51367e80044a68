"""Lists of short ids, against a parser of all of JSON."""

from __future__ import annotations

import json
import random
import threading

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import arrow_labels as al
from arrow_labels.decode import number_lists, short_ids

LISTS = st.lists(st.one_of(st.integers(0, 12), st.integers(0, 9999)), min_size=1)
BLOCKS = st.one_of(st.integers(6, 40), st.just(512 << 10))
TEXTS = st.text("0123456789,,,,[]- .e\n", min_size=1, max_size=30).map(lambda text: f"[{text}]".encode())


def found(text: bytes, block: int = 512 << 10) -> list[int] | None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(short_ids, "_BLOCK", block)
        patch.setattr(short_ids, "_LOCAL", threading.local())
        ids = np.empty(len(text) // 2, np.int32)
        count = short_ids.short_ids(text, ids)
    return ids[:count].tolist() if count else None


@given(LISTS, BLOCKS)
def test_ids_of_up_to_four_digits_are_read_whatever_the_blocks(ids: list[int], block: int) -> None:
    assert found(json.dumps(ids, separators=(",", ":")).encode(), block) == ids


@given(TEXTS, BLOCKS)
def test_what_is_read_is_what_json_says(text: bytes, block: int) -> None:
    ids = found(text, block)
    if ids is not None:
        assert json.loads(text) == ids
        assert all(type(id_) is int and 0 <= id_ <= 9999 for id_ in json.loads(text))


@given(LISTS, BLOCKS, st.data())
def test_a_changed_byte_is_another_list_or_none(ids: list[int], block: int, data: st.DataObject) -> None:
    text = bytearray(json.dumps(ids, separators=(",", ":")).encode())
    place = data.draw(st.integers(0, len(text) - 1))
    change = data.draw(
        st.sampled_from([b"", b",", b"0", b"7", b"]", b"[", b"-", b" ", b"00", b",,", b"12345", b"/", b":"])
    )
    text[place : place + data.draw(st.integers(0, 1))] = change
    ids_found = found(bytes(text), block)
    if ids_found is not None:
        assert json.loads(bytes(text)) == ids_found


@pytest.mark.parametrize(
    "text",
    [
        *(
            "[]",
            "[,]",
            "[1,]",
            "[,1]",
            "[1,,2]",
            "[07]",
            "[00]",
            "[12345]",
            "[-1]",
            "[1.0]",
            "[1e2]",
            "[1 2]",
            "[1, 2]",
        ),
        *(
            "[1",
            "1]",
            "1",
            "",
            "[",
            "[[1]]",
            "[1]]",
            "[1],[2]",
            "[null]",
            "[1,2\n]",
            "[00,,1]",
            "[012,,34]",
            "[12345,,1]",
        ),
    ],
)
def test_all_else_is_left_to_others(text: str) -> None:
    assert found(text.encode()) is None


def test_a_zero_in_front_is_not_made_up_for_by_an_id_that_is_missing() -> None:
    """The sums would be right: what is one digit too many stands against an id without any."""
    assert found(b"[01,,2]") is None
    assert found(b"[,01]") is None
    assert found(b"[01,]") is None


@pytest.mark.parametrize("odd", [None, "-7", "07", "70000", "1.5", "null", '"7"', "[7]", "4294967296"])
@pytest.mark.parametrize("length", [5, 40_000, 400_000])
def test_a_label_is_decoded_the_same_whichever_parser_reads_its_ids(
    odd: str | None, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(length)
    ids = [str(rng.choice((0, 3, 17, 250, 4711))) for _ in range(length)]
    if odd is not None:
        ids[rng.randrange(length)] = odd
    label = f'{{"annotations":[{{"id":17,"category_id":1}}],"point_annotations":[{",".join(ids)}]}}'.encode()

    def decoded() -> list[tuple[str, pa.Table]] | str:
        try:
            return list(al.decode_labels([label]))
        except al.DecodeError as error:
            return str(error)

    read = decoded()
    monkeypatch.setattr(number_lists, "LONG", 1 << 40)
    assert read == decoded()
