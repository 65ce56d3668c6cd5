"""How large a picture the header of a compressed tile claims, so that no decoder has to make room for a lie."""

from __future__ import annotations

import struct

_STANDALONE = {0x01, *range(0xD0, 0xD9)}  # JPEG markers without a segment
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 … SOF15
_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
_CODESTREAM = b"\xff\x4f\xff\x51"  # SOC, SIZ

Claim = tuple[int, int, int]
"""Width, height, components."""


def jpeg_claim(data: bytes) -> Claim | None:
    """What the frame header of a JPEG stream claims (ITU-T T.81, B.2.2), or None where there is none."""
    at = 2 if data[:2] == b"\xff\xd8" else len(data)
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF or marker in _STANDALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAMES and at + 10 <= len(data):
            height, width, components = struct.unpack_from(">HHB", data, at + 5)
            return width, height, components
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None


def jpeg2000_claim(data: bytes) -> Claim | None:
    """What the SIZ segment of a JPEG 2000 codestream, bare or in JP2, claims (ISO/IEC 15444-1, A.5.1), or None."""
    at = 0 if data[:4] == _CODESTREAM else _codestream_in_jp2(data)
    if at is None or at + 42 > len(data) or data[at : at + 4] != _CODESTREAM:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
    return max(0, right - left), max(0, bottom - top), int.from_bytes(data[at + 40 : at + 42])


def webp_claim(data: bytes) -> Claim | None:
    """What the first chunk of a WebP file claims (RFC 9649, 2.5 to 2.7), or None."""
    kind, body = data[12:16], data[20:30]
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(body) < 10:
        return None
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1, 4
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 4
    if kind == b"VP8 ":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF, 3
    return None


def _codestream_in_jp2(data: bytes) -> int | None:
    """Where the contiguous codestream of a JP2 file begins (ISO/IEC 15444-1, I.5.4)."""
    at = 0 if data[:12] == _SIGNATURE else len(data)
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        header = 16 if length == 1 else 8
        if kind == b"jp2c":
            return at + header
        length = int.from_bytes(data[at + 8 : at + 16]) if length == 1 else length
        if length < header:
            return None
        at += length
    return None
