"""Valid documents and images broken at random: values, keys, sizes, depth, numbers, and the bytes of the text.

Each mutation takes any ``random.Random``: hypothesis gives one that it can shrink, the coverage-guided fuzzers one of a
seed.
"""

import codecs
import json
import struct
import zlib
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

Path = tuple[str | int, ...]


class Text(NamedTuple):
    """JSON, or what is none, that is written as it is."""

    text: str


class Pairs(list[tuple[Any, Any]]):
    """An object whose keys may stand twice, or be `Text`."""


NUMBERS = (
    *(
        "0",
        "-0",
        "-0.0",
        "1",
        "1.0",
        "10e-1",
        "1E0",
        "1.5",
        "-1",
        "5e-324",
        "1e-400",
        "1e400",
        "-1e400",
        "1e22",
        "2.5e-8",
    ),
    *("1.7976931348623157e308", "2147483647", "2147483648", "-2147483649", "2147483648.0", "9007199254740993"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "9223372036854775808.0", "1e18", "1e19"),
    *("18446744073709551615", "18446744073709551616", "1" * 40, "-" + "7" * 400, "0.1" + "0" * 60 + "1", "9" * 5000),
    *("NaN", "Infinity", "-Infinity", "01", "+1", ".5", "1.", "0x10", "1_0", "1e", "-"),
)
STRINGS = (
    *(
        '""',
        '"x"',
        '"bbox"',
        '"cuboid"',
        '"cuboid-sync"',
        '"NaN"',
        '"1"',
        '"1e999"',
        '"null"',
        '"2024-02-30T25:00:00Z"',
    ),
    *(
        r'"\ud800"',
        r'"\udc00"',
        r'"\ud83d\ude00"',
        r'"\ude00\ud83d"',
        r'"\u0000"',
        r'"\q"',
        r'"\u12"',
        '"open',
        '"a\nb"',
    ),
    *('"a\x00b"', '"\x7f\u2028\ufeff"', '"\U0001f697"', '"e\u0301"', r'"a\/b"', "'a'", '"' + "long " * 5_000 + '"'),
)
OTHERS = (
    *(
        "null",
        "true",
        "false",
        "[]",
        "{}",
        "[[]]",
        "[null]",
        "[{}]",
        '{"":null}',
        '{"a":null}',
        '{"a":[{"b":null}]}',
        "nul",
    ),
    *(
        "[[1,2],[3]]",
        "[[1,2],[[3,4]]]",
        "[[1,2],3,[4,5]]",
        "[[[1,2]]]",
        "[1,[2]]",
        '[["1",2]]',
        "[[1,2,3],[4,5]]",
        "[,]",
    ),
    *('{"x":1,"y":2,"z":3}', '{"url":""}', '{"url":null}', '{"frames":[{}]}', '{"annotations":[]}', '{"sensors":[{}]}'),
    *("[" * 40 + "]" * 40, '{"a":' * 40 + "1" + "}" * 40, "[" * 30, "[" * 5_000 + "]" * 5_000, "[" * 50_000),
    *('{"a":' * 5_000 + "1" + "}" * 5_000, '[{"a":' * 400 + "1" + "}]" * 400, "[" * 900 + "]" * 900, "}", "]", ","),
    *("[" + ",".join("0" * 999) + "]", "{" + ",".join(f'"k{n}":{n}' for n in range(500)) + "}"),
)
ODD = (*NUMBERS, *STRINGS, *OTHERS)
"""Values by their text; a part of them is no JSON."""

