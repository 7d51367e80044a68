"""What of a source is decoded: with the rows that the target holds, it is the whole source."""

from typing import Any

from hypothesis import given, settings
from revisions import revisions

import arrow_labels as al
from arrow_labels.changes import Changes, State, state
from arrow_labels.schema import OWNERS


def read(source: Any, changes: Changes | None = None, **options: Any) -> al.LabelTables:
    return al.LabelTables.concat(al.iter_labels(source, changes=changes or Changes(), **options))


def held(tables: al.LabelTables) -> State:
    return state(tables.labels, tables.samples, tables.rejects)


def merged(target: al.LabelTables, part: al.LabelTables, changes: Changes) -> dict[str, list[dict[str, Any]]]:
    """A plain merge of what a target holds and what was decoded, a row at a time."""
    rows = {name: table.to_pylist() for name, table in part}
    for name, owner in OWNERS.items():
        order: list[Any] = list(changes.samples if owner == ("sample_id",) else changes.labels)
        if owner not in (("sample_id",), ("sample_id", "labelset")):
            continue
        kept = {(key,) for key in changes.kept_samples} if owner == ("sample_id",) else set(changes.kept)
        old = [row for row in target[name].to_pylist() if tuple(row[column] for column in owner) in kept]
        for row in old:
            if name == "samples":
                row["sample_index"] = changes.samples[row["sample_id"]]
            if name == "labels":
                row |= changes.kept[row["sample_id"], row["labelset"]]._asdict()
        places = {key if isinstance(key, tuple) else (key,): place for place, key in enumerate(order)}
        rows[name] = sorted(rows[name] + old, key=lambda row: places[tuple(row[column] for column in owner)])
    return rows


@settings(max_examples=20, deadline=None)
@given(revisions())
def test_what_is_held_and_what_is_decoded_is_the_whole(documents: tuple[Any, Any]) -> None:
    old, new = documents
    target, whole = read([old]), read([new])
    changes = Changes(held(target))
    part = read([new], changes)
    assert merged(target, part, changes) == {name: table.to_pylist() for name, table in whole}
    again = Changes(held(whole))
    rest = read([new], again)
    assert rest.labels.num_rows == 0
    assert set(again.labels.values()) <= {"unchanged"}
