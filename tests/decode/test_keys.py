"""Lone labels of one name have different keys, whoever names them, and finding them takes a few steps for each."""

import random
from collections.abc import Iterable
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from arrow_labels.decode.keys import LabelKeys, name_label
from arrow_labels.decode.records import Record
from arrow_labels.partitions import parts_of
from arrow_labels.pieces import Piece
from arrow_labels.spans import Files

Key = tuple[str, str]
NAMES = ["a", "a#2", "a#3", "a#2#2", "a#2#3", "b", "", "#2"]
labels = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(["x", "y"])), max_size=40)


class Counted(LabelKeys):
    """Counts how often it is asked for a key."""

    asked = 0

    def __contains__(self, key: object) -> bool:
        self.asked += 1
        return super().__contains__(key)


def named(found: Iterable[Key], keys: LabelKeys) -> list[Key]:
    """The keys of labels that have no keys yet, one after the other."""
    records = [(Record("label", None, "place", b""), *key) for key in found]
    return [(name_label(record, keys, *key), record.labelset) for record, *key in records]


def expected(found: Iterable[Key]) -> list[Key]:
    """The same by trying all numbers from 2."""
    made: list[Key] = []
    for name, labelset in found:
        key, number = (name, labelset), 1
        while key in made:
            number += 1
            key = (f"{name}#{number}", labelset)
        made.append(key)
    return made


@given(labels)
def test_names_have_the_first_number_that_is_free(found: list[Key]) -> None:
    assert named(found, LabelKeys()) == expected(found)


@given(labels, st.sets(st.tuples(st.sampled_from(NAMES), st.just("x"))))
def test_keys_that_are_there_already_are_taken(found: list[Key], taken: set[Key]) -> None:
    keys = LabelKeys()
    for key in taken:
        keys.add(key)
    assert [*taken, *named(found, keys)] == expected([*taken, *found])
    numbers = dict(keys)
    for key in numbers:
        keys.add(key)  # once more
    assert keys == numbers


@given(st.lists(labels, min_size=1, max_size=8))
def test_names_go_on_in_each_part(found: list[list[Key]]) -> None:
    pieces = [Piece(Files([], place), 1, [], each, 0) for place, each in enumerate(found)]
    parts = parts_of(pieces, 1, len(pieces))
    assert len(parts) == len(found)
    made = [named(each, LabelKeys(part.label_keys)) for each, part in zip(found, parts, strict=True)]
    assert list(chain.from_iterable(made)) == expected(chain.from_iterable(found))


def test_a_name_of_many_labels_takes_a_few_steps_for_each() -> None:
    found = [(name, "x") for name in random.Random(0).choices(["a", "a#2", "a#7", "b"], k=4000)]
    keys = Counted()
    made = named(found, keys)
    assert len(set(made)) == len(found)
    assert keys.asked < 4 * len(found)


def test_a_part_has_few_keys_of_a_name_of_many_labels() -> None:
    pieces = [Piece(Files([], place), 1, [], [("a", "x"), ("a#2", "x")] * 5, 0) for place in range(200)]
    parts = parts_of(pieces, 1, len(pieces))
    assert len(parts) == len(pieces)
    assert max(len(part.label_keys) for part in parts) <= 4
