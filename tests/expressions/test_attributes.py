"""Values of attributes, against Python's json module and a loop over rows."""

import json
from typing import Any

import polars as pl
import pytest
from engines import everywhere, physical_nodes
from generate import release
from hypothesis import given, settings
from hypothesis import strategies as st

import arrow_labels as al
from arrow_labels.expressions.attributes import attribute, unpack_attributes

NAMES = [
    "colour",
    "a.b",
    "a b",
    'say "x"',
    "it's",
    "a[0]",
    "é😀",
    "$",
    "*",
    "@",
    "",
    "back\\slash",
    "\n",
    "['a']",
    "x,y",
]
XYZ = pl.Struct(dict.fromkeys(("x", "y", "z"), pl.Float64))
XYZW = pl.Struct(dict.fromkeys(("qx", "qy", "qz", "qw"), pl.Float64))

characters = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | characters
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(characters, inner, max_size=3)
)
objects = st.dictionaries(
    st.sampled_from(NAMES) | characters, values | st.sampled_from([1.0, 0, 3, "3", "true", []]), max_size=5
)


def extracted(texts: list[str | None], name: str, dtype: Any) -> list[Any]:
    frame = pl.LazyFrame({"attributes": texts}, {"attributes": pl.String})
    found = everywhere(frame.select(attribute(pl.col("attributes"), name, dtype)))
    assert found.schema == {name: dtype}
    return found.to_series().to_list()


def as_number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def as_integer(value: Any) -> int | None:
    number = as_number(value)
    return int(value) if number is not None and number.is_integer() and -(2**63) <= value < 2**63 else None


def as_texts(value: Any) -> list[str | None] | None:
    return value if isinstance(value, list) and all(item is None or isinstance(item, str) for item in value) else None


EXPECTED = {
    pl.Float64(): as_number,
    pl.Int64(): as_integer,
    pl.Boolean(): lambda value: value if isinstance(value, bool) else None,
    pl.List(pl.String): as_texts,
}


@given(st.lists(objects, max_size=4), st.sampled_from(NAMES), st.booleans(), st.sampled_from([None, 2]))
@pytest.mark.parametrize("dtype", EXPECTED, ids=str)
def test_agrees_with_json(
    dtype: pl.DataType, documents: list[Any], name: str, is_ascii: bool, indent: int | None
) -> None:
    texts = [json.dumps(document, ensure_ascii=is_ascii, indent=indent) for document in documents]
    expected = [EXPECTED[dtype](document.get(name)) for document in documents]
    assert extracted([*texts, None], name, dtype) == [*expected, None]


@given(st.lists(objects, max_size=4), st.sampled_from(NAMES), st.sampled_from([None, 2]))
def test_strings_as_they_are_and_the_rest_as_json(documents: list[Any], name: str, indent: int | None) -> None:
    texts: list[str | None] = [json.dumps(document, indent=indent) for document in documents]
    for document, found in zip(documents, extracted(texts, name, pl.String()), strict=True):
        value = document.get(name)
        if value is None or isinstance(value, str):
            assert found == value
        else:
            assert json.loads(found) == value
            assert "\n" not in found


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_reached(name: str) -> None:
    texts: list[str | None] = [json.dumps({"other": {name: 1}, name: 2}), json.dumps({name + "'": 1, "x" + name: 1})]
    assert extracted(texts, name, pl.Int64()) == [2, None]


def test_odd_documents() -> None:
    texts = [
        '{"a": 1, "a": 2}',
        '{"a": {"b": 1}} ',
        " {\n}",
        "",
        "null",
        "[1]",
        '{"a": 1',
        '{"a": 3}{"a": 4}',
        '{"a": 5}\n',
    ]
    assert extracted([*texts, None], "a", pl.Int64()) == [2, None, None, None, None, None, None, None, 5, None]
    # Lines that together look like as many objects as there are texts.
    assert extracted(['{"a": 1}\n{"a": 2}', ""], "a", pl.Int64()) == [None, None]
    assert extracted(['{"a":', "6}", '{"a": 7}', "{}"], "a", pl.Int64()) == [None, None, 7, None]
    assert extracted(['{"b": 1e999, "a": 8}', '{"a": 1e999}', '{"a": -0.0}'], "a", pl.Float64()) == [8, None, 0]


