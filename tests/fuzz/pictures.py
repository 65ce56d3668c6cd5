"""Small pictures, and how TIFF and PNG are put together of them."""

import struct
import zlib
from pathlib import Path

import numpy as np

APERIO = "Aperio Image Library v11.2.1 \r\n{}x{}|AppMag = 20|MPP = 0.5"
SCANNED = {"photometric": "rgb", "metadata": None, "resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}


def picture(width: int, height: int) -> np.ndarray:
    """(height, width, 3) noise in the colours of tissue."""
    noise = np.random.default_rng(0).integers(0, 60, (height, width, 3))
    return (noise + np.array([170, 90, 150])).astype(np.uint8)


def mend_png(path: Path) -> None:
    """Make the checksums of the chunks of a PNG right again; other files stay as they are."""
    content = bytearray(path.read_bytes())
    at = 8
    while content[:4] == b"\x89PNG" and at + 12 <= len(content):
        stop = at + 8 + int.from_bytes(content[at : at + 4])
        if stop + 4 > len(content):
            break
        content[stop : stop + 4] = zlib.crc32(content[at + 4 : stop]).to_bytes(4)
        at = stop + 4
    path.write_bytes(content)


def png(width: int, height: int, kind: int = 2, data: bytes = b"", *more: tuple[bytes, bytes]) -> bytes:
    """A PNG of a size, a kind of colours and packed px, whatever they are."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)),
        *more,
        (b"IDAT", data),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(held).to_bytes(4) + name + held + zlib.crc32(name + held).to_bytes(4) for name, held in chunks
    )
