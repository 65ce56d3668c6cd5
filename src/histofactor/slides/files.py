"""Plain image files, decoded.

Pillow decodes. Only colour images with more than 8 bits a channel, which Pillow cuts to their high byte,
are read by OpenCV (PNG) and tifffile (TIFF).
"""

from __future__ import annotations

import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL import __version__ as pillow_version

from histofactor.errors import ImageError
from histofactor.slides.pixels import ORIENTATION_TAG, Decoded, check_size, decode_array, unusable, upright_rgb
from histofactor.slides.resolution import StatedMpp, from_dpi, from_tiff

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "PPM")
_EXPECTED = "a PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000 or PPM image"
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BITS, _DESCRIPTION, _X_RESOLUTION, _Y_RESOLUTION, _UNIT = 258, 270, 282, 283, 296
_pillow_lock = threading.Lock()
# what Pillow, tifffile and imagecodecs raise on files that are cut off or damaged
DAMAGED = (
    OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError, RuntimeError, struct.error,
    zlib.error,
)  # fmt: skip


def decode_file(path: Path) -> Decoded:
    """Read an image file.

    Raises:
        ImageError: the file is missing, empty, damaged, no still image, of unusable size or pixel type.
    """
    try:
        if path.is_dir():
            raise ImageError(f"{path} is a folder", expected="a file", mend="name the images in it")
        with path.open("rb") as file:
            return _decode(file, path)
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist", expected="a file", mend="check the path") from None
    except PermissionError:
        raise ImageError(f"{path} may not be read", expected="a readable file", mend="check its permissions") from None
    except MemoryError as error:
        raise ImageError(f"{path} does not fit into memory", mend="crop or shrink it") from error
    except DAMAGED as error:
        raise ImageError(
            f"{path} is damaged or cut off",
            expected=_EXPECTED,
            got=f"{type(error).__name__}: {error}",
            mend="copy or export it again",
        ) from error


def _decode(file: BinaryIO, path: Path) -> Decoded:
    magic = file.read(4)
    if not magic:
        raise ImageError(f"{path} is empty", expected=_EXPECTED, got="0 bytes", mend="copy or export it again")
    file.seek(0)
    try:
        with _quiet_pillow() as said:
            image = Image.open(file, formats=FORMATS)
            pages = _go_to_largest_page(image)
            _check_still(image, pages, path)
            stated, orientation, deep = _stated(image), _orientation(image), _is_deep_colour(image)
            if not deep:
                image.load()
    except UnidentifiedImageError:
        if magic in TIFF_MAGIC:
            return _decode_deep_tiff(path)
        raise ImageError(
            f"{path} is not an image that can be read",
            expected=_EXPECTED,
            got=f"a file that starts with {magic!r}",
            mend="export it as PNG or TIFF",
        ) from None
    if deep:
        return _decode_deep_tiff(path) if image.format == "TIFF" else _decode_deep_png(path, stated)
    notes = [f"Pillow warns: {message}" for message in said]
    if pages > 1:
        notes.append(f"the file holds {pages} pages: the largest, {image.width} × {image.height} px, is read")
    rgb, conversions = upright_rgb(image, orientation, path)
    return Decoded(rgb, stated, f"Pillow {pillow_version}", (*notes, *conversions))


@contextmanager
def _quiet_pillow() -> Iterator[list[str]]:
    """Lift Pillow's own size limit, for ours is checked, and collect its warnings; one file at a time."""
    with _pillow_lock, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        said: list[str] = []
        try:
            yield said
        finally:
            Image.MAX_IMAGE_PIXELS = limit
            said.extend(dict.fromkeys(str(item.message).strip() for item in caught))


