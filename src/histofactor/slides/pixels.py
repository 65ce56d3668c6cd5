"""Pixels of any kind as 8-bit RGB, without a change of meaning that is not told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from histofactor.errors import ImageError
from histofactor.slides.budget import MAX_IMAGE_GB, check_budget
from histofactor.slides.resolution import StatedMpp

MIN_SIDE_PX = 16
MAX_SIDE_PX = 2**22  # ten times the largest slides; a px of their thumbnail then fits memory
ORIENTATION_TAG = 274
_BAND_ROWS = 256
_MODE_WORDS = {
    "1": "1-bit image", "L": "grey image", "LA": "grey image", "P": "palette image", "PA": "palette image",
    "CMYK": "CMYK image", "YCbCr": "YCbCr image",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pixels in memory and what was learned on the way.

    Attributes:
        image: RGB, 8 bits a channel, upright.
        stated: µm/px that the header states, most trusted first.
        reader: name and version of the library that decoded.
        notes: what was converted, one sentence each.
    """

    image: Image.Image
    stated: tuple[StatedMpp, ...]
    reader: str
    notes: tuple[str, ...]


def decode_array(values: NDArray[Any], name: str = "the array", max_image_gb: float = MAX_IMAGE_GB) -> Decoded:
    """Copy an array as an RGB image.

    Args:
        values: (height, width), (height, width, 3) RGB or (height, width, 4) RGBA; uint8 or uint16.
        name: the input, for messages.
        max_image_gb: 10⁹ bytes that all copies of the px may take.

    Raises:
        ImageError: another shape or dtype, an unusable size, or more px than the budget holds.
    """
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.dtype not in (np.uint8, np.uint16) or not (
        values.ndim == 2 or (values.ndim == 3 and values.shape[2] in (3, 4))
    ):
        raise ImageError(
            f"{name} holds no RGB image",
            expected="(height, width, 3), (height, width, 4) or (height, width) of uint8 or uint16",
            got=f"{values.shape} of {values.dtype}",
            mend="convert it; floats in [0, 1] by (255 * x).round().astype('uint8')",
        )
    size = (values.shape[1], values.shape[0])
    check_size(size, name)
    samples = 1 if values.ndim == 2 else values.shape[2]
    check_budget(size, 4 + samples * (3 if values.dtype == np.uint16 else 1), max_image_gb, name)
    notes: tuple[str, ...] = ()
    if values.dtype == np.uint16:
        values, notes = _to_8_bit(values)
    image, more = _to_rgb(Image.fromarray(np.ascontiguousarray(values)))
    return Decoded(image, (), f"NumPy {np.__version__}", notes + more)


def check_size(size: tuple[int, int], name: str) -> None:
    """Refuse images that are too small to hold tissue, or larger than any slide: such a size is a damaged header."""
    got = f"{size[0]} × {size[1]} px"
    if min(size) < MIN_SIDE_PX:
        raise ImageError(f"{name} is too small", expected=f"at least {MIN_SIDE_PX} px a side", got=got)
    if max(size) > MAX_SIDE_PX:
        raise ImageError(f"{name} is too large", expected=f"at most {MAX_SIDE_PX:,} px a side", got=got)


def upright_rgb(image: Image.Image, orientation: int, path: Path) -> tuple[Image.Image, tuple[str, ...]]:
    """Turn an image as its EXIF orientation says, convert it to 8-bit RGB, and say so."""
    notes: tuple[str, ...] = ()
    if orientation in range(2, 9):
        ImageOps.exif_transpose(image, in_place=True)
        notes = (f"turned upright as its EXIF orientation {orientation} says",)
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
            raise unusable(path, f"{image.mode} pixels from {values.min()} to {values.max()}")
        grey, depth = _to_8_bit(values.astype(np.uint16))
        image, notes = Image.fromarray(grey), notes + depth
    try:
        rgb, conversions = _to_rgb(image)
    except ValueError:  # "conversion from … to RGB not supported"
        raise unusable(path, f"{image.mode} pixels") from None
    return rgb, notes + conversions


def over_white(image: Image.Image) -> Image.Image:
    """Lay an image with alpha over white, in bands: copies of all of it would take five times its room."""
    rgb = Image.new("RGB", image.size)
    for top in range(0, image.height, _BAND_ROWS):
        band = image.crop((0, top, image.width, min(top + _BAND_ROWS, image.height))).convert("RGBA")
        ground = Image.new("RGBA", band.size, "white")
        ground.alpha_composite(band)
        rgb.paste(ground.convert("RGB"), (0, top))
    return rgb


def _to_rgb(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Convert any 8-bit mode to RGB and say so."""
    if image.mode == "F":
        raise ValueError("float pixels have no known range")
    if image.has_transparency_data:
        word = _MODE_WORDS.get(image.mode, "image")
        return over_white(image), (f"{word} with alpha laid over white",)
    if image.mode == "RGB":
        return image, ()
    word = _MODE_WORDS.get(image.mode, f"{image.mode} image")
    return image.convert("RGB"), (f"{word} converted to RGB",)


def _to_8_bit(values: NDArray[np.uint16]) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Scale by the smallest of 8, 10, 12, 14, 16 bits that holds the maximum: brightfield white is near full scale."""
    bits = depth_of(int(values.max()))
    return scale_to_8_bit(values, bits), (depth_note(bits),)


def depth_of(maximum: int) -> int:
    """Bits of 16-bit channels whose largest value is ``maximum``."""
    return next(bits for bits in (8, 10, 12, 14, 16) if maximum < 2**bits)


def depth_note(bits: int) -> str:
    """What is told of 16-bit channels."""
    return f"16-bit channels, taken as {bits}-bit data, scaled to 8 bits"


def scale_to_8_bit(values: NDArray[np.uint16], bits: int) -> NDArray[np.uint8]:
    """Scale values of ``bits`` bits to 8; larger ones become 255."""
    table = np.round(np.arange(2**bits) * (255 / (2**bits - 1))).astype(np.uint8)
    scaled: NDArray[np.uint8] = table[np.minimum(values, 2**bits - 1)]
    return scaled


def unusable(name: Path | str, got: str) -> ImageError:
    """The error for pixels that cannot be shown as 8-bit RGB."""
    return ImageError(
        f"{name} holds pixels of unknown meaning or packing",
        expected="grey, RGB or RGBA of 8 or 16 bits",
        got=got,
        mend="export it as 8-bit RGB PNG or TIFF",
    )
