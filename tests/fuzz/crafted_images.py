"""Images and slides that were made to do harm, by code; each is written into a folder, and its path returned."""

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from fuzz.pictures import APERIO, SCANNED, picture, png

SIDE = 31_000  # that bombs claim


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def eps(path: Path) -> Path:
    """A program for Ghostscript, which would leave a file behind."""
    program = (
        f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 24\n({path.parent}/ran) (w) file closefile showpage\n%%EOF"
    )
    return _written(path, program.encode())


def bomb(folder: Path, name: str) -> Path:
    """A PNG, JPEG or JPEG 2000 of some kB that claims 31,000 px a side."""
    path = folder / name
    if path.suffix == ".png":
        return _written(path, png(SIDE, SIDE, 2, zlib.compress(bytes(10**6))))
    Image.new("RGB", (64, 64)).save(path)
    data = bytearray(path.read_bytes())
    if path.suffix == ".jpg":
        struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, SIDE, SIDE)
        return _written(path, bytes(data))
    codestream = data.index(b"\xff\x4f\xff\x51")
    for at in (8, 24):
        struct.pack_into(">4I", data, codestream + at, SIDE, SIDE, 0, 0)
    if name != "lie.jp2":  # whose box still says 64 × 64 px
        struct.pack_into(">II", data, data.index(b"ihdr") + 4, SIDE, SIDE)
    return _written(path, bytes(data))


def text_bomb(folder: Path) -> Path:
    text = b"Comment\0\0" + zlib.compress(bytes(2**28))
    return _written(folder / "text.png", png(32, 24, 2, zlib.compress(bytes(97 * 24)), (b"zTXt", text)))


def named(name: str):
    def write(folder: Path) -> Path:
        Image.fromarray(picture(32, 24)).save(folder / name, "PNG")
        return folder / name

    return write


def directory_to_itself(folder: Path) -> Path:
    tifffile.imwrite(folder / "loop.tif", picture(32, 24), photometric="rgb", metadata=None)
    data = bytearray((folder / "loop.tif").read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    (tags,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * tags, first)
    return _written(folder / "loop.tif", bytes(data))


def many_directories(folder: Path) -> Path:
    directory = struct.pack("<HHHI2H", 1, 256, 3, 1, 32, 0)
    length = len(directory) + 4
    parts = (directory + struct.pack("<I", 8 + length * (n + 1)) for n in range(50_000))
    return _written(folder / "many.tif", b"II*\0\x08\0\0\0" + b"".join(parts))


def long_description(folder: Path) -> Path:
    for text in ("<OME><Image><Pixels " + "SizeX=" * 30_000, "Aperio" + "|MPP =" * 30_000):
        path = folder / f"{len(text)}.tif"
        tifffile.imwrite(path, picture(96, 80), description=text, tile=(32, 32), photometric="rgb", metadata=None)
    return path


def never_written(folder: Path) -> Path:
    size = {"shape": (60_000, 60_000, 3), "dtype": np.uint8, "tile": (512, 512)}
    empty = (b"" for _ in range(118**2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tifffile.imwrite(folder / "empty.tif", empty, **size, **SCANNED, compression="deflate")
    return folder / "empty.tif"


def short_table(folder: Path) -> Path:
    path = folder / "short.tif"
    tifffile.imwrite(path, picture(96, 80), tile=(32, 32), **SCANNED)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        for tag in ("TileOffsets", "TileByteCounts"):
            struct.pack_into("<I", data, tiff.pages[0].tags[tag].offset + 4, 3)
    return _written(path, bytes(data))


def tall(folder: Path) -> Path:
    """A few tiles that are said to be the top of half a billion rows."""
    path = folder / "tall.tif"
    tifffile.imwrite(path, picture(96, 80), tile=(32, 32), **SCANNED)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags["ImageLength"].overwrite(2**29, dtype="I")
    return path


def odd_properties(folder: Path) -> Path:
    path = folder / "a.svs"
    text = APERIO.format(96, 80).encode().replace(b"AppMag", b"App\xff\xfe")
    options = SCANNED | {"tile": (32, 32), "description": text}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(picture(96, 80), **options)
    return path
