"""What the samples of a TIFF px mean, and how they become 8-bit RGB: one check for plain and pyramidal files alike.

Photometric interpretations, extra samples and planes are those of TIFF 6.0. What they leave in doubt is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histofactor.errors import ImageError
from histofactor.slides.pixels import depth_of, over_white, scale_to_8_bit, unusable

JPEG = (6, 7, 33007, 34892)
JPEG_2000 = (33003, 33004, 33005, 34712)
WEBP = (34927, 50001)
_PACKINGS = {1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 34926, 50000, *JPEG, *JPEG_2000, *WEBP}
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
_KINDS = {
    _WHITE_IS_ZERO: ("grey", 1), _BLACK_IS_ZERO: ("grey", 1), _RGB: ("rgb", 3), _PALETTE: ("palette", 1),
    _SEPARATED: ("cmyk", 4), _YCBCR: ("ycbcr", 3),
}  # fmt: skip
_ALPHA = {1: "RGBa", 2: "RGBA"}  # by ExtraSamples: premultiplied, straight
_REFERENCE_BLACK_WHITE, _COLOR_MAP = 532, 320
_FULL_RANGE = (0, 255, 128, 255, 128, 255)
_PRIMARIES = (("r", "red"), ("g", "green"), ("b", "blue"))
_BRIGHT = 0.5  # of the full scale: glass reaches it in all three channels of a stained section at once


@dataclass(frozen=True, slots=True)
class Samples:
    """How px are stored.

    Attributes:
        kind: ``grey``, ``rgb``, ``palette``, ``cmyk`` or ``ycbcr``; of decoded px, so RGB for most JPEG.
        channels: samples of a px, extra ones included; of all pages together where each channel is a page.
        bits: of a sample, as the file declares them.
        white_is_zero: whether grey runs from white to black.
        alpha: Pillow's mode of px with this alpha, or "".
        must_be_bright: whether nothing but their look tells that three grey channels are red, green and blue.
        palette: (2**bits, 3) uint8, or None.
    """

    kind: str
    channels: int
    bits: int
    white_is_zero: bool = False
    alpha: str = ""
    must_be_bright: bool = False
    palette: NDArray[np.uint8] | None = None

    @property
    def colors(self) -> int:
        """Samples that make up the colour."""
        return {"grey": 1, "palette": 1, "cmyk": 4}.get(self.kind, 3)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is done to the px, one sentence each."""
        notes = []
        if self.kind not in ("rgb", "ycbcr"):
            notes.append(f"{'CMYK' if self.kind == 'cmyk' else self.kind} image converted to RGB")
        if self.alpha:
            notes.append("image with alpha laid over white")
        elif self.channels > self.colors:
            notes.append("the fourth sample of every px, of no declared meaning, is left out")
        return tuple(notes)


def read_samples(pages: Sequence[Any], channels: Sequence[str], path: Path) -> Samples:
    """Tell what the px of one image mean.

    Args:
        pages: pages of tifffile: one, or one a channel.
        channels: names of the channels, where the file gives them.
        path: the file, for messages.

    Raises:
        ImageError: the px cannot be shown as RGB without a guess.
    """
    page = pages[0]
    bits = _bits(page, path)
    if page.compression not in _PACKINGS or page.jpegheader is not None:
        raise unusable(path, f"{bits}-bit channels, compression {_word(page.compression)}")
    count = int(page.samplesperpixel) * len(pages)
    kind, colors = _KINDS.get(int(page.photometric), ("", 0))
    told = f"{count} channels, photometric {_word(page.photometric)}, compression {_word(page.compression)}"
    if not kind or page.imagedepth > 1 or (len(pages) > 1 and page.samplesperpixel != 1):
        raise unusable(path, told)
    if kind == "grey" and len(pages) == 1 and _has_alpha(page, count, 1):
        return Samples("grey", 2, bits, page.photometric == _WHITE_IS_ZERO, _ALPHA[int(page.extrasamples[0])])
    if kind == "grey" and count > 1:
        return _grey_channels(page, count, bits, channels, path)
    if kind == "ycbcr":
        kind = _ycbcr(page, told, path)
    elif kind == "rgb" and page.compression == JPEG_2000[0]:  # Aperio's own for YCbCr, whatever photometric says
        kind = "ycbcr"
    elif kind == "cmyk" and (page.compression in JPEG or bits != 8 or page.tags.valueof(332, 1) != 1):
        raise unusable(path, told)
    if count not in (colors, colors + (kind in ("rgb", "ycbcr"))):
        raise unusable(path, f"{told}: more than a colour and its alpha")
    return Samples(
        kind=kind,
        channels=count,
        bits=bits,
        white_is_zero=page.photometric == _WHITE_IS_ZERO,
        alpha=_ALPHA[int(page.extrasamples[0])] if _has_alpha(page, count, colors) else "",
        palette=_palette(page, bits, path) if kind == "palette" else None,
    )


