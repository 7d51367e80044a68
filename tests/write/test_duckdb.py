"""Views over a folder of Parquet files."""

from pathlib import Path

import duckdb
import pytest
from generate import release

import arrow_labels as al
from arrow_labels.schema import DESCRIPTIONS, ROWS, SCHEMAS

TABLES = al.decode_labels([release("pointcloud-cuboid-sequence", samples=2, frames=4)])


def test_views_say_what_they_are(tmp_path: Path) -> None:
    al.write_parquet(TABLES, tmp_path / "it's")
    with duckdb.connect(tmp_path / "file.duckdb") as connection:
        for _ in range(2):
            connection.execute(al.duckdb_views(tmp_path / "it's"))
    with duckdb.connect(tmp_path / "file.duckdb", read_only=True) as connection:
        views = dict(connection.sql("SELECT view_name, comment FROM duckdb_views() WHERE NOT internal").fetchall())
        assert views == {name: f"One row: {text}." for name, text in ROWS.items()}
        columns = connection.sql(
            "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal ORDER BY ALL"
        ).fetchall()
        assert columns == sorted(
            (name, column, text) for name in SCHEMAS for column, text in DESCRIPTIONS[name].items()
        )
        for name, table in TABLES:
            assert connection.execute(f"SELECT count(*) FROM {name}").fetchone() == (table.num_rows,)


def test_views_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    al.write_parquet(TABLES, "out")
    script = al.duckdb_views("out")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with duckdb.connect() as connection:
        connection.execute(script)
        found = connection.execute(
            "SELECT count(*), sum(c.attributes->>'$.occlusion' = 'none') FROM cuboids c "
            "JOIN sample_frames f USING (sample_id, sensor_index, frame_index) WHERE f.ego_x IS NOT NULL"
        ).fetchone()
        assert found is not None
        assert found[0] == TABLES.cuboids.num_rows
        assert 0 < found[1] < found[0]


def test_urls_stay_urls() -> None:
    al.write_parquet(TABLES, "memory://views/out", mode="overwrite")
    assert "read_parquet(['memory:///views/out/cuboids/part-00000.parquet'])" in al.duckdb_views("memory://views/out")


def test_a_folder_that_is_not_complete_is_refused(tmp_path: Path) -> None:
    with pytest.raises(al.TargetError, match="Expected a folder of tables, got nothing"):
        al.duckdb_views(tmp_path / "nothing")