def _go_to_largest_page(image: Image.Image) -> int:
    pages = int(getattr(image, "n_frames", 1))
    if image.format != "TIFF" or pages == 1:
        return pages
    sizes = []
    for page in range(pages):
        try:
            image.seek(page)
        except DAMAGED:  # an extra page of a kind that Pillow lacks is no reason to refuse the others
            sizes.append(0)
        else:
            sizes.append(image.width * image.height)
    image.seek(sizes.index(max(sizes)))
    return pages


def _check_still(image: Image.Image, pages: int, path: Path) -> None:
    check_size(image.size, str(path))
    if pages > 1 and image.format in ("GIF", "WEBP", "PNG"):
        raise ImageError(
            f"{path} is an animation", expected="a still image", got=f"{pages} frames", mend="export one frame"
        )


def _orientation(image: Image.Image) -> int:
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # getexif() would decode the whole image
    return int(image.getexif().get(ORIENTATION_TAG, 1))


def _stated(image: Image.Image) -> tuple[StatedMpp, ...]:
    tags = getattr(image, "tag_v2", None)
    if tags is not None:
        resolution = (tags[_X_RESOLUTION], tags[_Y_RESOLUTION]) if {_X_RESOLUTION, _Y_RESOLUTION} <= set(tags) else None
        return from_tiff(str(tags.get(_DESCRIPTION, "")), resolution, int(tags.get(_UNIT, 2)))
    dpi = image.info.get("dpi")
    return from_dpi(dpi, f"{image.format} density of {dpi[0]:.6g} dpi") if dpi else ()


def _is_deep_colour(image: Image.Image) -> bool:
    """Whether Pillow would cut the channels to their high byte."""
    if image.mode.startswith(("I", "F")):
        return False
    tags = getattr(image, "tag_v2", None)
    if tags is not None:
        return bool(max(tags.get(_BITS, (1,))) > 8)
    return image.format == "PNG" and any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))


def _decode_deep_png(path: Path, stated: tuple[StatedMpp, ...]) -> Decoded:
    import cv2  # a second, and only for these rare files

    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise OSError("the pixel data ends early")
    order = cv2.COLOR_BGR2RGB if values.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    decoded = decode_array(cv2.cvtColor(values, order), str(path))
    return Decoded(decoded.image, stated, f"OpenCV {cv2.__version__}", decoded.notes)


def _decode_deep_tiff(path: Path) -> Decoded:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        pages = [page.aspage() for page in tiff.pages]
        page = max(pages, key=lambda page: int(page.imagewidth * page.imagelength))
        check_size((page.imagewidth, page.imagelength), str(path))
        if page.dtype not in (np.uint8, np.uint16):
            raise unusable(path, f"{page.dtype} pixels")
        check_packing(page, path)
        values = page.asarray()
        stated = stated_by_page(page, page.description)
        orientation = int(page.tags.valueof(ORIENTATION_TAG, default=1))
        axes = page.axes
    decoded = decode_array(np.moveaxis(values, 0, -1) if axes.startswith("S") else values, str(path))
    decoded.image.getexif()[ORIENTATION_TAG] = orientation
    rgb, notes = upright_rgb(decoded.image, orientation, path)
    return Decoded(rgb, stated, f"tifffile {tifffile.__version__}", decoded.notes + notes)


def check_packing(page: Any, path: Path) -> None:
    """Refuse a TIFF page of tifffile whose compression no library here knows."""
    import tifffile

    if page.compression not in tifffile.TIFF.DECOMPRESSORS:
        raise unusable(path, f"{page.bitspersample}-bit channels, compression {page.compression}")


def stated_by_page(page: Any, description: str) -> tuple[StatedMpp, ...]:
    """µm/px that a TIFF page of tifffile states in its description and resolution tags."""
    ratios = [page.tags.valueof(tag) for tag in (_X_RESOLUTION, _Y_RESOLUTION)]
    resolution = None if None in ratios else tuple(top / (bottom or np.nan) for top, bottom in ratios)
    return from_tiff(description, resolution, int(page.tags.valueof(_UNIT, default=2)))
