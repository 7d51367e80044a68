"""The Polars namespace `labels`, on expressions, LazyFrames and DataFrames."""
