"""The keys of records: ids of samples and keys of labels, with a number where one of that name stood before."""

from __future__ import annotations

from arrow_labels.decode.records import Record, names_of
from arrow_labels.schema import GROUND_TRUTH

SampleIds = dict[str, int]
"""How often each id of a sample stood before."""
LabelKeys = set[tuple[str, str]]
"""The keys of lone labels that stood before."""


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
        name, number = first_name(sample_uuid, record.place), 1
        record.sample_id = name
        while (record.sample_id, record.labelset) in label_keys:
            number += 1
            record.sample_id = f"{name}#{number}"
        label_keys.add((record.sample_id, record.labelset))
    return record.sample_id


def unique_sample(sample_ids: SampleIds, name: str) -> str:
    """The id of a sample: its name, with a number if a sample of that name stood before."""
    number = sample_ids.get(name, 0) + 1
    sample_ids[name] = number
    return name if number == 1 else unique_sample(sample_ids, f"{name}#{number}")


def first_name(*names: str | None) -> str:
    """The first name that is there."""
    return next(name for name in names if name is not None)