KEYS = tuple(
    (
        "dataset labels attributes label_status sample_uuid labelset annotations frames sensors links id track_id "
        "category_id type points position dimensions yaw rotation velocity acceleration x y z qx qy qz qw absolute "
        "is_keyframe index timestamp format_version image_attributes segmentation_bitmap url point_annotations name "
        "task_type from_id to_id samples task_attributes labelsets categories color has_instances input_type values "
        "default_value min max step is_mandatory is_track_level link_attributes uuid metadata created_at updated_at "
        "score rating priority readme image pcd images ego_pose heading default_z intrinsics intrinsic_matrix "
        "extrinsics translation distortion model coefficients row col camera_convention extra $ref a.b a/b ~0"
    ).split()
)
BYTES = (
    *(b"\x00", b"\x80", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xed\xb0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"),
    *(codecs.BOM_UTF8, codecs.BOM_UTF16_LE, b" ", b"\n", b"\t", b"\r\n", b"\x0c", b"\xc2\xa0", b"/* */", b"//"),
    *(b'"', b"\\", b"\\u", b"[", b"]", b"{", b"}", b",", b":", b"null", b"-", b".", b"e9", b"0", b"9", b"1e309"),
    *(b'{"annotations":[]}', b'"id":1,', b'"point_annotations":[1,', b"]]", b"}}", b'},{"'),
)
ENCODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "latin-1", "cp500", "utf-8-sig")


def mutate(document: Any, random: Random, times: int = 3) -> bytes:
    """A document as text, with up to so many changes in its tree, and now and then one in its bytes."""
    for _ in range(random.randint(1, times)):
        document = _in_tree(document, random)
    data = dump(document, random).encode("utf-8", "surrogatepass")
    if random.random() < 0.3:
        data = in_bytes(data, random)
    return data


def dump(value: Any, random: Random) -> str:
    """JSON text, spelled one way or another."""
    style = random.randrange(6)
    comma, colon, pad = ((",", ":", ""), (", ", ": ", ""), (" ,\n", "\t:", "\r\n"))[max(0, style - 3)]
    ascii_only = random.random() < 0.5
    parts: list[str] = []
    stack: list[Any] = [value]
    while stack:  # no recursion: documents may be deeper than Python's stack
        item = stack.pop()
        if isinstance(item, Text):
            parts.append(item.text)
        elif isinstance(item, dict | Pairs):
            pairs = list(item.items()) if isinstance(item, dict) else item
            stack.append(Text(f"{pad}}}"))
            for place in range(len(pairs) - 1, -1, -1):
                key, member = pairs[place]
                name = key.text if isinstance(key, Text) else json.dumps(key, ensure_ascii=ascii_only)
                stack += [member, Text(f"{comma if place else ''}{name}{colon}")]
            parts.append(f"{{{pad}")
        elif isinstance(item, list):
            stack.append(Text("]"))
            for place in range(len(item) - 1, -1, -1):
                stack += [item[place], Text(comma)] if place else [item[place]]
            parts.append("[")
        else:
            parts.append(json.dumps(item, ensure_ascii=ascii_only))
    return "".join(parts)


def in_bytes(data: bytes, random: Random) -> bytes:
    """Text with one change that knows nothing of JSON."""
    start = random.randrange(len(data) + 1)
    end = min(len(data), start + random.choice((1, 1, 2, 4, 16, 64, 1024)))
    what = random.choice(("cut", "insert", "insert", "delete", "repeat", "flip", "encode", "bom", "append"))
    if what == "cut":
        return data[:start]
    if what == "insert":
        return data[:start] + random.choice(BYTES) * random.choice((1, 1, 1, 2, 300)) + data[start:]
    if what == "delete":
        return data[:start] + data[end:]
    if what == "repeat":
        return data[:start] + data[start:end] * random.choice((2, 3, 20)) + data[end:]
    if what == "flip":
        changed = bytearray(data)
        for place in range(start, end):
            changed[place] ^= 1 << random.randrange(8)
        return bytes(changed)
    if what == "encode":
        return data.decode("utf-8", "replace").encode(random.choice(ENCODINGS), "replace")
    if what == "bom":
        return random.choice((codecs.BOM_UTF8, codecs.BOM_UTF8 * 2, codecs.BOM_UTF16_LE, codecs.BOM_UTF32_BE)) + data
    return data + random.choice(BYTES)


