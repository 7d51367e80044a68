import pyarrow as pa
import pytest

from arrow_labels import SCHEMA_VERSION, SCHEMAS
from arrow_labels.schema import ANNOTATION_COLUMNS, ANNOTATION_TABLES, DESCRIPTIONS, KEYS, ROWS

EVERY_ENGINE_READS = {
    pa.int32(),
    pa.int64(),
    pa.float64(),
    pa.bool_(),
    pa.string(),
    pa.timestamp("us", "UTC"),
}


def leaves(type_: pa.DataType) -> set[pa.DataType]:
    if pa.types.is_list(type_):
        return leaves(type_.value_type)
    if pa.types.is_struct(type_):
        return set().union(*(leaves(field.type) for field in type_))
    return {type_}


def test_there_are_fourteen_tables() -> None:
    assert len(SCHEMAS) == 14
    assert set(DESCRIPTIONS) == set(ROWS) == set(SCHEMAS)


@pytest.mark.parametrize("table", SCHEMAS)
def test_storage_types_are_those_that_every_engine_reads(table: str) -> None:
    schema = SCHEMAS[table]
    assert set().union(*(leaves(field.type) for field in schema)) <= EVERY_ENGINE_READS
    assert all(field.nullable for field in schema)
    assert schema.metadata == {b"arrow_labels": str(SCHEMA_VERSION).encode()}


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_column_is_described(table: str) -> None:
    assert list(DESCRIPTIONS[table]) == SCHEMAS[table].names
    assert all(text.endswith(".") and len(text) > 10 for text in DESCRIPTIONS[table].values())


def test_keys_and_the_annotation_block() -> None:
    assert all(set(key) <= set(SCHEMAS[table].names) for table, key in KEYS.items())
    for table in ANNOTATION_TABLES:
        assert tuple(SCHEMAS[table].names[: len(ANNOTATION_COLUMNS)]) == ANNOTATION_COLUMNS
