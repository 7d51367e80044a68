"""Running a query in every engine."""

import re

import polars as pl
from polars.testing import assert_frame_equal


def everywhere(query: pl.LazyFrame) -> pl.DataFrame:
    """What a query gives, which is the same in both engines, and has the columns that its schema promises."""
    found = query.collect(engine="in-memory")
    assert_frame_equal(query.collect(engine="streaming"), found, check_exact=True)
    assert found.schema == query.collect_schema()
    return found


def physical_nodes(query: pl.LazyFrame) -> set[str]:
    """The kinds of nodes in the plan of the streaming engine."""
    plan = query.show_graph(engine="streaming", plan_stage="physical", raw_output=True)
    assert plan is not None
    return set(re.findall(r'label="([\w-]+)', plan))