def paths(value: Any) -> list[Path]:
    """The place of every value in a tree."""
    found: list[Path] = []
    stack: list[tuple[Path, Any]] = [((), value)]
    while stack:
        path, item = stack.pop()
        found.append(path)
        if isinstance(item, dict):
            stack += [((*path, key), member) for key, member in item.items()]
        elif isinstance(item, list) and not isinstance(item, Pairs):
            stack += [((*path, place), member) for place, member in enumerate(item)]
    return found


def _in_tree(document: Any, random: Random) -> Any:
    """A tree with one change; what is not changed is shared with the old one."""
    places = paths(document)
    path = random.choice(places)
    change = random.choice(_CHANGES)
    return _changed(document, path, lambda value: change(value, random, document, places))


def _changed(document: Any, path: Path, change: Callable[[Any], Any]) -> Any:
    if not path:
        return change(document)
    copy = document.copy()
    copy[path[0]] = _changed(document[path[0]], path[1:], change)
    return copy


def _odd(random: Random) -> Text:
    return Text(random.choice(random.choice((NUMBERS, STRINGS, OTHERS, OTHERS))))


def _replace(value: Any, random: Random, *_: Any) -> Any:
    return _odd(random)


def _other_part(value: Any, random: Random, document: Any, places: list[Path]) -> Any:
    """Another value of the same document."""
    for key in random.choice(places):
        document = document[key]
    return document


def _nullify(value: Any, *_: Any) -> Any:
    return None


def _remove(value: Any, random: Random, *_: Any) -> Any:
    """A member or an item less."""
    if isinstance(value, dict) and value:
        gone = random.choice(list(value))
        return {key: member for key, member in value.items() if key != gone}
    if isinstance(value, list) and value:
        place = random.randrange(len(value))
        return value[:place] + value[place + 1 :]
    return []


def _add(value: Any, random: Random, document: Any, places: list[Path]) -> Any:
    """A member or an item more, or another in its place."""
    new = _odd(random) if random.random() < 0.7 else _other_part(value, random, document, places)
    if isinstance(value, dict):
        return {**value, random.choice((*KEYS, "new", "", "a\x00")): new}
    return [*value, new] if isinstance(value, list) else [value, new]


def _duplicate(value: Any, random: Random, document: Any, places: list[Path]) -> Any:
    """A key that stands twice, once with another value, maybe spelled in another way; or an item many times."""
    if isinstance(value, dict) and value:
        pairs = Pairs(value.items())
        key, member = random.choice(pairs)
        new = random.choice((_odd(random), member, None, _other_part(value, random, document, places)))
        spelled = Text('"' + "".join(f"\\u{ord(char):04x}" for char in key if ord(char) < 0xD800) + '"')
        name = random.choice((key, spelled))
        pairs.insert(random.randrange(len(pairs) + 1), (name, new))
        return pairs
    if isinstance(value, list) and value:
        place = random.randrange(len(value))
        return value[:place] + [value[place]] * random.choice((2, 3, 50)) + value[place + 1 :]
    return [value] * 2


def _rename(value: Any, random: Random, *_: Any) -> Any:
    """A key that is another."""
    if not isinstance(value, dict) or not value:
        return {random.choice(KEYS): value}
    old, new = random.choice(list(value)), random.choice((*KEYS, "new", "\ud800"))
    return {new if key == old else key: member for key, member in value.items()}


def _wrap(value: Any, random: Random, *_: Any) -> Any:
    return random.choice(([value], {"a": value}, {random.choice(KEYS): value}, [[value]]))


def _unwrap(value: Any, random: Random, *_: Any) -> Any:
    if isinstance(value, dict) and value:
        return random.choice(list(value.values()))
    return random.choice(value) if isinstance(value, list) and value else _odd(random)


