"""Write the seeds of decoding and bitmaps below a folder: ``python fuzz/corpus.py FOLDER``."""

import json
import sys
from pathlib import Path

import generate
import numpy as np
from PIL import Image

import arrow_labels as al


def documents(folder: Path) -> None:
    """A small release, sample, label and label attributes of each task type."""
    for task_type in generate.TASK_TYPES:
        release = generate.release(task_type, samples=2, frames=2, objects=3)
        sample = release["dataset"]["samples"][0]
        label = sample["labels"]["ground-truth"]
        found = {"release": release, "sample": sample, "label": label, "attributes": label["attributes"]}
        for kind, document in found.items():
            (folder / f"{task_type}-{kind}.json").write_text(json.dumps(document))


def bitmaps(folder: Path) -> None:
    """A small PNG of each mode that is read, and of some that are not."""
    ids = np.arange(12 * 7, dtype=np.uint32).reshape(12, 7) * 257
    (folder / "ids.png").write_bytes(al.encode_bitmap(ids))
    image = Image.fromarray((ids % 256).astype(np.uint8))
    for mode in ("1", "L", "LA", "P", "RGB", "I;16"):
        (Image.fromarray(ids.astype(np.uint16)) if mode == "I;16" else image.convert(mode)).save(
            folder / f"{mode.replace(';', '')}.png"
        )
    image.convert("P").save(folder / "palette.png", bits=2, transparency=0)
    image.convert("RGBA").save(folder / "animated.png", save_all=True, append_images=[image.convert("RGBA")])


if __name__ == "__main__":
    root = Path(sys.argv[1])
    for name, write in {"decode": documents, "bitmap": bitmaps}.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        write(root / name)
