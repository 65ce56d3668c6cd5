"""Headers of DICOM whole slides, after PS3.5 and PS3.10, without px."""

import struct

from histofactor.slides.dicom_header import WHOLE_SLIDE

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
VOLUME = "ORIGINAL\\PRIMARY\\VOLUME\\NONE"
UNDEFINED = 0xFFFFFFFF


def element(tag, kind, value, implicit=False, length=None):
    """One element: explicit as in PS3.5 7.1.2, or implicit as in 7.1.3; texts are padded to even lengths."""
    if isinstance(value, str):
        value = value.encode() + (b" " if len(value) % 2 else b"")
    length = len(value) if length is None else length
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if implicit or kind is None:
        return head + struct.pack("<I", length) + value
    if kind in ("SQ", "OB", "UN", "UT"):
        return head + kind.encode() + b"\0\0" + struct.pack("<I", length) + value
    return head + kind.encode() + struct.pack("<H", length) + value


def decoy(implicit, defined):
    """A sequence that names another series inside, of stated or of open length."""
    inside = element(0x0020000E, "UI", "9.9.9", implicit)
    nested = element(0x00081199, "SQ", element(0xFFFEE000, None, inside), implicit)
    if defined:
        return element(0x00081115, "SQ", element(0xFFFEE000, None, nested + inside), implicit)
    item = element(0xFFFEE000, None, nested + inside + element(0xFFFEE00D, None, b""), length=UNDEFINED)
    return element(0x00081115, "SQ", item + element(0xFFFEE0DD, None, b""), implicit, length=UNDEFINED)


def dicom(kind=VOLUME, size=(1024, 768), *, syntax=EXPLICIT, sop=WHOLE_SLIDE, series="1.2.4", study="1.2.3", **options):
    implicit = syntax == IMPLICIT
    body = [
        element(0x00080008, "CS", kind, implicit),
        element(0x00080016, "UI", sop, implicit),
        decoy(implicit, options.get("defined", True)),
        element(0x0020000D, "UI", study, implicit),
        element(0x0020000E, "UI", series, implicit),
        element(0x00480006, "UL", struct.pack("<I", size[0]), implicit),
        element(0x00480007, "UL", struct.pack("<I", size[1]), implicit),
        element(0x7FE00010, "OB", b"", implicit, length=UNDEFINED),
    ]
    return bytes(128) + b"DICM" + element(0x00020010, "UI", syntax) + b"".join(body)
