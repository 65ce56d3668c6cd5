"""Pillow, kept to the formats that are meant, without warnings, and within a budget of memory."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from histofactor.slides.budget import check_budget
from histofactor.slides.pixels import check_size

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "PPM")
_SUFFIXES = {
    ".bmp": "BMP", ".btf": "TIFF", ".gif": "GIF", ".jp2": "JPEG2000", ".jpeg": "JPEG", ".jpg": "JPEG", ".png": "PNG",
    ".ppm": "PPM", ".tf2": "TIFF", ".tf8": "TIFF", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP",
}  # fmt: skip
# bytes of a px in Pillow; what is no RGB is held beside its copy as RGB
_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "RGB": 0}
_RGB_BYTES = 4
_lock = threading.Lock()
logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it finds wrong is told as an error or a note


@contextmanager
def quiet_pillow() -> Iterator[list[str]]:
    """Lift Pillow's own size limit, for ours is checked, and collect its warnings; one file at a time."""
    with _lock, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        said: list[str] = []
        try:
            yield said
        finally:
            Image.MAX_IMAGE_PIXELS = limit
            said.extend(dict.fromkeys(str(item.message).strip() for item in caught))


def check_room(image: Image.Image, size: tuple[int, int], orientation: int, max_image_gb: float, path: Path) -> None:
    """Refuse an image that is not decoded yet and is too small, or will take more memory than the budget.

    Args:
        image: as opened by Pillow.
        size: the larger of what its headers claim, (width, height) in px.
        orientation: its EXIF orientation; a copy is made to turn it.
        max_image_gb: the budget in 10⁹ bytes.
        path: the file, for messages.

    Raises:
        ImageError: it does not fit.
    """
    check_size(image.size, str(path))
    bands = len(image.getbands())
    needed = _RGB_BYTES + _BYTES.get(image.mode, 4) + (_RGB_BYTES if orientation > 1 else 0)
    if image.format == "JPEG2000":
        needed += 4 * bands + bands * (2 if ";16" in image.mode else 1)  # OpenJPEG's own px, and the tile's bytes
    if image.format == "JPEG" and image.info.get("progressive"):
        needed += 2 * bands  # coefficients of the whole image
    if image.format == "PNG" and is_deep(image):
        needed += 8 * bands  # OpenCV's px, their copy in another order, their range
    check_budget(size, needed, max_image_gb, str(path))


def is_deep(image: Image.Image) -> bool:
    """Whether Pillow would cut the channels of a PNG to their high byte."""
    deep = any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))
    return image.format == "PNG" and not image.mode.startswith(("I", "F")) and deep


def suffix_note(path: Path, format_: str) -> tuple[str, ...]:
    """A note where a file is of another format than its name says."""
    named = _SUFFIXES.get(path.suffix.lower(), format_)
    return () if named == format_ else (f"the file is a {format_} image, though its name ends in {path.suffix}",)
