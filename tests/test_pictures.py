"""The pictures of the conventions are what their script draws."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
NAMES = ("cuboid", "frames", "keyframes", "pixels")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    subprocess.run([sys.executable, NOTEBOOKS / "pictures.py", folder], check=True)
    return folder


def texts(path: Path) -> list[str | None]:
    return [text.text for text in ElementTree.parse(path).iter(f"{SVG}text")]


def lines(path: Path) -> npt.NDArray[np.float64]:
    """The numbers of all lines, in points; those of texts depend on the version of matplotlib."""
    found = (line.attrib["d"] for line in ElementTree.parse(path).iter(f"{SVG}path"))
    return np.array(re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", " ".join(found)), np.float64)


def test_every_picture_is_there(drawn: Path) -> None:
    assert {path.stem for path in drawn.iterdir()} == set(NAMES)
    assert {path.stem for path in (NOTEBOOKS / "pictures").iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_picture_is_what_the_script_draws(drawn: Path, name: str) -> None:
    found, kept = drawn / f"{name}.svg", NOTEBOOKS / "pictures" / f"{name}.svg"
    assert texts(found) == texts(kept)
    assert lines(found).shape == lines(kept).shape
    assert np.abs(lines(found) - lines(kept)).max() < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_says_nothing_of_when_and_where_it_was_drawn(drawn: Path, name: str) -> None:
    text = (drawn / f"{name}.svg").read_text()
    assert "<dc:date>" not in text
    assert "<dc:creator>" not in text
    assert str(Path.home()) not in text