def settle_bits(samples: Samples, maximum: int, path: Path) -> int:
    """Bits that 16-bit samples fill, judged by their largest value: white is near full scale.

    Raises:
        ImageError: white is zero, so that the largest value tells nothing of the range.
    """
    if samples.bits != 16 or samples.kind == "palette":
        return samples.bits
    bits = depth_of(maximum)
    if samples.white_is_zero and bits != 16:
        raise unusable(path, f"16-bit grey whose white is zero and whose largest value is {maximum}: of unknown range")
    return bits


def to_image(values: NDArray[Any], samples: Samples, bits: int) -> Image.Image:
    """Show px as RGB.

    Args:
        values: (height, width, channels) as decoded.
        samples: what they mean.
        bits: that they fill.
    """
    if samples.palette is not None:
        return Image.fromarray(samples.palette[np.minimum(values[..., 0], len(samples.palette) - 1)])
    scaled = values if bits == 8 and values.dtype == np.uint8 else scale_to_8_bit(values.astype(np.uint16), bits)
    colors = scaled[..., : samples.colors]
    if samples.kind == "grey":
        colors = np.repeat(255 - colors if samples.white_is_zero else colors, 3, axis=2)
    if samples.alpha:
        rgba = np.ascontiguousarray(np.concatenate([colors, scaled[..., samples.colors :]], axis=2))
        size = (values.shape[1], values.shape[0])
        return over_white(Image.frombuffer(samples.alpha, size, rgba, "raw", samples.alpha, 0, 1))
    mode = {"cmyk": "CMYK", "ycbcr": "YCbCr"}.get(samples.kind, "RGB")
    pixels = np.ascontiguousarray(colors)
    return Image.frombuffer(mode, (values.shape[1], values.shape[0]), pixels, "raw", mode, 0, 1).convert("RGB")


def check_bright(values: NDArray[Any], bits: int, path: Path) -> None:
    """Refuse three unnamed channels that do not look like a stained section on glass: they may be fluorescence.

    Args:
        values: (height, width, 3) of the whole image, reduced or not.
        bits: that they fill.
        path: the file, for the message.
    """
    if np.percentile(values.min(axis=2), 99) < _BRIGHT * (2**bits - 1):
        raise _fluorescence(path, "3 grey channels of no name, dark where a stained section is bright")


def _grey_channels(page: Any, count: int, bits: int, channels: Sequence[str], path: Path) -> Samples:
    """Grey channels are a colour image only if they are red, green and blue."""
    names = [name.strip().lower() for name in channels if name.strip()]
    primaries = len(names) == 3 and all(name in words for name, words in zip(names, _PRIMARIES, strict=True))
    doubtful = (
        page.photometric != _BLACK_IS_ZERO or any(map(int, page.extrasamples)) or (len(names) > 1 and not primaries)
    )
    if count != 3 or doubtful:
        listed = ", ".join(name for name in channels[:8] if name)
        raise _fluorescence(path, f"{count} grey channels{f' ({listed})' if listed else ''}")
    return Samples("rgb", 3, bits, must_be_bright=not primaries)


def _fluorescence(path: Path, got: str) -> ImageError:
    return ImageError(
        f"{path} is no image of a stained section in colour: fluorescence, or planes of another kind",
        expected="red, green and blue",
        got=got,
        mend="export it as 8-bit RGB PNG or TIFF if it is one",
    )


def _has_alpha(page: Any, count: int, colors: int) -> bool:
    return count == colors + 1 and len(page.extrasamples) >= 1 and int(page.extrasamples[0]) in _ALPHA


def _ycbcr(page: Any, told: str, path: Path) -> str:
    """What decoded YCbCr px are: RGB where the decoder converts them."""
    if page.compression in JPEG:
        return "rgb"
    stated = page.tags.valueof(_REFERENCE_BLACK_WHITE)
    pairs = zip(stated[::2], stated[1::2], strict=True) if stated else ()
    full = not stated or tuple(round(top / (bottom or 1)) for top, bottom in pairs) == _FULL_RANGE
    subsampled = page.is_subsampled and page.compression not in JPEG_2000
    if subsampled or not full or page.compression == 33005 or page.bitspersample != 8:
        raise unusable(path, f"{told}{', subsampled' if subsampled else ''}")
    return "ycbcr"


def _bits(page: Any, path: Path) -> int:
    bits = page.bitspersample
    if not isinstance(bits, int) or page.dtype is None or page.dtype.kind not in "ub" or not 1 <= bits <= 16:
        raise unusable(path, f"{page.dtype or 'unknown'} pixels of {bits} bits")
    return bits


def _palette(page: Any, bits: int, path: Path) -> NDArray[np.uint8]:
    colors = page.tags.valueof(_COLOR_MAP)
    if bits > 8 or colors is None or np.size(colors) != 3 * 2**bits:
        raise unusable(path, "a palette image without its palette")
    return np.ascontiguousarray((np.asarray(colors, np.uint16).reshape(3, -1).T >> 8).astype(np.uint8))


def _word(code: Any) -> str:
    """A code of TIFF with its name, where it has one."""
    return f"{int(code)} ({code.name})" if hasattr(code, "name") else str(code)
