"""Coverage-guided fuzzing of reading folders of tables: see README.md beside this file.

The first byte of an input says which file of the folder the rest is. Most of the reader is not Python, and reaching new
parts of it cannot be seen, so half of the inputs are made from the whole files anew.
"""

import io
import random
import sys

import atheris
import pyarrow.parquet as pq

with atheris.instrument_imports(include=["arrow_labels"]):
    import arrow_labels  # noqa: F401

from mutations import in_bytes
from round_trip import check_file, table_files


def without_checksums(content: bytes) -> bytes:
    """The same table, so that other values than the written ones can be read."""
    file = io.BytesIO()
    pq.write_table(pq.read_table(io.BytesIO(content)), file, compression="none")
    return file.getvalue()


def check(data: bytes) -> None:
    """Read the folder with one file replaced."""
    if data:
        check_file(NAMES[data[0] % len(NAMES)], data[1:])


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Change the bytes of an input, or of one of the files."""
    chance = random.Random(seed)
    if data and chance.random() < 0.5:
        return atheris.Mutate(data, max_size)
    place, content = chance.choice(FILES)
    for _ in range(chance.randint(1, 3)):
        content = in_bytes(content, chance)
    return (bytes([place]) + content)[:max_size]


NAMES = list(table_files())
FILES = list(enumerate(table_files().values()))
FILES += [(place, without_checksums(content)) for place, content in FILES if content.startswith(b"PAR1")]

if __name__ == "__main__":
    atheris.Setup([*sys.argv, "-max_len=20000"], check, custom_mutator=mutate)
    atheris.Fuzz()
