"""Small, realistic Segments.ai releases of a street-scene drive, the same on every run.

``python tests/generate.py tests/data`` writes the test data anew.
"""

import io
import json
import math
import random
import sys
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

TASK_TYPES = (
    *("segmentation-bitmap", "segmentation-bitmap-highres", "vector", "bboxes", "keypoints"),
    *("image-segmentation-sequence", "image-vector-sequence"),
    *("pointcloud-segmentation", "pointcloud-cuboid", "pointcloud-vector"),
    *("pointcloud-segmentation-sequence", "pointcloud-cuboid-sequence", "pointcloud-vector-sequence"),
    "multisensor-sequence",
)
SENSORS = (
    ("lidar", "pointcloud-cuboid-sequence"),
    ("lidar-points", "pointcloud-segmentation-sequence"),
    ("camera-front", "image-vector-sequence"),
    ("camera-front-pixels", "image-segmentation-sequence"),
)
BITMAP_URL = "https://example.com/bitmaps/{sample}-{labelset}-{sensor}-{frame}.png"
WIDTH, HEIGHT = 320, 200
START = 1_700_000_000_000_000_000  # nanoseconds; 10 Hz from here on
STATUSES = ("REVIEWED", "LABELED", "REVIEWING_IN_PROGRESS", "REJECTED", "VERIFIED", "SKIPPED")
# name, colour, (length, width, height) in metres, speed in metres a second
CATEGORIES = (
    ("car", [0, 113, 188], (4.5, 1.9, 1.6), 9.0),
    ("truck", [216, 82, 24], (9.0, 2.5, 3.4), 7.0),
    ("pedestrian", [236, 176, 31], (0.6, 0.7, 1.75), 1.4),
    ("cyclist", [125, 46, 141], (1.8, 0.6, 1.7), 4.5),
    ("pole", [118, 171, 47], (0.3, 0.3, 5.0), 0.0),
)
IMAGE_SHAPES = {
    "vector": ("bbox", "bbox", "polygon", "polyline", "point"),
    "image-vector": ("bbox", "bbox", "polygon", "polyline"),
    "bboxes": ("bbox",),
    "keypoints": ("point",),
}
LINKS = [{"from_id": 2, "to_id": 1, "attributes": {"relation": "follows"}}]
MATRIX = [[260.5, 0.0, 160.0], [0.0, 260.5, 100.0], [0.0, 0.0, 1.0]]
DISTORTION = {"model": "fisheye", "coefficients": {"k1": -0.02, "k2": 0.004, "k3": 0.0, "k4": 0.0}}

Json = dict[str, Any]
Ids = npt.NDArray[np.uint32]
Bitmaps = dict[str, Ids]  # by URL


class Track(NamedTuple):
    """One object: its path in the world (metres), its box in the image (pixels), and when it is there."""

    id: int
    category: int
    start: tuple[float, float]
    heading: float
    turn: float  # radians a frame
    speed: float  # metres a second; 0 is parked
    size: tuple[float, ...]  # length, width, height
    box: tuple[float, float, float, float]  # centre x, centre y, width, height
    box_step: tuple[float, float, float, float]  # a frame
    keyframes: tuple[int, ...]
    hole: range
    occlusion: int