def deep(levels: int) -> str:
    return '{"a": ' + "[" * levels + "1, 2" + "]" * levels + ', "b": 1}'


@pytest.mark.parametrize("dtype", [pl.String(), pl.Int64(), XYZ, pl.List(pl.Int64)], ids=str)
def test_what_is_too_deep_is_null(dtype: pl.DataType) -> None:
    other = {"x": 1.0, "y": None, "z": None}
    value = {pl.String(): "1", pl.Int64(): 1, XYZ: other, pl.List(pl.Int64): [1]}[dtype]
    texts = [deep(5000), json.dumps({"a": value}), None]
    assert extracted(texts, "a", dtype) == [None, value, None]


def test_what_is_almost_too_deep() -> None:
    """It may be read and be too deep to be made compact; how deep that is depends on the engine."""
    for levels in range(940, 1010):
        frame = pl.DataFrame({"attributes": [deep(levels), '{"a": [3, 4]}']})
        found = frame.select(attribute(pl.col("attributes"), "a")).to_series().to_list()
        assert found in ([deep(levels)[6:-9].replace(" ", ""), "[3,4]"], [None, "[3,4]"])


def test_integers_in_range() -> None:
    numbers = ["127", "128", "-128", "-129", "1.0", "1e2", "1.5", "1e300", "true", '"1"']
    texts: list[str | None] = [f'{{"a": {number}}}' for number in numbers]
    assert extracted(texts, "a", pl.Int8()) == [127, None, -128, None, 1, 100, *[None] * 4]
    assert extracted(texts, "a", pl.UInt8()) == [127, 128, None, None, 1, 100, *[None] * 4]
    assert extracted(['{"a": 9223372036854775807}', '{"a": 9223372036854775808}'], "a", pl.Int64()) == [2**63 - 1, None]


def test_nested_types() -> None:
    texts: list[str | None] = ['{"a": {"x": 1, "y": 2.5, "w": 0}}', '{"a": {"x": "1"}}', '{"a": {}}', '{"a": [1]}']
    assert extracted(texts, "a", XYZ) == [{"x": 1, "y": 2.5, "z": None}, None, dict.fromkeys("xyz"), None]
    lists: list[str | None] = ['{"a": [[1, null], null]}', '{"a": [[1.5]]}']
    assert extracted(lists, "a", pl.List(pl.List(pl.Int16))) == [[[1, None], None], None]


@pytest.mark.parametrize("dtype", [pl.Categorical(), pl.Extension("arrow.json", pl.String)], ids=str)
def test_text_of_every_type(dtype: pl.DataType) -> None:
    texts = pl.Series("attributes", ['{"a": 1}', None])
    column = texts.ext.to(dtype) if isinstance(dtype, pl.BaseExtension) else texts.cast(dtype)
    frame = column.to_frame().lazy()
    assert everywhere(frame.select(attribute(pl.col("attributes"), "a", pl.Int64)))["a"].to_list() == [1, None]


def test_types_that_json_has_not() -> None:
    for dtype in (pl.Date, pl.List(pl.Duration), pl.Struct({"a": pl.Binary})):
        with pytest.raises(ValueError, match="dtype: expected String, Boolean, a float, an integer, List or Struct"):
            attribute(pl.col("attributes"), "a", dtype)
    assert attribute(pl.col("attributes"), "a", float).meta.output_name() == "a"
    with pytest.raises(al.SchemaError, match="Expected text, got `Int32`"):
        pl.select(attribute(pl.lit(3), "a"))


