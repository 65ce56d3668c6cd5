"""Plain image files, decoded.

Pillow decodes. Only colour images with more than 8 bits a channel, which Pillow cuts to their high byte,
are read by OpenCV (PNG) and tifffile (TIFF).
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError
from PIL import __version__ as pillow_version

from histofactor.errors import HistofactorError, ImageError
from histofactor.slides.budget import MAX_IMAGE_GB
from histofactor.slides.codestream import jpeg2000_claim
from histofactor.slides.damaged import DAMAGED
from histofactor.slides.pillow import FORMATS, check_room, is_deep, quiet_pillow, suffix_note
from histofactor.slides.pixels import ORIENTATION_TAG, Decoded, decode_array, upright_rgb
from histofactor.slides.plain_tiff import decode_tiff
from histofactor.slides.resolution import StatedMpp, from_dpi
from histofactor.slides.tiff_directory import TIFF_MAGIC

__all__ = ["DAMAGED", "decode_file"]

_EXPECTED = "a PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000 or PPM image"
_HEADER_BYTES = 2**20  # of a JPEG 2000 file, in which its codestream begins


def decode_file(path: Path, series: str | int | None = None, max_image_gb: float = MAX_IMAGE_GB) -> Decoded:
    """Read an image file.

    Args:
        path: the file.
        series: name or number of one of several images in a TIFF; the largest if None.
        max_image_gb: 10⁹ bytes that all copies of the px may take.

    Raises:
        ImageError: the file is missing, empty, damaged, no still image, of unusable size or pixel type, or more than
            the budget holds.
        OptionError: no image of the file is called ``series``.
    """
    try:
        if path.is_dir():
            raise ImageError(f"{path} is a folder", expected="a file", mend="name the images in it")
        with path.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            if magic in TIFF_MAGIC:
                return decode_tiff(path, series, max_image_gb)
            return _decode(file, path, magic, max_image_gb)
    except HistofactorError:
        raise
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
            got=f"{type(error).__name__}: {error}"[:500],
            mend="copy or export it again",
        ) from error


def _decode(file: BinaryIO, path: Path, magic: bytes, max_image_gb: float) -> Decoded:
    if not magic:
        raise ImageError(f"{path} is empty", expected=_EXPECTED, got="0 bytes", mend="copy or export it again")
    claim = jpeg2000_claim(file.read(_HEADER_BYTES))
    file.seek(0)
    try:
        with quiet_pillow() as said:
            image = Image.open(file, formats=FORMATS)
            orientation, deep, size = _orientation(image), is_deep(image), image.size
            if claim is not None:
                size = (max(size[0], claim[0]), max(size[1], claim[1]))
            check_room(image, size, orientation, max_image_gb, path)
            _check_still(image, path)
            stated = _stated(image)
            if not deep:
                image.load()
    except UnidentifiedImageError:
        raise ImageError(
            f"{path} is not an image that can be read",
            expected=_EXPECTED,
            got=f"a file that starts with {magic!r}",
            mend="export it as PNG or TIFF",
        ) from None
    named = suffix_note(path, str(image.format))
    if deep:
        decoded = _decode_deep_png(path, stated)
        return Decoded(decoded.image, stated, decoded.reader, (*named, *decoded.notes))
    warned = tuple(f"Pillow warns: {message}" for message in said)
    rgb, conversions = upright_rgb(image, orientation, path)
    return Decoded(rgb, stated, f"Pillow {pillow_version}", (*named, *warned, *conversions))


def _check_still(image: Image.Image, path: Path) -> None:
    if image.format in ("GIF", "WEBP", "PNG") and getattr(image, "is_animated", False):
        raise ImageError(
            f"{path} is an animation", expected="a still image", got="several frames", mend="export one frame"
        )


def _orientation(image: Image.Image) -> int:
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # getexif() would decode the whole image
    return int(image.getexif().get(ORIENTATION_TAG, 1))


def _stated(image: Image.Image) -> tuple[StatedMpp, ...]:
    dpi = image.info.get("dpi")
    return from_dpi(dpi, f"{image.format} density of {dpi[0]:.6g} dpi") if dpi else ()


def _decode_deep_png(path: Path, stated: tuple[StatedMpp, ...]) -> Decoded:
    import cv2  # a second, and only for these rare files

    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise OSError("the pixel data ends early")
    order = cv2.COLOR_BGR2RGB if values.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    decoded = decode_array(cv2.cvtColor(values, order), str(path), float("inf"))  # checked by its header
    return Decoded(decoded.image, stated, f"OpenCV {cv2.__version__}", decoded.notes)
