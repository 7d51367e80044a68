"""Label documents of real shape, the same ones for the same seed.

Three workloads for `decoding.py`, each a list of documents of compact JSON, and a release file for `memory.py`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

START: Final = 1_700_000_000_000_000_000
FRAMES, TRACKS, KEYFRAME_EVERY = 100, 50, 10
SHAPES, MIN_VERTICES, MAX_VERTICES = 400, 5, 60
SCANS, POINTS = 5, 100_000
IMAGE_WIDTH, IMAGE_HEIGHT = 1920, 1208
CAMERAS: Final = ("front", "front-left", "front-right", "rear-left", "rear-right", "rear")
MULTI_SENSOR_EVERY = 5

encode: Final = msgspec.json.encode

Pose = tuple[float, float, float, float]


def cuboids(count: int, seed: int = 0) -> list[bytes]:
    """Point cloud cuboid sequences: 100 frames of 50 cuboids, interpolated between keyframes, most with attributes."""
    return [encode(cuboid_sequence(random.Random(f"cuboids {seed} {place}"))) for place in range(count)]


def vectors(count: int, seed: int = 0) -> list[bytes]:
    """Images with 400 shapes: polygons mostly, some polylines and boxes; 5 to 60 vertices, at sub-pixel precision."""
    return [encode(_vector_image(random.Random(f"vectors {seed} {place}"))) for place in range(count)]


def point_ids(count: int, seed: int = 0) -> list[bytes]:
    """Point cloud segmentation sequences: 5 frames of 100,000 point ids, in runs."""
    return [encode(_point_sequence(random.Random(f"point ids {seed} {place}"))) for place in range(count)]


WORKLOADS: Final[dict[str, Callable[..., list[bytes]]]] = {
    "cuboids": cuboids,
    "vectors": vectors,
    "point_ids": point_ids,
}


def cuboid_sequence(rng: random.Random, frames: int = FRAMES) -> dict[str, Any]:
    """Label attributes of a point cloud cuboid sequence."""
    annotations: list[list[dict[str, Any]]] = [[] for _ in range(frames)]
    for track in range(1, TRACKS + 1):
        for frame, cuboid in enumerate(_track(rng, track, frames)):
            annotations[frame].append(cuboid)
    return {
        "format_version": "0.2",
        "frames": [
            {"timestamp": _timestamp(frame), "annotations": found, "format_version": "0.2"}
            for frame, found in enumerate(annotations)
        ],
    }


def _track(rng: random.Random, track: int, frames: int) -> list[dict[str, Any]]:
    """One object over all frames: states that a person set at keyframes, and what lies between."""
    category = rng.randint(1, 6)
    x, y, z, yaw = rng.uniform(-80, 80), rng.uniform(-80, 80), rng.uniform(-2, 2), rng.uniform(-2.5, 2.5)
    size = {"x": rng.uniform(3, 6), "y": rng.uniform(1, 3), "z": rng.uniform(1, 3)}
    speed, has_attributes = rng.choice((0.1, 0.6, 1.2)), rng.random() < 0.85
    keyframes: list[tuple[Pose, dict[str, Any]]] = []
    for _ in range(0, frames + KEYFRAME_EVERY, KEYFRAME_EVERY):
        attributes = {
            "occlusion": rng.choice(("none", "partial", "full")),
            "moving": speed > 0.1,
            "confidence": rng.randint(0, 1000) / 1000,
        }
        keyframes.append(((x, y, z, yaw), attributes))
        x += speed * KEYFRAME_EVERY * math.cos(yaw) + rng.gauss(0, 0.1)
        y += speed * KEYFRAME_EVERY * math.sin(yaw) + rng.gauss(0, 0.1)
        z += rng.gauss(0, 0.05)
        yaw = math.remainder(yaw + rng.gauss(0, 0.05), math.tau)
    found = []
    for frame in range(frames):
        place, part = divmod(frame, KEYFRAME_EVERY)
        ratio = part / KEYFRAME_EVERY
        (before, attributes), (after, _) = keyframes[place], keyframes[place + 1]
        yaw = before[3] + math.remainder(after[3] - before[3], math.tau) * ratio
        cuboid = {
            "id": track,
            "track_id": track,
            "category_id": category,
            "type": "cuboid",
            "position": {axis: before[i] + (after[i] - before[i]) * ratio for i, axis in enumerate("xyz")},
            "dimensions": size,
            "yaw": math.remainder(yaw, math.tau),
            "rotation": {"qx": 0, "qy": 0, "qz": math.sin(yaw / 2), "qw": math.cos(yaw / 2)},
            "is_keyframe": part == 0,
        }
        if has_attributes:
            cuboid["attributes"] = attributes
        found.append(cuboid)
    return found


def _vector_image(rng: random.Random) -> dict[str, Any]:
    return {
        "format_version": "0.1",
        "annotations": [_shape(rng, shape) for shape in range(1, SHAPES + 1)],
        "image_attributes": {"scene": rng.choice(("city", "motorway", "country")), "night": rng.random() < 0.2},
    }


def _shape(rng: random.Random, id_: int) -> dict[str, Any]:
    kind = rng.choices(("polygon", "polyline", "bbox"), (80, 12, 8))[0]
    x, y, radius = rng.uniform(0, IMAGE_WIDTH), rng.uniform(0, IMAGE_HEIGHT), rng.uniform(5, 120)
    if kind == "bbox":
        points = [_pixel(x - radius, y - radius), _pixel(x + radius, y + radius)]
    else:
        number = rng.randint(MIN_VERTICES, MAX_VERTICES)
        points = []
        for vertex in range(number):
            angle, length = math.tau * vertex / number, radius * rng.uniform(0.8, 1.2)
            points.append(_pixel(x + length * math.cos(angle), y + length * math.sin(angle)))
    if rng.random() < 0.05:
        points = [[round(value) for value in point] for point in points]
    shape = {"id": id_, "category_id": rng.randint(1, 12), "type": kind, "points": points}
    if rng.random() < 0.85:
        shape["attributes"] = {"occluded": rng.random() < 0.3}
    return shape


def _pixel(x: float, y: float) -> list[float]:
    """A vertex, whole numbers where the image cuts it off."""
    return [min(max(x, 0), IMAGE_WIDTH), min(max(y, 0), IMAGE_HEIGHT)]


def _point_sequence(rng: random.Random) -> dict[str, Any]:
    ids = rng.sample(range(1, 200), 40)
    annotations = [
        {"id": id_, "track_id": id_, "category_id": rng.randint(0, 20), "attributes": {}, "is_keyframe": True}
        for id_ in ids
    ]
    choices = [*ids, *[0] * 10]
    frames = []
    for frame in range(SCANS):
        points: list[int] = []
        while len(points) < POINTS:
            points += [rng.choice(choices)] * rng.randint(1, 40)
        del points[POINTS:]
        frames.append(
            {
                "annotations": annotations,
                "point_annotations": points,
                "timestamp": _timestamp(frame),
                "format_version": "0.2",
            }
        )
    return {"format_version": "0.2", "frames": frames}


def _timestamp(frame: int, step: int = 100_000_000) -> str:
    return str(START + frame * step)


def write_release(path: str | Path, megabytes: float, seed: int = 0) -> int:
    """Stream out a release of about this size; returns how many samples it has.

    Cuboid sequences with six cameras, one sample in five with a camera sensor beside the lidar; one in ten labels null.
    """
    rng = random.Random(f"release {seed}")
    header = encode(
        {
            "name": "v1.0",
            "description": "Made by a benchmark",
            "created_at": "2024-05-06T07:08:09.101112Z",
            "dataset": {
                "name": "drives",
                "task_type": "multisensor-sequence",
                "task_attributes": _task_attributes(),
                "labelsets": [
                    {"name": "ground-truth", "description": "", "created_at": "2024-01-02T03:04:05Z"},
                    {"name": "model", "description": "First pass", "created_at": "2024-01-02T03:04:05Z"},
                ],
                "samples": [],
            },
        }
    )
    before, bracket, after = header.rpartition(b"]")
    count, size = 0, len(header)
    with Path(path).open("wb") as file:
        file.write(before)
        while size < megabytes * 1e6:
            text = (b"," if count else b"") + encode(_sample(rng, count))
            file.write(text)
            size += len(text)
            count += 1
        file.write(bracket + after)
    return count


def _task_attributes() -> dict[str, Any]:
    attributes = [
        {"name": "occlusion", "input_type": "select", "values": ["none", "partial", "full"], "default_value": "none"},
        {"name": "moving", "input_type": "checkbox", "default_value": False},
        {"name": "confidence", "input_type": "number", "min": 0, "max": 1, "step": 0.001},
    ]
    names = ("car", "van", "truck", "bus", "cyclist", "pedestrian")
    categories = [
        {"id": id_, "name": name, "color": [40 * id_, 255 - 40 * id_, 90], "attributes": attributes}
        for id_, name in enumerate(names, 1)
    ]
    return {"format_version": "0.1", "categories": categories}


def _sample(rng: random.Random, index: int) -> dict[str, Any]:
    name = f"drive-{index // 20:04}/scene-{index:06}"
    clouds = {"frames": [_scan(rng, name, frame) for frame in range(FRAMES)]}
    label = cuboid_sequence(rng)
    if index % MULTI_SENSOR_EVERY == MULTI_SENSOR_EVERY - 1:
        images = {
            "frames": [
                {"image": {"url": _url(name, "front", frame, "jpg")}, "timestamp": _timestamp(frame)}
                for frame in range(FRAMES)
            ]
        }
        clouds = _sensors(clouds, images)
        label = _sensors(label, _box_sequence(rng))
    labels: dict[str, Any] = {
        "ground-truth": {
            "label_status": rng.choice(("LABELED", "REVIEWED")),
            "attributes": label,
            "created_at": "2024-03-04T05:06:07.891011Z",
            "created_by": rng.choice(("ann", "bob", "eve")),
            "updated_at": f"2024-04-{rng.randint(1, 30):02}T12:13:14.151617Z",
            "updated_by": rng.choice(("ann", "bob", "eve")),
            "score": rng.random(),
        }
    }
    if index % 10 == 3:
        labels["model"] = None
    return {
        "uuid": f"{rng.getrandbits(32):08x}-{rng.getrandbits(16):04x}-4000-8000-{index:012x}",
        "name": name,
        "attributes": clouds,
        "metadata": {"vehicle": f"car-{rng.randint(1, 9)}", "weather": rng.choice(("sun", "rain", "fog"))},
        "labels": labels,
    }


def _sensors(cloud: dict[str, Any], camera: dict[str, Any]) -> dict[str, Any]:
    return {
        "sensors": [
            {"name": "lidar", "task_type": "pointcloud-cuboid-sequence", "attributes": cloud},
            {"name": "front", "task_type": "image-vector-sequence", "attributes": camera},
        ]
    }


def _box_sequence(rng: random.Random) -> dict[str, Any]:
    """Label attributes of an image sequence: 20 boxes a frame."""
    frames = []
    for frame in range(FRAMES):
        annotations = []
        for track in range(1, 21):
            x, y = rng.uniform(0, IMAGE_WIDTH - 200), rng.uniform(0, IMAGE_HEIGHT - 200)
            corner = [x + rng.uniform(10, 200), y + rng.uniform(10, 200)]
            annotations.append(
                {
                    "id": track,
                    "track_id": track,
                    "category_id": 1 + track % 6,
                    "type": "bbox",
                    "points": [[x, y], corner],
                    "attributes": {"moving": rng.random() < 0.5},
                    "is_keyframe": frame % KEYFRAME_EVERY == 0,
                }
            )
        frames.append({"timestamp": _timestamp(frame), "annotations": annotations, "format_version": "0.2"})
    return {"format_version": "0.2", "frames": frames}


def _scan(rng: random.Random, name: str, frame: int) -> dict[str, Any]:
    """Sample attributes of one point cloud: the file, the ego pose and six camera images."""
    heading = frame * 0.003
    return {
        "name": f"{frame:05}",
        "timestamp": _timestamp(frame),
        "pcd": {"url": _url(name, "lidar", frame, "pcd"), "type": "pcd"},
        "ego_pose": {
            "position": {"x": frame * 1.1 + rng.gauss(0, 0.01), "y": rng.gauss(0, 0.01), "z": rng.gauss(0, 0.01)},
            "heading": {"qx": 0, "qy": 0, "qz": math.sin(heading / 2), "qw": math.cos(heading / 2)},
        },
        "default_z": -1.8,
        "images": [_camera(name, camera, place, frame) for place, camera in enumerate(CAMERAS)],
    }


def _camera(name: str, camera: str, place: int, frame: int) -> dict[str, Any]:
    angle = math.tau * place / len(CAMERAS)
    return {
        "url": _url(name, camera, frame, "jpg"),
        "name": camera,
        "row": place // 3,
        "col": place % 3,
        "intrinsics": {
            "intrinsic_matrix": [
                [1266.417203046554, 0, 816.2670197447984],
                [0, 1266.417203046554, 491.50706579294757],
                [0, 0, 1],
            ]
        },
        "extrinsics": {
            "translation": {"x": math.cos(angle), "y": math.sin(angle), "z": -0.3},
            "rotation": {"qx": 0.5, "qy": -0.5, "qz": math.sin(angle / 2), "qw": math.cos(angle / 2)},
        },
        "distortion": {"model": "brown-conrady", "coefficients": {"k1": -0.3, "k2": 0.1, "p1": 0.001, "p2": 0.0}},
        "camera_convention": "OpenCV",
    }


def _url(name: str, sensor: str, frame: int, suffix: str) -> str:
    return f"https://data.example.com/{name}/{sensor}/{frame:05}.{suffix}"
