"""The parts of the README that are made: `python tests/readme.py` writes them anew."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from check_cases import example
from jvm import end_jvm

from arrow_labels.checks import RULES
from arrow_labels.schema import DESCRIPTIONS, ROWS, SCHEMAS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TABLES = re.compile(r"(?<=<!-- tables -->\n).*?(?=<!-- /tables -->)", re.DOTALL)
RULE_TABLE = re.compile(r"(?<=<!-- rules -->\n).*?(?=<!-- /rules -->)", re.DOTALL)
BLOCK = re.compile(r"```(python|sh)\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL)


def table_reference() -> str:
    """The reference of tables and columns, from the schema."""
    parts = []
    for table, schema in SCHEMAS.items():
        lines = [f"\n### `{table}`: {ROWS[table]}\n", "| column | type | meaning |", "| --- | --- | --- |"]
        for field in schema:
            text = DESCRIPTIONS[table][field.name].replace("|", "\\|")
            type_ = str(field.type).replace("element: ", "").replace("item: ", "")
            lines.append(f"| `{field.name}` | `{type_}` | {text} |")
        parts.append("\n".join(lines) + "\n")
    return "".join(parts) + "\n"


def rule_reference() -> str:
    """The rules of `check_labels`, each with what it says of a label that breaks it."""
    lines = ["\n| rule | severity | finds | example |", "| --- | --- | --- | --- |"]
    with tempfile.TemporaryDirectory() as folder:
        for name, rule in RULES.items():
            found = example(name, Path(folder))
            message = found["message"].replace("|", "\\|")
            lines.append(f"| `{name}` | {rule.severity} | {rule.finds} | {message}. |")
    return "\n".join(lines) + "\n\n"


def run(code: str, names: dict[str, Any]) -> str:
    """What a block of code prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), names)
    return printed.getvalue()


def convert(line: str) -> str:
    """What a command prints, without the installation before it."""
    command = line.rpartition("arrow-labels ")[2].split()
    done = subprocess.run(
        [sys.executable, "-m", "arrow_labels.cli", *command], capture_output=True, text=True, check=True
    )
    return done.stdout


def outputs(readme: str, folder: Path) -> list[tuple[str, str]]:
    """For each block that shows what it prints: what it shows, and what it prints; run in a folder with the data."""
    (folder / "tests").symlink_to(ROOT / "tests")
    before = Path.cwd()
    os.chdir(folder)
    try:
        names: dict[str, Any] = {}
        found = []
        for language, code, shown in BLOCK.findall(readme):
            if language == "python":
                printed = run(code, names)
                assert printed == "" or shown, f"prints, but does not show: {code}"
            elif "convert" in code:
                printed = convert(code)
            else:
                continue
            found.append((shown, printed))
        return found
    finally:
        os.chdir(before)
        end_jvm()


def main() -> None:
    """Write what is made into the README."""
    text = TABLES.sub(lambda _: table_reference(), README.read_text())
    text = RULE_TABLE.sub(lambda _: rule_reference(), text)
    folder = Path(tempfile.mkdtemp())
    for shown, printed in outputs(text, folder):
        if shown:
            text = text.replace(f"```text\n{shown}```", f"```text\n{printed}```", 1)
    shutil.rmtree(folder)
    README.write_text(text)


if __name__ == "__main__":
    main()
