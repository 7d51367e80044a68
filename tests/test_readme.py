"""The README is true."""

from pathlib import Path

import pytest
from readme import README, RULE_TABLE, TABLES, outputs, rule_reference, table_reference

TEXT = README.read_text()


def test_the_table_reference_is_the_schema() -> None:
    found = TABLES.search(TEXT)
    assert found is not None
    assert found.group() == table_reference()


def test_the_rule_reference_is_the_rules() -> None:
    found = RULE_TABLE.search(TEXT)
    assert found is not None
    assert found.group() == rule_reference()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:duckdb")
def test_the_code_runs_and_prints_what_is_shown(tmp_path: Path) -> None:
    blocks = outputs(TEXT, tmp_path)
    assert len(blocks) >= 9
    assert [shown for shown, _ in blocks] == [printed for _, printed in blocks]


def test_the_first_shell_lines_install() -> None:
    lines = [block.split("```")[0].strip() for block in TEXT.split("```sh\n")[1:3]]
    assert lines[0].startswith("python -m pip install . && arrow-labels convert ")
    assert lines[1] == "python -m pip install '.[test]' && python -m pytest"
