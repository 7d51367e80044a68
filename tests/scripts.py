"""Scripts that share their work with other processes, and what is left of them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def children(pid: int | str = "self") -> list[int]:
    found = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for text in found for child in text.split()]


def leftovers(folder: Path) -> list[str]:
    """What is in a folder, and what is in that of temporary files, whichever lives longer than it shall."""
    return sorted(path.name for path in folder.iterdir())


def run_script(tmp_path: Path, *lines: str, **options: Any) -> "subprocess.Popen[str]":
    """A script without a guard around its main part, in a session of its own."""
    script = tmp_path / "script.py"
    head = ["import arrow_labels as al", "from arrow_labels import workers", "workers.WORTH = 0"]
    script.write_text("\n".join([*head, "workers.LEAST_SPAN = 1 << 10", *lines]))
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    return subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment,
        **options,
    )


def in_session(session: int) -> list[int]:
    """The processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of, *_ = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(of) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


def until(reached: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not (found := reached()):
        assert time.monotonic() < end, "it never came to it"
        time.sleep(0.01)
    return found


# --- functions for processes


def fail(error: Exception, *_: Any) -> None:
    raise error


def chatter(*_: Any) -> int:
    print("not a reply", flush=True)
    os.write(1, b"nor this")
    return 3


class OddError(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def modules(*_: Any) -> set[str]:
    return set(sys.modules)


def use_names(*_: Any) -> tuple[str, int]:
    import arrow_labels as al

    return al.__version__, al.decode_labels([{"annotations": [{"id": 1, "category_id": 0}]}]).segments.num_rows


def fail_oddly(*_: Any) -> None:
    raise OddError(1, 2)


def leave(*_: Any) -> None:
    os._exit(3)
