"""The keys of records: ids of samples and keys of labels, with a number where one of that name stood before."""

from __future__ import annotations

from arrow_labels.decode.records import Record, names_of
from arrow_labels.schema import GROUND_TRUTH

SampleIds = dict[str, int]
"""How often each id of a sample stood before."""


class LabelKeys(dict[tuple[str, str], int]):
    """The keys of lone labels that stood before, each with the last number given to one of that name, 1 if to none.

    All lower numbers are taken too, so that the search for a free one need not begin with them.
    """

    def add(self, key: tuple[str, str]) -> None:
        """Take note of a label that has its key already."""
        self.setdefault(key, 1)


def name_record(record: Record, sample_ids: SampleIds, label_keys: LabelKeys) -> None:
    """Give a record its keys by its members, if it has any, without decoding it."""
    names = names_of(record)
    if names is None:
        return
    if record.kind == "sample":
        name_sample(record, sample_ids, *names)
    else:
        name_label(record, label_keys, *names)


def name_sample(record: Record, sample_ids: SampleIds, uuid: str | None, name: str | None) -> str:
    """Give a sample its id, unless it has one: a name, with a number if a sample of that name stood before."""
    if record.sample_id is None:
        record.sample_id = unique_sample(sample_ids, first_name(uuid, name, record.place))
    return record.sample_id


def name_label(
    record: Record, label_keys: LabelKeys, sample_uuid: str | None = None, labelset: str | None = None
) -> str:
    """Give a lone label its keys, unless it has them; a number if a label of that name stood before."""
    if record.sample_id is None:
        record.labelset = first_name(labelset, GROUND_TRUTH)
        record.sample_id = unique_label(label_keys, first_name(sample_uuid, record.place), record.labelset)
    return record.sample_id


def unique_label(label_keys: LabelKeys, name: str, labelset: str) -> str:
    """The sample id of a lone label: its name, with the first number that is free if a label of that name stood before.

    Unlike the id of a sample it never has two numbers, unless its name has one.
    """
    key = first = (name, labelset)
    while key in label_keys:
        label_keys[first] += 1
        key = (f"{name}#{label_keys[first]}", labelset)
    label_keys[key] = 1
    return key[0]


def unique_sample(sample_ids: SampleIds, name: str) -> str:
    """The id of a sample: its name, with a number if a sample of that name stood before."""
    number = sample_ids.get(name, 0) + 1
    sample_ids[name] = number
    return name if number == 1 else unique_sample(sample_ids, f"{name}#{number}")


def first_name(*names: str | None) -> str:
    """The first name that is there."""
    return next(name for name in names if name is not None)
