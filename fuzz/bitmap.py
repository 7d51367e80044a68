"""Coverage-guided fuzzing of decoding bitmaps: see README.md beside this file."""

import random
import sys

import atheris

with atheris.instrument_imports(include=["arrow_labels.bitmap", "PIL"]):
    import PIL.PngImagePlugin  # noqa: F401

    import arrow_labels  # noqa: F401

import mutations
from round_trip import check_bitmap


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Change the chunks of a PNG, or its bytes."""
    chance = random.Random(seed)
    if chance.random() < 0.3:
        return atheris.Mutate(data, max_size)
    return mutations.mutate_png(data, chance)[:max_size]


if __name__ == "__main__":
    atheris.Setup(sys.argv, check_bitmap, custom_mutator=mutate)
    atheris.Fuzz()
