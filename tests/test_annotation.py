"""Annotations as columns: nothing is lost on the way from objects to records."""

import re
from typing import Any

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from arrow_labels.annotation import ABSENT, ITEMS, KINDS, NESTED, RECORDS, Annotation, Vector3, gather

numbers = st.floats(allow_nan=False, allow_infinity=False)
ids = st.integers(-(2**63), 2**63 - 1)


def objects(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, float]]:
    whole = st.fixed_dictionaries(dict.fromkeys(names, numbers))
    return whole | st.fixed_dictionaries({}, optional=dict.fromkeys(names, numbers))


annotations = st.lists(
    st.fixed_dictionaries(
        {"category_id": ids},
        optional={
            "id": ids,
            "track_id": ids,
            "index": st.integers(-(2**31), 2**31 - 1),
            "type": st.sampled_from([kind for kind in KINDS if kind]),
            "yaw": numbers,
            "is_keyframe": st.booleans(),
            "attributes": st.just({}) | st.dictionaries(st.text(max_size=3), ids, max_size=2),
            "points": st.sampled_from([[[0.5, 1.5]], [[1.5, 2.5, 3.5]]]),
            **{name: objects(names) for name, names in NESTED.items()},
        },
    ),
    min_size=1,
    max_size=20,
)


def values(part: Any, name: str, count: int) -> list[Any]:
    """The objects that a gathered member stands for."""
    if part is None:
        return [None] * count
    if not isinstance(part, bytes):
        return [asdict(item) if isinstance(item, msgspec.Struct) else item for item in part]
    records = np.frombuffer(part, RECORDS[name])
    if name == "yaw":
        return [float(record["yaw"]) for record in records]
    return [{member: float(record[member]) for member in NESTED[name]} for record in records]


@given(annotations)
def test_groups_hold_every_member_of_every_annotation(documents: list[dict[str, Any]]) -> None:
    decoded = msgspec.json.decode(msgspec.json.encode(documents), type=list[Annotation])
    groups = gather(decoded)
    assert len({group.kind for group in groups}) == len(groups)
    seen: list[int] = []
    for group in groups:
        rows = list(range(group.length)) if group.rows is None else group.rows
        seen += rows
        mine = [decoded[row] for row in rows]
        assert {KINDS[item.type] for item in mine} == {group.kind}
        for name in Annotation.__struct_fields__:
            expected = [getattr(item, name) for item in mine]
            part = group.member(name)
            if name == "attributes":
                text, lengths = part
                assert text == b"".join(expected)
                assert lengths == [len(item) for item in expected]
            elif name == "points" and part is None:
                assert expected == [ABSENT] * len(mine)
            elif name == "points":
                assert msgspec.json.decode(part.text) == [msgspec.json.decode(item) for item in expected if item]
                planar = len(msgspec.json.decode(part.text)[0][0]) == 2
                assert part.shape == (b"" if planar else re.sub(rb"[^\[\],]", b"", part.text))
                assert part.lengths == [len(item) for item in expected]
            elif name in RECORDS:
                plain = [asdict(item) if isinstance(item, msgspec.Struct) else item for item in expected]
                assert values(part, name, group.length) == plain
            else:
                assert [*map(repr, group.values(name))] == [*map(repr, expected)]
                assert (part is None) == all(value is None for value in expected)
                if name in ITEMS and None not in expected:
                    assert len(part) == len(mine) * ITEMS[name].itemsize
    assert sorted(seen) == list(range(len(decoded)))


def test_whole_objects_are_packed() -> None:
    decoded = [Annotation(1, id=1, position=whole, yaw=0.5) for whole in [Vector3(1.0, 2.0, 3.0)] * 40]
    [group] = gather(decoded)
    assert isinstance(group.member("position"), bytes)
    assert len(group.member("position")) == 40 * RECORDS["position"].itemsize
    assert isinstance(group.member("yaw"), bytes)
    assert group.member("rotation") is None


def test_values_that_none_lacks_are_no_objects() -> None:
    decoded = [Annotation(1, id=place, type="cuboid", is_keyframe=place < 7) for place in range(40)]
    [group] = gather(decoded)
    assert group.member("id") == np.arange(40).tobytes()
    assert group.member("is_keyframe") == b"\1" * 7 + b"\0" * 33
    assert group.member("type") == "cuboid"
    assert group.values("index") == [None] * 40