SPECS: dict[str, Any] = {
    "scope": pl.String,
    "category_id": pl.Int64,
    "name": pl.String,
    "input_type": pl.String,
    "values": pl.List(pl.String),
    "default_value": pl.String,
    "min": pl.Float64,
    "max": pl.Float64,
    "is_track_level": pl.Boolean,
}
ROWS: dict[str, Any] = {
    "sample_id": pl.String,
    "labelset": pl.String,
    "sensor_index": pl.Int32,
    "frame_index": pl.Int32,
    "track_id": pl.Int64,
    "category_id": pl.Int64,
    "attributes": pl.String,
}


def specs(*definitions: dict[str, Any]) -> pl.DataFrame:
    rows = [{**dict.fromkeys(SPECS), "scope": "object", "category_id": 1, **definition} for definition in definitions]
    return pl.DataFrame(rows, SPECS)


def rows_of(*rows: Any) -> pl.DataFrame:
    """Rows of one track and category; each is given by its attributes, or by these and what is other."""
    pairs = [row if isinstance(row, tuple) else (row, {}) for row in rows]
    base = {
        "sample_id": "a",
        "labelset": "ground-truth",
        "sensor_index": 0,
        "frame_index": 0,
        "track_id": 1,
        "category_id": 1,
    }
    return pl.DataFrame(
        [{**base, **other, "attributes": None if value is None else json.dumps(value)} for value, other in pairs], ROWS
    )


def unpacked(rows: pl.DataFrame, definitions: pl.DataFrame, **options: Any) -> pl.DataFrame:
    found = everywhere(unpack_attributes(rows.lazy(), definitions, **options))
    assert found.select(rows.columns).equals(rows)
    return found.drop(rows.columns)


def problems(found: pl.DataFrame) -> list[list[tuple[str, str, str]]]:
    return [[tuple(problem.values()) for problem in row] for row in found["attribute_problems"].to_list()]


EVERY_TYPE = specs(
    {"name": "s", "input_type": "select", "values": ["a", "b"], "default_value": '"b"'},
    {"name": "t", "input_type": "text", "default_value": '"none \\u00e9"'},
    {"name": "m", "input_type": "multiselect", "values": ["p", "q"], "default_value": '["p"]'},
    {"name": "n", "input_type": "number", "min": 1.0, "max": 5.0, "default_value": "4"},
    {"name": "c", "input_type": "checkbox", "default_value": "false"},
    {"name": "v", "input_type": "vector3"},
    {"name": "q", "input_type": "quaternion", "default_value": '{"qx":0,"qy":0,"qz":0,"qw":1}'},
    {"name": "p", "input_type": "points", "default_value": "[[1,2]]"},
    {"name": "new", "input_type": "slider"},
    {"name": "weather", "scope": "image", "category_id": None, "input_type": "select"},
    {"name": "follows", "scope": "link", "input_type": "text"},
)


def test_an_empty_list_of_values_allows_all() -> None:
    anything = specs(
        {"name": "s", "input_type": "select", "values": []}, {"name": "m", "input_type": "multiselect", "values": []}
    )
    found = unpacked(rows_of({"s": "red", "m": ["a"]}, {"s": 1, "m": [2]}), anything)
    assert [[name for name, *_ in row] for row in problems(found)] == [[], ["s", "m"]]


def test_types_and_defaults() -> None:
    vector, turn = {"x": 1.0, "y": 2.0, "z": 3.0}, {"qx": 0.0, "qy": 1.5, "qz": 0.0, "qw": 0.0}
    full = {
        "s": "a",
        "t": "",
        "m": [],
        "n": 5,
        "c": True,
        "v": vector,
        "q": turn,
        "p": [[1, 2]],
        "new": 3,
        "undefined": 1,
    }
    found = unpacked(rows_of(full, {}, None, {"n": None}, ({"s": "a"}, {"category_id": 2})), EVERY_TYPE)
    text = pl.String
    assert found.schema == {
        **{"s": text, "t": text, "m": pl.List(text), "n": pl.Float64, "c": pl.Boolean, "v": XYZ, "q": XYZW},
        **{"p": text, "new": text},
        "attribute_problems": pl.List(pl.Struct({"name": text, "value": text, "expected": text})),
    }
    defaults = (
        "b",
        "none é",
        ["p"],
        4.0,
        False,
        None,
        {"qx": 0.0, "qy": 0.0, "qz": 0.0, "qw": 1.0},
        "[[1,2]]",
        None,
        [],
    )
    assert found.rows() == [
        ("a", "", [], 5.0, True, vector, turn, "[[1,2]]", "3", []),
        *[defaults] * 3,
        ("a", *[None] * 8, []),
    ]
    bare = unpacked(rows_of(full, {}), EVERY_TYPE, defaults=False)
    assert bare.rows() == [found.row(0), (*[None] * 9, [])]


