"""Keyframes of full labels."""

from __future__ import annotations

import polars as pl

from arrow_labels.expressions.tracks import UNTIL, in_order, is_overruled, segments, track_rows, with_starts


def keyframes(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Reduce full labels to their keyframes.

    `interpolate` gives the rows between them back. What a hole in a track says is kept: `until_frame` is the frame
    after the last one on which the object is there before its next keyframe.

    Parameters
    ----------
    frame : LazyFrame
        Annotations with all their frames: `sample_id`, `labelset`, `sensor_index`, `frame_index`, `track_id` or `id`,
        and `is_keyframe`. Rows whose `is_keyframe` is null are keyframes. Where a row of a track has the same frame
        as another, a keyframe counts rather than another row, and of two the last one (`duplicate_keyframes` gives
        the others).

    Returns
    -------
    LazyFrame
        The keyframes, as they are, sorted by label, sensor, object and frame, and the column `until_frame` (an
        integer like `frame_index`): the object is there on the frames from `frame_index` up to but not including
        `until_frame`. Of a track that does not start with a keyframe, at first or after a hole, the first row is kept
        as if it were one (its `is_keyframe` stays false): nothing is lost. An `until_frame` that is there already is
        not made smaller, so keyframes of keyframes are the same.

    Raises
    ------
    SchemaError
        A column is missing, or of another kind.

    Examples
    --------
    >>> import polars as pl
    >>> import arrow_labels
    >>> boxes = pl.DataFrame({"sample_id": "a", "labelset": "ground-truth", "sensor_index": 0, "track_id": 7,
    ...     "frame_index": [0, 1, 2, 5, 6], "is_keyframe": [True, False, False, True, False]})
    >>> boxes.labels.keyframes().select("frame_index", "until_frame").rows()
    [(0, 3), (5, 7)]
    """
    frame, schema = track_rows(frame, "is_keyframe")
    rows = in_order(frame, schema, "frame_index").filter(is_overruled().not_())
    rows = segments(with_starts(rows))
    until = pl.max_horizontal(UNTIL, "__until") if UNTIL in schema else pl.col("__until")
    return rows.select(*(name for name in schema if name != UNTIL), until.alias(UNTIL))


def duplicate_keyframes(frame: pl.LazyFrame) -> pl.LazyFrame:
    """The rows that `keyframes` and `interpolate` leave out, as their track has another row on the same frame.

    Parameters
    ----------
    frame : LazyFrame
        Annotations: `sample_id`, `labelset`, `sensor_index`, `frame_index`, and `track_id` or `id`.

    Returns
    -------
    LazyFrame
        Those rows, as they are, sorted by label, sensor, object and frame. Of rows for the same frame of a track a
        keyframe counts rather than another row, and of two the last one; the others are here.

    Raises
    ------
    SchemaError
        A column is missing, or of another kind.

    Examples
    --------
    >>> import polars as pl
    >>> import arrow_labels
    >>> boxes = pl.DataFrame({"sample_id": "a", "labelset": "ground-truth", "sensor_index": 0, "track_id": 7,
    ...     "frame_index": [0, 4, 4], "is_keyframe": True, "category_id": [1, 1, 2]})
    >>> boxes.labels.duplicate_keyframes().select("frame_index", "category_id").rows()
    [(4, 1)]
    """
    frame, schema = track_rows(frame)
    return in_order(frame, schema, "frame_index").filter(is_overruled()).select(*schema)
