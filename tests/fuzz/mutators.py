"""Ways to spoil the bytes of a file, each by a generator of random numbers alone, so that a seed makes them again."""

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random

HEADS = (
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"BM", b"GIF89a",
    b"RIFF\0\0\1\0WEBP", b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51", b"P6\n", b"%!PS-Adobe-3.0 EPSF-3.0\n",
    b"%PDF-1.4\n", b"PK\3\4", b"\x80\x04", b"\x93NUMPY\1\0", b"\x1f\x8b", b"BZh9", b"\x28\xb5\x2f\xfd", b"{", b"[",
    b"\xef\xbb\xbf", b"\xff\xfe", b"<?xml version='1.0'?>", b"version https://git-lfs", b"<!doctype html>", b"\0",
)  # fmt: skip
NUMBERS = (
    b"0", b"-1", b"1e999", b"-1e999", b"NaN", b"Infinity", b"1" * 5000, b"2147483648", b"18446744073709551616",
    b"1e-320", b"0.1", b"null", b"true", b"0x10", b"\xd9\xa3", b"00",
)  # fmt: skip
TEXTS = (
    b"", b"\0", b"\n", b"\r\n", b"\t", b'"', b"'", b"\\", b";", b",", b"=1+1", b"../../x", b"..", b"/etc/passwd",
    b"\x1b[31m", b"\xff", b"\xed\xa0\x80", b"\xe2\x80\xae", b"{" * 5000, b"[" * 100_000, b"a" * 200_000, b"<a>" * 2000,
    b"%s", b"*",
)  # fmt: skip
VALUES = (
    None, True, False, 0, -1, 1, 3, 2**31, 2**63, 2**64, 10**400, 1e308, float("nan"), float("inf"), 0.5, "", "a", "1",
    "\0", "\ud800", "../x", "a" * 70_000, [], {}, [[]], [0], [1, 2], [1] * 5000, {"a": {}}, {"0": 1}, [[[[[[[[0]]]]]]]],
)  # fmt: skip
_SIZES = (1, 2, 4, 8)
_MOST = 2**18  # bytes that a mutator adds, at most

Mutator = Callable[[bytes, Random, Sequence[bytes]], bytes]


