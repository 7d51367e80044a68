"""Computer-vision labels as Arrow tables, and back to the very same JSON."""

import logging

import lazy_loader

from arrow_labels.expressions import ExprLabels, FrameLabels

__version__ = "0.1.0"

# What `__init__.pyi` names is imported when it is first used; the namespaces of Polars are there at once.
__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)

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