def _respell(value: Any, random: Random, *_: Any) -> Any:
    """The same number in other digits, or nearly the same; a text as what it says."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return random.choice((0, 1, "", "true", [], {}))
    if isinstance(value, str):
        return random.choice((Text(value or "0"), value + "\x00", value * 2, value.encode("utf-8", "replace").hex()))
    text = repr(value)
    longer = (f"{text}.0", f"{text}e0", f"{text}00", text.replace(".", ".0"))
    return random.choice((text, Text(random.choice(longer)), Text(f"-{text}"), Text(f"{text}e3"), int(value > 0)))


def _shuffle(value: Any, random: Random, *_: Any) -> Any:
    items = (
        list(value.items()) if isinstance(value, dict) else list(value) if isinstance(value, list) else [value, value]
    )
    random.shuffle(items)
    return dict(items) if isinstance(value, dict) else items


_CHANGES: tuple[Callable[..., Any], ...] = (
    *(_replace, _replace, _replace, _other_part, _nullify, _remove, _add, _add, _duplicate, _duplicate),
    *(_rename, _wrap, _unwrap, _respell, _respell, _shuffle),
)


def parsed(data: bytes) -> Any:
    """A tree to mutate from text, `Text` for what is no JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return Text(data.decode("utf-8", "replace"))


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and content of the chunks of a PNG, as far as they are there."""
    found = []
    start = 8
    while start + 8 <= len(png):
        (length,) = struct.unpack_from(">I", png, start)
        found.append((png[start + 4 : start + 8], png[start + 8 : start + 8 + length]))
        start += length + 12
    return found


def mutate_png(png: bytes, random: Random) -> bytes:
    """A PNG with a change in its chunks, their checksums right again, and now and then one in its bytes."""
    parts = chunks(png)
    if parts and random.random() < 0.8:
        place = random.randrange(len(parts))
        kind, content = parts[place]
        what = random.choice(("header", "header", "pixels", "pixels", "content", "kind", "copy", "remove", "swap"))
        if what == "header":
            parts[0] = parts[0][0], _png_header(parts[0][1], random)
        elif what == "pixels":
            parts = [(kind, _png_pixels(content, random) if kind == b"IDAT" else content) for kind, content in parts]
        elif what == "content":
            parts[place] = kind, in_bytes(content, random)
        elif what == "kind":
            kinds = (
                b"IDAT",
                b"IEND",
                b"IHDR",
                b"PLTE",
                b"tRNS",
                b"acTL",
                b"fcTL",
                b"fdAT",
                b"gAMA",
                b"iCCP",
                b"zTXt",
                b"eXIf",
            )
            parts.insert(place, (random.choice(kinds), random.choice((content, b"", bytes(4), bytes(range(256)) * 3))))
        elif what == "copy":
            parts.insert(random.randrange(len(parts) + 1), parts[place])
        elif what == "remove":
            del parts[place]
        else:
            random.shuffle(parts)
        png = png[:8] + b"".join(
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
            for kind, content in parts
        )
    return in_bytes(png, random) if random.random() < 0.3 else png


def _png_header(content: bytes, random: Random) -> bytes:
    """Another width, height, depth, colour type, method of compression, filter or interlacing."""
    if len(content) != 13:
        return bytes(13)
    fields = list(struct.unpack(">IIBBBBB", content))
    place = random.randrange(len(fields))
    sizes = (0, 1, 2, fields[place] + 1, 2 * fields[place], 1000, 2**16, 2**20, 2**31 - 1, 2**31, 2**32 - 1)
    fields[place] = random.choice(sizes) % 2**32 if place < 2 else random.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
    return struct.pack(">IIBBBBB", *fields)


def _png_pixels(content: bytes, random: Random) -> bytes:
    """Other pixels, or filters, or more or fewer, compressed again."""
    try:
        rows = zlib.decompress(content)
    except zlib.error:
        return content
    rows = random.choice((in_bytes(rows, random), rows[: len(rows) // 2], rows * 2, rows + bytes(1 << 22), b""))
    return zlib.compress(rows, random.choice((0, 6))) + random.choice((b"", b"", b"more"))
