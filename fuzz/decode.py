"""Coverage-guided fuzzing of decoding documents and encoding them again: see README.md beside this file."""

import random
import sys

import atheris

with atheris.instrument_imports(include=["arrow_labels"]):
    import arrow_labels  # noqa: F401

import mutations
from round_trip import check_document


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Change the tree of a document, or its bytes."""
    chance = random.Random(seed)
    if chance.random() < 0.3:
        return atheris.Mutate(data, max_size)
    return mutations.mutate(mutations.parsed(data), chance, 2)[:max_size]


if __name__ == "__main__":
    atheris.Setup(sys.argv, check_document, custom_mutator=mutate)
    atheris.Fuzz()