def test_attributes_that_are_too_deep() -> None:
    rows = rows_of({"s": "a"}, {"s": "a"}).with_columns(attributes=pl.Series([deep(5000), '{"s": "a"}']))
    found = unpacked(rows, EVERY_TYPE, defaults=False)
    assert found.select("s", "attribute_problems").rows() == [(None, []), ("a", [])]


def test_contradictions_are_kept_and_reported() -> None:
    wrong = {"s": "z", "t": 3, "m": ["q", "x"], "n": 9, "c": "true", "v": {"x": 1, "y": 2}, "q": [1], "p": {"a": 1}}
    other = {"s": 1, "m": "q", "n": "2", "c": 1, "v": {"x": "1", "y": 2, "z": 3}, "q": None, "new": []}
    found = unpacked(rows_of(wrong, other, {"m": [None], "n": 0.5}), EVERY_TYPE)
    vector = {"x": 1.0, "y": 2.0, "z": None}
    assert found.row(0)[:-1] == ("z", "3", ["q", "x"], 9.0, None, vector, None, '{"a":1}', None)
    assert found.row(1)[:6] == ("1", "none é", None, None, None, None)
    assert problems(found) == [
        [
            ("s", '"z"', "one of `a`, `b`"),
            ("t", "3", "a string"),
            ("m", '["q","x"]', "an array of `p`, `q`"),
            ("n", "9", "a number from 1 to 5"),
            ("c", '"true"', "true or false"),
            ("v", '{"x":1,"y":2}', "an object of numbers x, y, z"),
            ("q", "[1]", "an object of numbers qx, qy, qz, qw"),
            ("p", '{"a":1}', "an array"),
        ],
        [
            ("s", "1", "one of `a`, `b`"),
            ("m", '"q"', "an array of `p`, `q`"),
            ("n", '"2"', "a number from 1 to 5"),
            ("c", "1", "true or false"),
            ("v", '{"x":"1","y":2,"z":3}', "an object of numbers x, y, z"),
        ],
        [("m", "[null]", "an array of `p`, `q`"), ("n", "0.5", "a number from 1 to 5")],
    ]


def test_what_definitions_leave_open() -> None:
    definitions = specs(
        {"name": "s", "input_type": "select"},
        {"name": "m", "input_type": "multiselect"},
        {"name": "low", "input_type": "number", "min": -0.5},
        {"name": "high", "input_type": "number", "max": 1e6},
        {"name": "any", "input_type": "number"},
    )
    fine = {"s": "x", "m": ["x"], "low": 1e9, "high": -1e9, "any": 0}
    found = unpacked(rows_of(fine, {"s": 1, "m": [1], "low": -1, "high": 2e6, "any": True}), definitions)
    expected = ["a string", "an array of strings", "a number from -0.5", "a number up to 1e+06", "a number"]
    assert problems(found) == [
        [],
        list(zip(["s", "m", "low", "high", "any"], ["1", "[1]", "-1", "2000000.0", "true"], expected, strict=True)),
    ]


