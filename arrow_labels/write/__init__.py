"""LabelTables -> stores: one file a sink."""
