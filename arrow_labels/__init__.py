"""Computer-vision labels as Arrow tables, and back to the very same JSON."""

from arrow_labels.decode import decode_labels
from arrow_labels.encode import encode_labels, write_release
from arrow_labels.errors import (
    ArrowLabelsError,
    BitmapError,
    DecodeError,
    FetchError,
    MissingExtraError,
    SchemaError,
    TargetError,
)
from arrow_labels.inspection import inspect_labels
from arrow_labels.read import iter_labels, read_labels
from arrow_labels.schema import SCHEMA_VERSION, SCHEMAS
from arrow_labels.tables import LabelTables
from arrow_labels.write.parquet import read_parquet, write_parquet

__version__ = "0.1.0"

__all__ = [
    "SCHEMAS",
    "SCHEMA_VERSION",
    "ArrowLabelsError",
    "BitmapError",
    "DecodeError",
    "FetchError",
    "LabelTables",
    "MissingExtraError",
    "SchemaError",
    "TargetError",
    "decode_labels",
    "encode_labels",
    "inspect_labels",
    "iter_labels",
    "read_labels",
    "read_parquet",
    "write_parquet",
    "write_release",
]