def test_one_name_in_several_categories() -> None:
    same = specs(
        {"name": "n", "input_type": "number", "default_value": "1"},
        {"name": "n", "input_type": "number", "default_value": "2", "max": 9.0, "category_id": 2},
    )
    rows = rows_of(*[(value, {"category_id": c}) for c in (1, 2, 3) for value in ({}, {"n": 10})])
    found = unpacked(rows, same)
    assert found["n"].to_list() == [1, 10, 2, 10, None, 10]
    assert problems(found) == [[], [], [], [("n", "10", "a number up to 9")], [], []]
    other = specs(
        {"name": "n", "input_type": "number", "default_value": "1", "min": 11.0},
        {"name": "n", "input_type": "checkbox", "default_value": "true", "category_id": 2},
        {"name": "n", "input_type": "text", "default_value": '"x"', "category_id": 3},
    )
    found = unpacked(rows, other)
    assert found["n"].to_list() == ["1", "10", "true", "10", "x", "10"]
    names = [("n", "10", expected) for expected in ("a number from 11", "true or false", "a string")]
    assert problems(found) == [[], [names[0]], [], [names[1]], [], [names[2]]]


def test_values_of_the_whole_track() -> None:
    definitions = specs(
        {"name": "n", "input_type": "number", "is_track_level": True, "default_value": "7"},
        {"name": "n", "input_type": "number", "default_value": "8", "category_id": 2},
        {"name": "v", "input_type": "vector3", "is_track_level": True},
    )
    vector = {"x": 1, "y": 2, "z": 3}
    rows = rows_of(
        ({"n": 3, "v": vector}, {"frame_index": 3}),
        (None, {"frame_index": 0}),
        ({"n": 2}, {"frame_index": 1}),
        ({"n": 2.0, "v": {**vector, "x": 0}}, {"frame_index": 5}),
        ({}, {"track_id": 2}),
        ({}, {"track_id": 3, "category_id": 2}),
        ({"n": 1}, {"track_id": 3, "category_id": 2, "frame_index": 1}),
        ({}, {"track_id": None}),
        ({"n": 1}, {"track_id": None}),
        ({"n": "wrong"}, {"track_id": 4}),
        ({}, {"track_id": 4, "frame_index": 1}),
        ({}, {"sensor_index": 1}),
        ({}, {"labelset": "model"}),
    )
    found = unpacked(rows, definitions)
    assert found["n"].to_list() == [3, 2, 2, 2, 7, 8, 1, 7, 1, None, None, 7, 7]
    assert [value and value["x"] for value in found["v"].to_list()] == [1, 1, 1, 0, *[None] * 9]
    wrong = [[] for _ in range(13)]
    wrong[0] = [("n", "3", "the track's value 2")]
    wrong[3] = [("v", '{"x":0,"y":2,"z":3}', 'the track\'s value {"x":1,"y":2,"z":3}')]
    wrong[9] = [("n", '"wrong"', "a number")]
    assert problems(found) == wrong
    bare = unpacked(rows, definitions, defaults=False)["n"].to_list()
    assert bare == [3, 2, 2, 2, None, None, 1, None, 1, None, None, None, None]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3), st.sampled_from([None, 1, 2, "x", True])), max_size=12))
def test_agrees_with_a_loop(rows: list[tuple[int, int, Any]]) -> None:
    definitions = specs(
        {"name": "n", "input_type": "number", "is_track_level": True, "default_value": "7", "max": 1.5},
        {"name": "n", "input_type": "number", "default_value": "8", "category_id": 2},
    )
    given_rows = rows_of(
        *(
            ({} if value is None else {"n": value}, {"frame_index": place, "track_id": track, "category_id": category})
            for place, (track, category, value) in enumerate(rows)
        )
    )
    first: dict[int, Any] = {}
    expected, wrong = [], []
    for track, category, value in rows:
        if category == 1 and value is not None:
            first.setdefault(track, value)
    for track, category, value in rows:
        taken = value if value is not None else {1: first.get(track, 7), 2: 8}.get(category)
        number = as_number(taken)
        expected.append(number)
        is_wrong = value is not None and category < 3 and (number is None or (category == 1 and number > 1.5))
        is_other = category == 1 and value is not None and as_number(value) != as_number(first[track])
        differs = is_other and as_number(value) is not None and as_number(first[track]) is not None
        wrong.append(int(is_wrong) + int(differs))
    found = unpacked(given_rows, definitions)
    assert found["n"].to_list() == expected
    assert [len(row) for row in problems(found)] == wrong


