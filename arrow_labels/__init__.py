"""Computer-vision labels as Arrow tables, and back to the very same JSON."""

import logging

from arrow_labels.bitmap import (
    bitmap_runs,
    coco_to_rle,
    decode_bitmap,
    encode_bitmap,
    mask_table,
    mask_to_rle,
    rle_to_coco,
    rle_to_mask,
)
from arrow_labels.bitmap_files import read_bitmap, write_bitmap
from arrow_labels.checks import check_labels
from arrow_labels.comparison import Comparison, compare_labels
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
    WorkerError,
)
from arrow_labels.expressions import ExprLabels, FrameLabels
from arrow_labels.extension import register, to_extension, to_storage, unregister
from arrow_labels.geoarrow import to_geoarrow
from arrow_labels.inspection import inspect_labels
from arrow_labels.masks import read_masks
from arrow_labels.read import iter_labels, read_labels
from arrow_labels.scan import scan_labels
from arrow_labels.schema import SCHEMA_VERSION, SCHEMAS
from arrow_labels.segment_places import mask_indices, masks_to_bitmap, point_indices
from arrow_labels.segmentation import SemanticMap, point_categories, semantic_map
from arrow_labels.tables import LabelTables
from arrow_labels.write.convert import convert_labels
from arrow_labels.write.delta import read_delta, write_delta
from arrow_labels.write.duckdb import duckdb_views
from arrow_labels.write.hugging_face import from_datasets, to_datasets
from arrow_labels.write.iceberg import read_iceberg, write_iceberg
from arrow_labels.write.lance import read_lance, write_lance
from arrow_labels.write.parquet import write_parquet
from arrow_labels.write.stored import iter_parquet, read_parquet
from arrow_labels.write.update import update_parquet

__version__ = "0.1.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())  # Quiet unless the application says otherwise.

__all__ = [
    "SCHEMAS",
    "SCHEMA_VERSION",
    "ArrowLabelsError",
    "BitmapError",
    "Comparison",
    "DecodeError",
    "ExprLabels",
    "FetchError",
    "FrameLabels",
    "LabelTables",
    "MissingExtraError",
    "SchemaError",
    "SemanticMap",
    "TargetError",
    "WorkerError",
    "bitmap_runs",
    "check_labels",
    "coco_to_rle",
    "compare_labels",
    "convert_labels",
    "decode_bitmap",
    "decode_labels",
    "duckdb_views",
    "encode_bitmap",
    "encode_labels",
    "from_datasets",
    "inspect_labels",
    "iter_labels",
    "iter_parquet",
    "mask_indices",
    "mask_table",
    "mask_to_rle",
    "masks_to_bitmap",
    "point_categories",
    "point_indices",
    "read_bitmap",
    "read_delta",
    "read_iceberg",
    "read_labels",
    "read_lance",
    "read_masks",
    "read_parquet",
    "register",
    "rle_to_coco",
    "rle_to_mask",
    "scan_labels",
    "semantic_map",
    "to_datasets",
    "to_extension",
    "to_geoarrow",
    "to_storage",
    "unregister",
    "update_parquet",
    "write_bitmap",
    "write_delta",
    "write_iceberg",
    "write_lance",
    "write_parquet",
    "write_release",
]