def mutate(content: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    """Spoil a file once to four times, and again if that left it as it was.

    Args:
        content: a file that can be read.
        rng: decides all.
        others: more files, to splice with.
    """
    spoiled = content
    while spoiled == content:
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
            spoiled = rng.choice(MUTATORS)(spoiled, rng, others)
    return spoiled


def flip_bits(content: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    """Flip one to eight bits."""
    spoiled = bytearray(content)
    for _ in range(rng.randint(1, 8) if spoiled else 0):
        spoiled[_place(content, rng)] ^= 1 << rng.randrange(8)
    return bytes(spoiled)


def fill_block(content: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    """Fill some bytes with zeros, ones or noise."""
    start, length = _place(content, rng), rng.choice((1, 2, 4, 8, 16, 64, 512))
    kept = len(content[start : start + length])
    block = rng.choice((bytes(kept), b"\xff" * kept, rng.randbytes(kept)))
    return content[:start] + block + content[start + kept :]


def cut_off(content: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    """Leave only the beginning: often all but a little, or only a header."""
    most = rng.choice((len(content), len(content), min(len(content), 64), min(len(content), 512)))
    return content[: rng.randrange(most + 1)]


def take_out(content: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    """Take some bytes out."""
    start = _place(content, rng)
    return content[:start] + content[start + rng.choice((1, 2, 4, 8, 32, 256)) :]


def double(content: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    """Write a part of it again, once or many times, where it ends or anywhere."""
    start = _place(content, rng)
    part = content[start : start + rng.choice((1, 4, 12, 20, 64, 1024))]
    times = min(rng.choice((1, 1, 2, 100)), _MOST // max(len(part), 1))
    place = rng.choice((start, _place(content, rng)))
    return content[:place] + part * times + content[place:]


def set_number(content: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    """Write a number that a length, a size, an offset or a count may be, in either order of bytes."""
    size = rng.choice(_SIZES)
    start = _place(content, rng)
    top = 1 << (8 * size)
    value = rng.choice(
        (0, 1, 2, top // 2 - 1, top // 2, top - 1, top - 2, len(content), start, 31_000, rng.randrange(top))
    )
    number = (value % top).to_bytes(size, rng.choice(("little", "big")))
    return content[:start] + number + content[start + size :]


def set_head(content: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    """Let it begin as a file of another kind does."""
    head = rng.choice(HEADS)
    return head + content[rng.choice((0, len(head))) :]


def splice(content: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    """Go on as another file does."""
    other = rng.choice(others) if others else content
    return content[: _place(content, rng)] + other[_place(other, rng) :]


def set_digits(content: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    """Write another number in place of digits, where there is text."""
    found = list(re.finditer(rb"-?\d[\d.]*", content[:_MOST]))
    if not found:
        return set_number(content, rng, others)
    match = rng.choice(found)
    return content[: match.start()] + rng.choice(NUMBERS) + content[match.end() :]


def put_text(content: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    """Put text that means something to somebody anywhere, or in place of a word."""
    text = rng.choice(TEXTS)
    words = list(re.finditer(rb"[A-Za-z_]{2,}", content[:_MOST])) if rng.random() < 0.5 else []
    match = rng.choice(words) if words else None
    start, stop = (match.start(), match.end()) if match else (_place(content, rng),) * 2
    return content[:start] + text + content[stop:]


def change_json(content: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    """Change one value, or leave out or double one key, of JSON that is all of a file or the header of safetensors."""
    length = int.from_bytes(content[:8], "little")
    headed = content[8:9] == b"{" and length <= len(content) - 8
    text, rest = (content[8 : 8 + length], content[8 + length :]) if headed else (content, b"")
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return put_text(content, rng, others)
    changed = _to_bytes(_changed(tree, rng))
    return len(changed).to_bytes(8, "little") + changed + rest if headed else changed


def _changed(tree: object, rng: Random) -> object:
    """A tree of JSON with one of its nodes changed, or what is written as text in one of its nodes."""
    if isinstance(tree, str) and tree[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):
            return _to_bytes(_changed(json.loads(tree), rng)).decode("utf-8", "surrogatepass")
    if not isinstance(tree, dict | list) or not tree or rng.random() < 0.15:
        return rng.choice(VALUES)
    return _changed_object(tree, rng) if isinstance(tree, dict) else _changed_array(tree, rng)


def _changed_object(tree: dict[str, object], rng: Random) -> dict[str, object]:
    key, does = rng.choice(list(tree)), rng.random()
    if does < 0.1:
        return {name: held for name, held in tree.items() if name != key}
    if does < 0.2:
        return {**tree, rng.choice(("", "a", "0", "\ud800", key * 2)): tree[key]}
    return {**tree, key: _changed(tree[key], rng)}


def _changed_array(tree: list[object], rng: Random) -> list[object]:
    place, does = rng.randrange(len(tree)), rng.random()
    if does < 0.1:
        return tree[:place] + tree[place + 1 :]
    if does < 0.2:
        return [*tree, tree[place]]
    return [*tree[:place], _changed(tree[place], rng), *tree[place + 1 :]]


def _to_bytes(tree: object) -> bytes:
    return json.dumps(tree).encode("utf-8", "surrogatepass")


def _place(content: bytes, rng: Random) -> int:
    """Where to spoil: anywhere, but in half of the cases near the beginning or the end, where headers are."""
    most = max(len(content), 1)
    near = min(most, 512)
    return rng.choice((rng.randrange(most), rng.randrange(most), rng.randrange(near), most - 1 - rng.randrange(near)))


MUTATORS: tuple[Mutator, ...] = (
    flip_bits, fill_block, cut_off, take_out, double, set_number, set_number, set_head, splice, set_digits, put_text,
    change_json, change_json,
)  # fmt: skip