def test_a_release() -> None:
    tables = al.decode_labels([release("pointcloud-cuboid-sequence", seed=3, samples=2)])
    rows = pl.DataFrame(tables.cuboids)
    found = unpacked(rows, tables.attribute_specs, prefix="attribute_").rename(
        {"attribute_attribute_problems": "problems"}
    )
    assert found.columns == [f"attribute_{name}" for name in ("occlusion", "parked", "lights", "plate", "doors")] + [
        "problems"
    ]
    for text, *row, wrong in pl.concat([rows.select("attributes"), found], how="horizontal").rows():
        document = json.loads(text)
        assert row == [document.get(name) for name in ("occlusion", "parked", "lights", "plate", "doors")]
        assert wrong == []


def test_empty_frames_and_no_definitions() -> None:
    rows = rows_of({"s": "a"}, None)
    assert unpacked(rows.clear(), EVERY_TYPE).schema == unpacked(rows, EVERY_TYPE).schema
    assert unpacked(rows, specs()).rows() == [([],), ([],)]
    assert unpacked(rows.clear(), specs()).rows() == []
    nothing = rows.with_columns(attributes=pl.lit(None), category_id=pl.lit(None))
    assert unpacked(nothing, EVERY_TYPE)["s"].to_list() == [None, None]


def test_wrong_input() -> None:
    rows = rows_of({}).lazy()
    with pytest.raises(al.SchemaError, match=r"Expected columns `category_id`, `attributes`, got sample_id, "):
        unpack_attributes(rows.drop("attributes", "category_id"), EVERY_TYPE)
    with pytest.raises(al.SchemaError, match=r"Expected columns `input_type`, got .* - in attribute_specs"):
        unpack_attributes(rows, EVERY_TYPE.drop("input_type"))
    with pytest.raises(
        al.SchemaError, match=r"Expected a list of text, got `String` - in column `values` - in attribute"
    ):
        unpack_attributes(rows, EVERY_TYPE.with_columns(values=pl.lit("x")))
    for name, prefix in (("track_id", ""), ("x_id", "")):
        with pytest.raises(al.SchemaError, match=rf"Expected no other column `{name}` .*: choose another `prefix`"):
            unpack_attributes(rows.with_columns(x_id=1), specs({"name": name, "input_type": "text"}), prefix=prefix)
    with pytest.raises(al.SchemaError, match=r"Expected no other column `attribute_problems`"):
        unpack_attributes(rows, specs({"name": "attribute_problems", "input_type": "text"}))
    twice = specs({"name": "a", "input_type": "text"}, {"name": "a", "input_type": "number"})
    with pytest.raises(al.SchemaError, match=r"Expected one definition of `a` for category 1, got two that differ"):
        unpack_attributes(rows, twice)
    assert unpacked(rows_of({"a": "x"}), pl.concat([twice.head(1)] * 2))["a"].to_list() == ["x"]
    shared = specs({"name": "a", "input_type": "text", "is_track_level": True})
    with pytest.raises(al.SchemaError, match=r"Expected columns `labelset`, got sample_id, "):
        unpack_attributes(rows.drop("labelset"), shared)
    with pytest.raises(al.SchemaError, match=r"Expected column `track_id` or `id`, got sample_id, "):
        unpack_attributes(rows.drop("track_id"), shared)


def test_the_plan_streams() -> None:
    definitions = specs({"name": "n", "input_type": "number", "is_track_level": True})
    assert "in-memory-map" not in physical_nodes(unpack_attributes(rows_of({}).lazy(), definitions))
    frame = pl.LazyFrame({"attributes": ["{}"]})
    assert "in-memory-map" not in physical_nodes(frame.select(attribute(pl.col("attributes"), "a")))