def tracks(seed: str, frames: int, objects: int) -> list[Track]:
    """Make the objects of one scene; the second has a hole (a remove-keyframe) if it is long enough."""
    rng = random.Random(seed)
    found = []
    for number in range(objects):
        category = number if number < len(CATEGORIES) else rng.randrange(len(CATEGORIES))
        _, _, size, speed = CATEGORIES[category]
        scale = rng.uniform(0.9, 1.1)
        first = rng.randrange(frames // 3 + 1) if number > 1 else 0
        last = rng.randrange(max(first, 2 * frames // 3), frames) if number > 1 else frames - 1
        keyframes = (*range(first, last, rng.choice((3, 4, 5))), last)
        hole = range(keyframes[1] + 1, keyframes[2]) if number == 1 and len(keyframes) > 2 else range(0)
        middle = (rng.uniform(70, 250), rng.uniform(50, 150))
        parked = speed == 0 or rng.random() < 0.2
        track = Track(
            id=number + 1 + 255 * (number > 4) + 65536 * (number > 6),  # long drives fill all three bytes
            category=category,
            start=(rng.uniform(5, 60), rng.uniform(-10, 10)),
            heading=rng.choice((0.0, math.pi)) + rng.uniform(-0.1, 0.1),
            turn=0.0 if parked else rng.uniform(-0.02, 0.02),
            speed=0.0 if parked else speed * rng.uniform(0.7, 1.3),
            size=tuple(round(side * scale, 3) for side in size),
            box=(*middle, rng.uniform(14, 60), rng.uniform(14, 50)),
            box_step=(rng.uniform(-3, 3), rng.uniform(-1, 1), rng.uniform(0, 0.4), rng.uniform(0, 0.3)),
            keyframes=keyframes,
            hole=hole,
            occlusion=rng.randrange(3),
        )
        found.append(track)
    return found


def present(track: Track, frame: int) -> bool:
    """Whether the track has an annotation on the frame."""
    return track.keyframes[0] <= frame <= track.keyframes[-1] and frame not in track.hole


def pose(track: Track, frame: int) -> list[float]:
    """Give x, y, z and the unwrapped yaw in the world: as a person sets them, on a keyframe."""
    way = track.speed * frame / 10
    heading = track.heading + track.turn * frame / 2
    x, y = track.start[0] + way * math.cos(heading), track.start[1] + way * math.sin(heading)
    return [
        round(x, 3),
        round(y, 3),
        round(track.size[2] / 2 - 1.8, 3),
        round(track.heading + track.turn * frame, 4),
    ]


def image_box(track: Track, frame: int) -> list[float]:
    """Give the centre and the size of the object in the image: as a person sets them, on a keyframe."""
    moved = [at + frame * step for at, step in zip(track.box, track.box_step, strict=True)]
    return [round(moved[0] + 2 * math.sin(frame / 3), 2), *(round(value, 2) for value in moved[1:])]


def keyframe_before(track: Track, frame: int) -> int:
    """Give the last keyframe up to the frame."""
    return max(key for key in track.keyframes if key <= frame)


def interpolated(track: Track, frame: int, state: Any) -> list[float]:
    """Give pose or image_box on any frame: linear in the frame index between two keyframes."""
    before = keyframe_before(track, frame)
    after = min(key for key in track.keyframes if key >= frame)
    if before == after:
        return list(state(track, frame))
    part = (frame - before) / (after - before)
    pairs = zip(state(track, before), state(track, after), strict=True)
    return [round(a + (b - a) * part, 6) for a, b in pairs]


def attribute_values(track: Track, frame: int) -> Json:
    """Give the object's attribute values, which copy from the keyframe before."""
    key = track.keyframes.index(keyframe_before(track, frame))
    values: Json = {
        "occlusion": ("none", "partial", "full")[(track.occlusion + key) % 3],
        "parked": track.speed == 0,
    }
    if track.category < 2:
        values |= {
            "lights": ["brake", "left"][: key % 3],
            "plate": f"B-{track.id:03d}",
            "doors": 2 + track.id % 4,
        }
    return values


def annotation(track: Track, frame: int, sequence: bool) -> Json:
    """Make an annotation without geometry: all that a segment has."""
    base: Json = {"id": track.id, "category_id": track.category, "attributes": attribute_values(track, frame)}
    if sequence:
        base |= {"track_id": track.id, "is_keyframe": frame in track.keyframes, "index": frame}
    return base


def image_vector(track: Track, frame: int, sequence: bool, kind: str) -> Json:
    """Make a bbox (interpolated) or another shape (which holds its last keyframe) in pixels."""
    at = interpolated(track, frame, image_box) if kind == "bbox" else image_box(track, keyframe_before(track, frame))
    cx, cy, half_w, half_h = at[0], at[1], at[2] / 2, at[3] / 2
    outlines = {
        "bbox": [[-half_w, -half_h], [half_w, half_h]],
        "polygon": [
            [-half_w, -half_h],
            [half_w, -0.8 * half_h],
            [0.9 * half_w, half_h],
            [-0.7 * half_w, half_h],
        ],
        "polyline": [[-half_w, half_h], [0.0, 0.2 * half_h], [half_w, -half_h]],
        "point": [[0.0, 0.0]],
    }
    points = [[round(cx + dx, 3), round(cy + dy, 3)] for dx, dy in outlines[kind]]
    return annotation(track, frame, sequence) | {"type": kind, "points": points}


def about_z(angle: float) -> dict[str, float]:
    """Give the quaternion of a turn about z."""
    return {"qx": 0.0, "qy": 0.0, "qz": round(math.sin(angle / 2), 9), "qw": round(math.cos(angle / 2), 9)}


def cuboid(track: Track, frame: int, sequence: bool) -> Json:
    """Make a cuboid in world coordinates; in sequences with a 3-D rotation and kinematics."""
    x, y, z, heading = interpolated(track, frame, pose)
    yaw = math.remainder(heading, math.tau)
    shape: Json = {
        "type": "cuboid",
        "position": {"x": x, "y": y, "z": z},
        "dimensions": dict(zip("xyz", track.size, strict=True)),
        "yaw": round(yaw, 6),
    }
    if sequence:
        speed = round(track.speed, 3)
        shape |= {
            "rotation": about_z(yaw),
            "velocity": {"absolute": speed, "relative": round(abs(speed - 8.0), 3)},
            "acceleration": {"absolute": 0.0, "relative": 0.0},
        }
    return annotation(track, frame, sequence) | shape


def world_vector(track: Track, frame: int, sequence: bool, kind: str) -> Json:
    """Make a polygon, polyline or point in world coordinates, which holds its last keyframe."""
    x, y, z, _ = pose(track, keyframe_before(track, frame))
    length, width, _ = track.size
    count = {"polygon": 4, "polyline": 3, "point": 1}[kind]
    corners = [(0, 0), (length, 0), (length, width), (0, width)][:count]
    points = [[round(x + dx, 3), round(y + dy, 3), z] for dx, dy in corners]
    return annotation(track, frame, sequence) | {"type": kind, "points": points}


def id_bitmap(scene: list[Track], frame: int, *, width: int = WIDTH, height: int = HEIGHT) -> Ids:
    """Draw the objects of a frame as blobs and rounded rectangles of their ids, the small ones in front."""
    canvas = Image.new("I", (width, height), 0)
    pen = ImageDraw.Draw(canvas)
    boxes = [(interpolated(track, frame, image_box), track.id) for track in scene if present(track, frame)]
    for (cx, cy, w, h), number in sorted(boxes, key=lambda item: -item[0][2] * item[0][3]):
        corners = (round(cx - w / 2), round(cy - h / 2), round(cx + w / 2), round(cy + h / 2))
        if number % 2:
            pen.rounded_rectangle(corners, radius=4, fill=number)
        else:
            pen.ellipse(corners, fill=number)
    return np.asarray(canvas, dtype=np.uint32)


def encode_png(ids: Ids) -> bytes:
    """Encode ids as RGBA, id = R + 256 G + 65536 B, alpha 255."""
    channels = [ids & 255, ids >> 8 & 255, ids >> 16 & 255, np.full_like(ids, 255)]
    buffer = io.BytesIO()
    Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def point_ids(scene: list[Track], frame: int, points: int = 440) -> list[int]:
    """Give the id of each lidar point: runs of points on the objects there, and ground (0) between.

    The point cloud of a frame is the same whatever is labelled in it.
    """
    rng = random.Random(f"points {frame}")
    count = points + rng.randrange(20)
    ids: list[int] = []
    for track in scene:
        if present(track, frame):
            ids += [0] * rng.randrange(5, 25) + [track.id] * rng.randrange(3, 30)
    return ids + [0] * (count - len(ids))


def geometry(kind: str, track: Track, frame: int, sequence: bool) -> Json:
    """Make the annotation of a track on a frame; the kind of task and the track's id give its shape."""
    if kind in IMAGE_SHAPES:
        shapes = IMAGE_SHAPES[kind]
        return image_vector(track, frame, sequence, shapes[track.id % len(shapes)])
    if kind == "pointcloud-cuboid" or (kind == "pointcloud-vector" and track.id % 4 == 0):
        return cuboid(track, frame, sequence)
    if kind == "pointcloud-vector":
        return world_vector(track, frame, sequence, ("polygon", "polyline", "point")[track.id % 4 - 1])
    return annotation(track, frame, sequence)


def label_frame(task_type: str, scene: list[Track], frame: int, url: str, bitmaps: Bitmaps | None) -> Json:
    """Make one frame of a label."""
    sequence = task_type.endswith("sequence")
    kind = task_type.removesuffix("-sequence")
    made = [geometry(kind, track, frame, sequence) for track in scene if present(track, frame)]
    result: Json = {"format_version": "0.2", "annotations": made}
    if kind == "pointcloud-segmentation":
        result["point_annotations"] = point_ids(scene, frame)
    elif "segmentation" in kind:
        where = url.replace("{sensor}", "image").replace("{frame}", f"{frame:03d}")
        result["segmentation_bitmap"] = {"url": where}
        if bitmaps is not None:
            bitmaps[where] = id_bitmap(scene, frame)
    result["image_attributes"] = {"weather": "sunny" if frame < 7 else "cloudy"}
    return result | ({"timestamp": START + frame * 100_000_000} if sequence else {})


def label_attributes(task_type: str, scene: list[Track], frames: int, url: str, bitmaps: Bitmaps | None) -> Json:
    """Make the label proper; ``url`` has the places {sensor} and {frame} open."""
    if task_type == "multisensor-sequence":
        sensors = []
        for name, kind in SENSORS:
            inner = label_attributes(kind, scene, frames, url.replace("{sensor}", name), bitmaps)
            inner.pop("links", None)  # the links of a label with sensors stand beside them
            sensors.append({"name": name, "task_type": kind, "attributes": inner})
        return {"sensors": sensors, "links": LINKS}
    if not task_type.endswith("sequence"):
        return label_frame(task_type, scene, 0, url, bitmaps)
    made = [label_frame(task_type, scene, frame, url, bitmaps) for frame in range(frames)]
    label = {"format_version": "0.2", "frames": made}
    return label | ({"links": LINKS} if "cuboid" in task_type else {})


def camera(stem: str, column: int, name: str, x: float, turn: float) -> Json:
    """Make a camera of the ego vehicle that looks along it."""
    rotation = {"qx": -0.5, "qy": turn, "qz": -turn, "qw": 0.5}
    return {
        "url": f"{stem}-{name}.jpg",
        "name": name,
        "row": 0,
        "col": column,
        "intrinsics": {"intrinsic_matrix": MATRIX},
        "extrinsics": {"translation": {"x": x, "y": 0.0, "z": 1.6}, "rotation": rotation},
        "distortion": DISTORTION,
        "camera_convention": "OpenCV",
    }


def sample_frame(task_type: str, sample: int, frame: int) -> Json:
    """Make one frame of a sample: an image, or a point cloud with its cameras and the ego pose."""
    stem = f"https://example.com/drive-{sample:02d}/{frame:05d}"
    timing = {"name": f"{frame:05d}", "timestamp": START + frame * 100_000_000}
    if "pointcloud" not in task_type:
        return {"image": {"url": f"{stem}.jpg"}} | (timing if task_type.endswith("sequence") else {})
    position = {"x": round(0.8 * frame, 3), "y": round(0.0016 * frame * frame, 4), "z": 0.0}
    cloud: Json = {"pcd": {"url": f"{stem}.pcd", "type": "pcd"}, "default_z": -1.8}
    cloud["ego_pose"] = {"position": position, "heading": about_z(0.004 * frame)}
    cloud["images"] = [camera(stem, 0, "front", 1.7, 0.5), camera(stem, 1, "rear", -0.6, -0.5)]
    return cloud | timing


def sample_attributes(task_type: str, sample: int, frames: int) -> Json:
    """Make the attributes of a sample."""
    if task_type == "multisensor-sequence":
        inner = [sample_attributes(kind, sample, frames) for _, kind in SENSORS]
        heads = [{"name": name, "task_type": kind} for name, kind in SENSORS]
        return {"sensors": [a | {"attributes": b} for a, b in zip(heads, inner, strict=True)]}
    if not task_type.endswith("sequence"):
        return sample_frame(task_type, sample, 0)
    return {"frames": [sample_frame(task_type, sample, frame) for frame in range(frames)]}


def task_attributes() -> Json:
    """Define the categories and attributes that the labels use."""
    occlusion = {"name": "occlusion", "input_type": "select", "values": ["none", "partial", "full"]}
    common: list[Json] = [
        occlusion | {"default_value": "none", "is_mandatory": True},
        {"name": "parked", "input_type": "checkbox", "default_value": False, "is_track_level": True},
    ]
    vehicle: list[Json] = [
        {"name": "lights", "input_type": "multiselect", "values": ["brake", "left", "right"]},
        {"name": "plate", "input_type": "text", "is_track_level": True},
        {"name": "doors", "input_type": "number", "min": 0, "max": 6, "step": 1},
    ]
    relation = {"name": "relation", "input_type": "select", "values": ["follows", "tows"]}
    categories = []
    for number, (name, color, _, _) in enumerate(CATEGORIES):
        category: Json = {"id": number, "name": name, "color": color, "has_instances": True}
        category["attributes"] = common + (vehicle if number < 2 else [])
        categories.append(category | ({"link_attributes": [relation]} if number < 2 else {}))
    weather = {"name": "weather", "input_type": "select", "values": ["sunny", "cloudy", "rain"]}
    return {"format_version": "0.1", "categories": categories, "image_attributes": [weather]}


def label(
    task_type: str,
    labelset: str,
    sample: int,
    scene: list[Track],
    frames: int,
    url: str,
    bitmaps: Bitmaps | None,
) -> Json:
    """Make a label as it stands in a release."""
    day = 1 + sample % 28
    made: Json = {
        "label_type": task_type,
        "label_status": STATUSES[sample % len(STATUSES)],
        "created_at": f"2024-03-{day:02d}T08:15:12Z",
        "created_by": "anna",
        "updated_at": f"2024-04-{day:02d}T17:03:59.250000Z",
    }
    if labelset == "model-predictions":
        made |= {"label_status": "PRELABELED", "created_by": "detector", "score": 0.875}
    elif sample % 2 == 0:
        made |= {"reviewed_at": "2024-05-02T09:30:00Z", "reviewed_by": "ben", "rating": 4.5}
    return made | {"attributes": label_attributes(task_type, scene, frames, url, bitmaps)}


def release(
    task_type: str,
    *,
    seed: int = 0,
    samples: int = 3,
    frames: int = 10,
    objects: int = 8,
    bitmap_url: str = BITMAP_URL,
    bitmaps: Bitmaps | None = None,
) -> Json:
    """Make a release; its bitmaps are put into ``bitmaps``, by URL, where that is given.

    ``bitmap_url`` has the places {sample}, {labelset}, {sensor} and {frame}.
    """
    made: list[Json] = []
    for number in range(samples):
        labels: dict[str, Json | None] = {}
        for labelset, fewer in (("ground-truth", 0), ("model-predictions", 2)):
            scene = tracks(f"{seed} {number} {labelset}", frames, max(1, objects - fewer))
            url = bitmap_url.replace("{sample}", f"{number:02d}").replace("{labelset}", labelset)
            missing = fewer and number % 3 == 1
            parts = (task_type, labelset, number, scene, frames, url, bitmaps)
            labels[labelset] = None if missing else label(*parts)
        bits = random.Random(f"{seed} {task_type} {number}").getrandbits(128)
        sample: Json = {"uuid": str(uuid.UUID(int=bits, version=4))}
        sample |= {"name": f"drive-{number:02d}", "attributes": sample_attributes(task_type, number, frames)}
        made.append(sample | {"metadata": {"city": "Leuven", "weather": {"rain_mm": 0.0}}, "labels": labels})
    sets = [{"name": name, "description": ""} for name in ("ground-truth", "model-predictions")]
    dataset = {"name": f"anna/{task_type}", "task_type": task_type, "task_attributes": task_attributes()}
    head = {"name": "v1.0", "description": "A synthetic street scene.", "created_at": "2024-06-01T12:00:00Z"}
    document: Json = head | {"dataset": dataset | {"labelsets": sets, "samples": made}}
    return json.loads(json.dumps(document))  # type: ignore[no-any-return]  # nothing in it is shared


def write_release(folder: Path, document: Json, bitmaps: Bitmaps, indent: int | None = None) -> None:
    """Write ``release.json`` and the bitmaps, whose URLs are relative to the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=indent, separators=None if indent else (",", ":"))
    (folder / "release.json").write_bytes(text.encode() + b"\n")
    for url, ids in bitmaps.items():
        (folder / url).parent.mkdir(exist_ok=True)
        (folder / url).write_bytes(encode_png(ids))


def write_drive(folder: Path) -> None:
    """Write a multi-sensor release: cuboids, lidar segments, image vectors and image segments."""
    bitmaps: Bitmaps = {}
    url = "bitmaps/{sample}-{labelset}-{frame}.png"
    write_release(folder, release("multisensor-sequence", samples=2, bitmap_url=url, bitmaps=bitmaps), bitmaps)


def write_street(folder: Path) -> None:
    """Write an image segmentation release with its bitmaps, indented."""
    bitmaps: Bitmaps = {}
    url = "bitmaps/{sample}-{labelset}.png"
    document = release("segmentation-bitmap", seed=1, samples=6, objects=10, bitmap_url=url, bitmaps=bitmaps)
    write_release(folder, document, bitmaps, indent=2)


def main() -> None:
    """Write both releases below the folder named on the command line."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "tests/data")
    write_drive(target / "drive")
    write_street(target / "street")


if __name__ == "__main__":
    main()
