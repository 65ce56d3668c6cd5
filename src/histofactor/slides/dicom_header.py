"""What a DICOM file says of itself in its first elements: enough to tell which files are one slide."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"  # SOP class "VL Whole Slide Microscopy Image Storage"
_IMPLICIT = "1.2.840.10008.1.2"
_OTHER_ORDER = {"1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"}  # big endian; deflated
_SYNTAX, _CLASS, _STUDY, _SERIES = 0x00020010, 0x00080016, 0x0020000D, 0x0020000E
_KIND, _COLUMNS, _ROWS = 0x00080008, 0x00480006, 0x00480007
_ITEM, _END_OF_ITEM, _END_OF_SEQUENCE = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_UNDEFINED = 0xFFFFFFFF
_MAX_ELEMENTS, _MAX_VALUE = 10_000, 1024


@dataclass(frozen=True, slots=True)
class DicomHeader:
    """One instance of a whole slide.

    Attributes:
        study, series: unique identifiers.
        is_volume: whether it is a level of the slide; else a label, an overview or a thumbnail.
        size: (width, height) px of the level.
    """

    study: str
    series: str
    is_volume: bool
    size: tuple[int, int]


def dicom_header(file: BinaryIO) -> DicomHeader | None:
    """Read the header of a DICOM whole slide from an open file; None if the file is none, or is damaged.

    The encoding is that of DICOM PS3.10 (files) and PS3.5 (elements), little endian.

    Raises:
        OSError: it cannot be read.
    """
    try:
        if file.read(132)[128:] != b"DICM":
            return None
        values = _elements(file)
    except (ValueError, struct.error):
        return None
    if _text(values, _CLASS) != WHOLE_SLIDE or not _text(values, _SERIES):
        return None
    width, height = (int.from_bytes(values.get(tag, b""), "little") for tag in (_COLUMNS, _ROWS))
    kind = _text(values, _KIND).split("\\")
    return DicomHeader(_text(values, _STUDY), _text(values, _SERIES), "VOLUME" in kind[2:3], (width, height))


def _elements(file: BinaryIO) -> dict[int, bytes]:
    """Values of the elements that are wanted, by tag; those inside sequences are left out."""
    wanted = {_SYNTAX, _CLASS, _STUDY, _SERIES, _KIND, _COLUMNS, _ROWS}
    found: dict[int, bytes] = {}
    depth = 0
    for tag, length in _tags(file, found):
        if tag in (_END_OF_ITEM, _END_OF_SEQUENCE):
            depth -= 1
        elif length == _UNDEFINED:
            depth += 1
        elif depth == 0 and tag in wanted and length <= _MAX_VALUE:
            found[tag] = file.read(length)
        else:
            file.seek(length, 1)
        if depth == 0 and tag >= _ROWS and tag not in (_END_OF_ITEM, _END_OF_SEQUENCE):
            break
    return found


def _tags(file: BinaryIO, found: dict[int, bytes]) -> Iterator[tuple[int, int]]:
    """Tag and length of one element after another; whoever asks reads or skips the value."""
    implicit = False
    for _ in range(_MAX_ELEMENTS):
        head = file.read(8)
        if len(head) < 8:
            return
        group, element, length = struct.unpack("<HHI", head)
        tag = group << 16 | element
        if group > 2 and _SYNTAX in found:  # group 2 is the file's own, always explicit
            syntax = _text(found, _SYNTAX)
            if syntax in _OTHER_ORDER:
                return
            implicit = syntax == _IMPLICIT
        if group != 0xFFFE and not implicit:  # items and delimiters have no type
            kind, length = head[4:6], int.from_bytes(head[6:8], "little")
            if kind in _LONG:
                (length,) = struct.unpack("<I", file.read(4))
        yield tag, length


def _text(values: dict[int, bytes], tag: int) -> str:
    return values.get(tag, b"").decode("ascii", "replace").strip(" \0")
