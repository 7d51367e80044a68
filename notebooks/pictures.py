"""Draw the pictures of the conventions: `python notebooks/pictures.py [FOLDER]`.

What the library knows comes from it: corners, boxes, runs, coordinates, and the rows between keyframes.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Arc, Polygon, Rectangle

import arrow_labels as al

Numbers = npt.NDArray[np.float64]
View = Callable[[npt.ArrayLike], Numbers]

FOLDER = Path(__file__).parent / "pictures"
INK, FAINT, FILL = "#1f2933", "#8a96a3", "#d6e4f5"
RED, GREEN, BLUE, ORANGE = "#c8322b", "#2f855a", "#2b5fc8", "#b8560d"
SIZE = {"length": 4.4, "width": 2.0, "height": 1.6}
STYLE = {"svg.hashsalt": "arrow_labels", "svg.fonttype": "none", "font.size": 9.0, "text.color": INK}


def panel(figure: Figure, box: tuple[float, float, float, float], x: tuple[float, float], y: float) -> Axes:
    """Make an empty part of a figure, from x[0] to x[1] and from y upwards, with one scale for both."""
    axes = figure.add_axes(box)
    axes.set_axis_off()
    width, height = figure.get_size_inches() * box[2:]
    axes.set(xlim=x, ylim=(y, y + (x[1] - x[0]) * height / width))
    return axes


def write(axes: Axes, at: npt.ArrayLike, text: str, colour: str = INK, ha: str = "center", size: float = 9) -> None:
    """Put text at a place."""
    x, y = np.asarray(at)
    axes.text(x, y, text, color=colour, ha=ha, va="center_baseline", fontsize=size)


def arrow(axes: Axes, start: npt.ArrayLike, end: npt.ArrayLike, colour: str = INK, head: str = "-|>") -> None:
    """Draw an arrow, or with another `head` a measure."""
    look = {"arrowstyle": head, "color": colour, "shrinkA": 0, "shrinkB": 0, "linewidth": 1.3}
    axes.annotate("", xy=np.asarray(end), xytext=np.asarray(start), arrowprops=look)


def shape(axes: Axes, points: Numbers) -> None:
    """Draw a filled outline."""
    axes.add_patch(Polygon(points, facecolor=FILL, edgecolor=INK, linewidth=1.3, joinstyle="round"))


def dashed(axes: Axes, points: npt.ArrayLike) -> None:
    """Draw a dashed line."""
    axes.plot(*np.asarray(points).T, color=FAINT, linewidth=1, dashes=(4, 3))


def triad(axes: Axes, at: npt.ArrayLike, vectors: npt.ArrayLike, names: str = "xyz", size: float = 9) -> None:
    """Draw the axes of a frame of reference, which the view has made flat already."""
    for vector, name, colour in zip(np.asarray(vectors), names, (RED, GREEN, BLUE), strict=False):
        arrow(axes, at, at + vector, colour)
        write(axes, at + vector * (1 + 0.2 / np.linalg.norm(vector)), name, colour, size=size)


def seen_from(azimuth: float, elevation: float) -> View:
    """Project x forward, y left, z up along a direction of so many degrees, onto right and up."""
    a, e = np.radians([azimuth, elevation])
    right, up = [np.sin(a), -np.cos(a), 0], [np.cos(a) * np.sin(e), np.sin(a) * np.sin(e), np.cos(e)]
    return lambda points: np.asarray(points, float) @ np.array([right, up]).T


def turned(yaw: float) -> Numbers:
    """Give the axes x and y of something turned by yaw, seen from above."""
    return np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]])


def corners_of(x: float, y: float, yaw: float) -> Numbers:
    """Give the eight corners of a cuboid in the order of the library."""
    frame = pl.DataFrame([{"x": x, "y": y, "z": 0.0, "yaw": yaw, **SIZE}]).labels.corners()
    return frame["corners"].explode().struct.unnest().to_numpy()


def cuboid() -> Figure:
    """Length, width and height of a cuboid, its corners, and its yaw."""
    figure = Figure(figsize=(8, 3.4))
    axes = panel(figure, (0, 0, 0.54, 1), (-3.0, 3.5), -2.7)
    view = seen_from(48, 27)
    corners = corners_of(0, 0, 0)
    flat = view(corners)
    for face in ([1, 2, 6, 5], [2, 3, 7, 6], [4, 5, 6, 7]):
        shape(axes, flat[face])
    for hidden in ([0, 1], [0, 3], [0, 4]):
        dashed(axes, flat[hidden])
    for number, place in enumerate(flat):
        write(axes, place * (1 + 0.17 / np.linalg.norm(place)), str(number))
    for name, edge, aside, text in (
        ("length", [2, 3], (0, -0.45, -0.15), (0.12, -0.16)),
        ("width", [1, 2], (-0.45, 0, -0.15), (-0.12, -0.16)),
        ("height", [3, 7], (0.25, -0.25, 0), (0.12, 0)),
    ):
        ends = view(corners[edge] + aside)
        arrow(axes, ends[0], ends[1], FAINT, head="<|-|>")
        write(axes, ends.mean(axis=0) + text, name, ha="right" if name == "width" else "left")
    triad(axes, (2.3, -2.4), view(np.eye(3) * 0.9))
    arrow(axes, view((0, 0, 0.8)), view((1.7, 0, 0.8)), ORANGE)
    write(axes, view((-0.15, 0, 0.8)), "heading", ORANGE, ha="right")

    axes = panel(figure, (0.54, 0, 0.46, 1), (-3.4, 3.9), -3.2)
    yaw = 0.6
    flat = corners_of(0, 0, yaw)[:, :2]
    shape(axes, flat[:4])
    for number, place in enumerate(flat[:4]):
        write(axes, place * (1 + 0.42 / np.linalg.norm(place)), f"{number}, {number + 4}")
    dashed(axes, [(0, 0), (3.5, 0)])
    arrow(axes, (0, 0), 3.5 * turned(yaw)[0], ORANGE)
    axes.add_patch(Arc((0, 0), 6.2, 6.2, theta1=0, theta2=np.degrees(yaw), color=ORANGE, linewidth=1.3))
    write(axes, 3.25 * turned(yaw / 2)[0], "yaw", ORANGE, ha="left")
    axes.plot(0, 0, "o", color=INK, markersize=4)
    write(axes, (-0.2, 0.25), "centre", ha="right")
    triad(axes, (2.2, -2.8), turned(0) * 1.1)
    write(axes, (-3.2, -2.8), "seen from above", ha="left", size=8)
    return figure


def pixels() -> Figure:
    """The half-open box of a mask, and its run lengths."""
    mask = np.zeros((5, 6), np.int64)
    mask[1, 3] = mask[2, 2:5] = mask[3, 3:5] = 1
    figure = Figure(figsize=(8, 3.4))
    for left, draw in ((0.0, draw_box), (0.5, draw_runs)):
        axes = panel(figure, (left, 0, 0.5, 1), (-2.2, 7.8), -1.5)
        axes.invert_yaxis()
        for row, column in np.ndindex(mask.shape):
            colour = FILL if mask[row, column] else "white"
            axes.add_patch(Rectangle((column, row), 1, 1, facecolor=colour, edgecolor=FAINT, linewidth=0.8))
        draw(axes, mask)
    return figure


def draw_box(axes: Axes, mask: npt.NDArray[np.int64]) -> None:
    """Draw the half-open box around a mask, and the axes of the image."""
    box = al.mask_table(mask).to_pylist()[0]
    for number in range(mask.shape[1]):
        write(axes, (number + 0.5, -0.3), str(number), FAINT)
    for number in range(mask.shape[0]):
        write(axes, (-0.35, number + 0.5), str(number), FAINT)
    triad(axes, (-0.9, -0.85), np.eye(2) * 1.6, names="  ")
    write(axes, (0.9, -0.85), "x, column", RED, ha="left")
    write(axes, (-1.05, 0.5), "y, row", GREEN, ha="right")
    sides = (box["xmax"] - box["xmin"], box["ymax"] - box["ymin"])
    axes.add_patch(Rectangle((box["xmin"], box["ymin"]), *sides, fill=False, edgecolor=ORANGE, linewidth=2.2))
    for name in ("xmin", "xmax"):
        dashed(axes, [(box[name], box["ymax"]), (box[name], 5.4)])
        write(axes, (box[name], 5.75), f"{name} = {box[name]}", ORANGE)
    for name in ("ymin", "ymax"):
        dashed(axes, [(box["xmax"], box[name]), (6.2, box[name])])
        write(axes, (6.3, box[name]), f"{name} = {box[name]}", ORANGE, ha="left")
    write(axes, (3, 6.5), f"xmin <= column < xmax, area = {box['area']}")


def draw_runs(axes: Axes, mask: npt.NDArray[np.int64]) -> None:
    """Draw the way of the runs through a mask, down each column."""
    height, width = mask.shape
    for number in range(height * width):
        column, row = divmod(number, height)
        write(axes, (column + 0.55, row + 0.5), str(number), INK if mask[row, column] else FAINT, size=7.5)
    for column in range(width):
        arrow(axes, (column + 0.18, 0.25), (column + 0.18, height - 0.25), BLUE)
    write(axes, (3, -0.4), "runs go down each column", BLUE)
    counts = al.mask_to_rle(mask)["counts"]
    write(axes, (3, 5.75), f"counts = {counts}")
    write(axes, (3, 6.5), "first outside, then inside, outside, ...", size=8)


def frames() -> Figure:
    """World, ego and camera coordinates."""
    figure = Figure(figsize=(8, 3.3))
    axes = panel(figure, (0, 0.22, 0.56, 0.78), (-0.8, 12.4), -1.3)
    ego, heading, mount = np.array([4.0, 2.1]), 0.45, np.array([2.2, 0.0])
    camera = ego + mount @ turned(heading)
    shape(axes, ego + (np.array([(2.2, 0.9), (-2.2, 0.9), (-2.2, -0.9), (2.2, -0.9)])) @ turned(heading))
    shape(axes, corners_of(9.7, 4.2, -0.25)[:4, :2])
    for side in (-0.55, 0.55):
        dashed(axes, [camera, camera + 3.4 * turned(heading + side)[0]])
    dashed(axes, [(0, 0), ego])
    triad(axes, (0, 0), turned(0) * 1.3)
    triad(axes, ego, turned(heading) * 1.3, size=8)
    axes.plot(*camera, "s", color=INK, markersize=5)
    write(axes, (0, -0.5), "world")
    write(axes, np.add(ego, (0.1, -0.45)), "ego", ha="left")
    write(axes, np.add(camera, (0.6, -0.65)), "camera", ha="left")
    write(axes, (9.7, 4.2), "an object")

    view = seen_from(52, 33)
    for left, name, vectors in (
        (0.56, "OpenCV", [(0, -1, 0), (0, 0, -1), (1, 0, 0)]),
        (0.78, "OpenGL", [(0, -1, 0), (0, 0, 1), (-1, 0, 0)]),
    ):
        axes = panel(figure, (left, 0.22, 0.22, 0.78), (-1.3, 2.3), -2.2)
        image = view([(2, 0.8, 0.5), (2, -0.8, 0.5), (2, -0.8, -0.5), (2, 0.8, -0.5)])
        shape(axes, image)
        for corner in image:
            dashed(axes, [(0, 0), corner])
        triad(axes, (0, 0), view(vectors))
        write(axes, (0.4, -1.8), name)
    draw_chain(panel(figure, (0, 0, 1, 0.22), (0, 100), 0))
    return figure


def draw_chain(axes: Axes) -> None:
    """Draw the way from the world to pixels, with the methods that go it."""
    places = {"world": 9, "ego": 36, "camera": 63, "pixels": 90}
    for name, x in places.items():
        write(axes, (x, 4.6), name)
    for left, right, there, back in ((9, 36, "to_ego", "to_world"), (36, 63, "to_camera", ""), (63, 90, "project", "")):
        arrow(axes, (left + 5, 4.6), (right - 5, 4.6), INK, head="<|-|>" if back else "-|>")
        write(axes, ((left + right) / 2, 7), there, ORANGE)
        write(axes, ((left + right) / 2, 2.2), back, ORANGE)


def keyframes() -> Figure:
    """Keyframes, the rows between them, and a hole."""
    track = {"sample_id": "a", "labelset": "ground-truth", "sensor_index": 0, "track_id": 1, "is_keyframe": True}
    states = {"frame_index": [0, 4, 10, 13], "x": [1.0, 3.0, 1.5, 2.4], "until_frame": [4, 7, 13, 15]}
    given = pl.DataFrame({**states, **track})
    rows = given.labels.interpolate()
    figure = Figure(figsize=(8, 3.2))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(-1.6, 16.2), ylim=(-1.9, 4.2))
    axes.add_patch(Rectangle((6.5, 0.4), 3, 3.2, facecolor="#f1ece4", edgecolor="none"))
    write(axes, (8, 3.3), "hole: no rows", ORANGE)
    dashed(axes, given.filter(pl.col("frame_index").is_between(4, 10)).select("frame_index", "x"))
    for present in (rows.filter(pl.col("frame_index") < 7), rows.filter(pl.col("frame_index") > 7)):
        axes.plot(*present.select("frame_index", "x"), color=BLUE, linewidth=1.3, zorder=2)
    for key, face in ((True, BLUE), (False, "white")):
        some = rows.filter(pl.col("is_keyframe") == key)
        axes.plot(*some.select("frame_index", "x"), "o", color=BLUE, markerfacecolor=face, markersize=6)
    arrow(axes, (-0.6, 0.4), (15.8, 0.4), INK)
    write(axes, (15.9, 0.1), "frame", ha="right", size=8)
    for frame in range(15):
        write(axes, (frame, 0.1), str(frame), INK if frame in rows["frame_index"] else FAINT, size=8)
    for first, end in given.select("frame_index", "until_frame").iter_rows():
        axes.plot([first, end], [-0.55, -0.55], color=ORANGE, linewidth=1.3)
        axes.plot(first, -0.55, "o", color=ORANGE, markersize=5)
        axes.plot(end, -0.55, "o", color=ORANGE, markerfacecolor="white", markersize=5)
        write(axes, ((first + end) / 2, -0.95), f"until_frame {end}", ORANGE, size=8)
    for x, text, face in ((-0.4, "keyframe", BLUE), (2.9, "row made by interpolate()", "white")):
        axes.plot(x, -1.55, "o", color=BLUE, markerfacecolor=face, markersize=6)
        write(axes, (x + 0.3, -1.55), text, ha="left", size=8)
    return figure


PICTURES = (cuboid, pixels, frames, keyframes)


def main() -> None:
    """Draw all pictures into a folder."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        for draw in PICTURES:
            draw().savefig(folder / f"{draw.__name__}.svg", metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
