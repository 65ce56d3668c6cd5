"""One interface for every input: ``open_slide(...)``, then ``read(region)`` gives RGB at any scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histofactor.errors import ImageError, OptionError
from histofactor.records import Region, SlideInfo
from histofactor.slides.files import decode_file
from histofactor.slides.pixels import decode_array
from histofactor.slides.resolution import settle_mpp

# Bicubic as Pillow does it: its support grows with the reduction, so nothing aliases; it rings half as much
# at nuclear edges as Lanczos; and it is what most encoders were fed in training.
RESAMPLE = Image.Resampling.BICUBIC
_TOLERANCE_PX = 1e-3


class Slide(Protocol):
    """An open input: a plain image now, a whole slide behind the same three members."""

    @property
    def info(self) -> SlideInfo:
        """What is known of the input."""

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Read a region: (out height, out width, 3) RGB, antialiased, without seams between neighbours."""

    def close(self) -> None:
        """Free the pixels or the file."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


def open_slide(source: str | Path | NDArray[Any], *, source_mpp: float | None = None) -> Slide:
    """Open an image for reading regions.

    Args:
        source: a file, or an array (height, width, 3) RGB, (height, width, 4) RGBA or (height, width) grey of
            uint8 or uint16, which is copied.
        source_mpp: µm per px of the source; replaces what its header states.

    Raises:
        ImageError: the source cannot be read as a still image.
        ResolutionError: ``source_mpp`` or the header's µm/px cannot be used.
        OptionError: the source is neither a path nor an array.
    """
    if isinstance(source, np.ndarray):
        path, decoded = None, decode_array(source)
    elif isinstance(source, str | Path):
        path = Path(source)
        decoded = decode_file(path)
    else:
        raise OptionError("source is of the wrong type", expected="a path or an array", got=type(source).__name__)
    mpp, resolution_notes = settle_mpp(decoded.stated, source_mpp, "the array" if path is None else str(path))
    notes = (*decoded.notes, *resolution_notes)
    return PlainImage(decoded.image, SlideInfo(path, decoded.image.size, mpp, (1.0,), decoded.reader, notes))


class PlainImage:
    """An image held in memory. Reads may run in several threads."""

    def __init__(self, image: Image.Image, info: SlideInfo) -> None:
        self._image: Image.Image | None = image
        self._info = info

    @property
    def info(self) -> SlideInfo:
        """What is known of the input."""
        return self._info

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Read a region at any scale.

        Every output px is a weighted mean of the level-0 px around it, inside the region or not, so adjacent
        regions of one scale give the px of one large read. At scale 1 on whole px the px are copied.

        Returns:
            (out height, out width, 3) uint8 RGB.

        Raises:
            OptionError: the region is empty or leaves the slide.
            ImageError: the slide is closed.
        """
        if self._image is None:
            raise ImageError(f"{self._info.path or 'the array'} is closed", expected="an open slide")
        box = _box(region, self._info.size)
        return np.array(self._image.resize(region.out_size, RESAMPLE, box=box))

    def close(self) -> None:
        """Free the pixels."""
        self._image = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _box(region: Region, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Corners in level-0 px, clamped to the slide within float tolerance."""
    x0, y0, x1, y1 = region.x, region.y, region.x + region.width, region.y + region.height
    inside = x0 >= -_TOLERANCE_PX and y0 >= -_TOLERANCE_PX
    inside = inside and x1 <= size[0] + _TOLERANCE_PX and y1 <= size[1] + _TOLERANCE_PX
    if not (inside and region.width > 0 and region.height > 0 and min(region.out_size) > 0):  # refuses NaN too
        raise OptionError(
            "the region cannot be read",
            expected=f"a non-empty rectangle within {size[0]} × {size[1]} px",
            got=f"x {x0:g} to {x1:g}, y {y0:g} to {y1:g}, out_size {region.out_size}",
        )
    return max(x0, 0.0), max(y0, 0.0), min(x1, float(size[0])), min(y1, float(size[1]))
