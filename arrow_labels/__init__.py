"""Computer-vision labels as Arrow tables, and back to the very same JSON."""

import logging

import lazy_loader

from arrow_labels.expressions import ExprLabels as ExprLabels
from arrow_labels.expressions import FrameLabels as FrameLabels

__version__ = "0.1.0"

# Imported when they are first used, but for the namespaces of Polars. Type checkers read them in `__init__.pyi`.
_MODULES = [
    "bitmap",
    "checks",
    "decode",
    "encode",
    "errors",
    "expressions",
    "extension",
    "masks",
    "read",
    "scan",
    "schema",
    "tables",
    "write",
]
_NAMES = {
    "bitmap": [
        "bitmap_runs",
        "coco_to_rle",
        "decode_bitmap",
        "encode_bitmap",
        "mask_table",
        "mask_to_rle",
        "rle_to_coco",
        "rle_to_mask",
    ],
    "bitmap_files": ["read_bitmap", "write_bitmap"],
    "checks": ["check_labels"],
    "comparison": ["Comparison", "compare_labels"],
    "decode": ["decode_labels"],
    "encode": ["encode_labels", "write_release"],
    "errors": [
        "ArrowLabelsError",
        "BitmapError",
        "DecodeError",
        "FetchError",
        "MissingExtraError",
        "SchemaError",
        "TargetError",
        "WorkerError",
    ],
    "expressions": ["ExprLabels", "FrameLabels"],
    "extension": ["register", "to_extension", "to_storage", "unregister"],
    "geoarrow": ["to_geoarrow"],
    "inspection": ["inspect_labels"],
    "masks": ["read_masks"],
    "read": ["iter_labels", "read_labels"],
    "scan": ["scan_labels"],
    "schema": ["SCHEMA_VERSION", "SCHEMAS"],
    "segment_places": ["mask_indices", "masks_to_bitmap", "point_indices"],
    "segmentation": ["SemanticMap", "point_categories", "semantic_map"],
    "tables": ["LabelTables"],
    "write.convert": ["convert_labels"],
    "write.delta": ["read_delta", "write_delta"],
    "write.duckdb": ["duckdb_views"],
    "write.hugging_face": ["from_datasets", "to_datasets"],
    "write.iceberg": ["read_iceberg", "write_iceberg"],
    "write.lance": ["read_lance", "write_lance"],
    "write.parquet": ["write_parquet"],
    "write.stored": ["iter_parquet", "read_parquet"],
    "write.update": ["update_parquet"],
}
__getattr__, __dir__, _ = lazy_loader.attach(__name__, _MODULES, _NAMES)
__all__ = [name for names in _NAMES.values() for name in names]

logging.getLogger(__name__).addHandler(logging.NullHandler())  # Quiet unless the application says otherwise.
