"""What slides with stored levels share: pick a level, read it around the region, reduce once.

Every output px is a weighted mean of the level px around it, inside the region or not, and the level depends on the
scale alone. So it does not matter how a slide is cut into regions.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histofactor.errors import ImageError, OptionError, UnreadableRegion
from histofactor.records import Region, SlideInfo

# Bicubic as Pillow does it: its support grows with the reduction, so nothing aliases; it rings half as much
# at nuclear edges as Lanczos; and it is what most encoders were fed in training.
RESAMPLE = Image.Resampling.BICUBIC
_SUPPORT_PX = 2.0  # of that filter, at scale 1
_COARSER = 1.01  # a level may be one percent coarser than asked for
_MAX_PX = 2**25  # level px read at a time
_TOLERANCE_PX = 1e-3

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in px of a level."""
_Corners = tuple[float, float, float, float]


class DamagedPixels(Exception):
    """The bytes that hold some px of a level cannot be decoded."""


@dataclass(frozen=True, slots=True)
class Level:
    """A stored level.

    Attributes:
        downsample: level-0 px per px of the level, (x, y).
        origin: (x, y) in px of the level of the slide's upper left corner.
        extent: the px of the level that belong to the slide.
    """

    downsample: tuple[float, float]
    origin: tuple[float, float]
    extent: Box

    def box(self, corners: _Corners) -> _Corners:
        """Corners in level-0 px of the slide as corners in px of the level."""
        (scale_x, scale_y), (x, y) = self.downsample, self.origin
        x0, y0, x1, y1 = corners
        return x + x0 / scale_x, y + y0 / scale_y, x + x1 / scale_x, y + y1 / scale_y


def lay_out(canvas_sizes: Sequence[tuple[int, int]], bounds: Box | None = None) -> tuple[Level, ...]:
    """Lay the levels over each other: every one covers the whole canvas.

    Args:
        canvas_sizes: (width, height) of every level, level 0 first.
        bounds: the part of level 0 that is the slide; all of it if None.
    """
    l0_width, l0_height = canvas_sizes[0]
    left, top, right, bottom = bounds or (0, 0, l0_width, l0_height)
    levels = []
    for width, height in canvas_sizes:
        x, y = l0_width / width, l0_height / height
        extent = (
            math.floor(left / x),
            math.floor(top / y),
            min(math.ceil(right / x), width),
            min(math.ceil(bottom / y), height),
        )
        levels.append(Level((x, y), (left / x, top / y), extent))
    return tuple(levels)


class LeveledSlide(ABC):
    """An open slide with stored levels. Reads may run in several threads."""

    def __init__(self, info: SlideInfo, levels: Sequence[Level]) -> None:
        self._info = info
        self._levels = levels

    @property
    def info(self) -> SlideInfo:
        """What is known of the input."""
        return self._info

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Read a region at any scale from the coarsest level that holds its detail.

        Adjacent regions of one scale give the px of one large read.

        Returns:
            (out height, out width, 3) uint8 RGB.

        Raises:
            OptionError: the region is empty or leaves the slide.
            UnreadableRegion: the file is damaged there; other regions can still be read.
            ImageError: the slide is closed.
        """
        if self._closed:
            raise self._closed_error()
        corners = l0_corners(region, self._info.size)
        index = choose_level(self._levels, min(region.width / region.out_size[0], region.height / region.out_size[1]))
        for level in self._as_fine_as(index):
            try:
                values = self._scaled(level, self._levels[level].box(corners), region.out_size)
            except DamagedPixels as error:
                damage = error
                continue
            if level != index:
                self._tell(index)
            return values
        raise UnreadableRegion(
            f"{self._info.path} is damaged at x {region.x:g}, y {region.y:g}",
            region=region,
            expected=f"readable px in {region.width:g} × {region.height:g} level-0 px",
            got=str(damage),
            mend="copy or export it again",
        ) from damage

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Read an image that goes with the slide, such as its label.

        Args:
            name: one of ``info.associated``.

        Returns:
            (height, width, 3) uint8 RGB.

        Raises:
            OptionError: the slide has no image of that name.
            ImageError: it cannot be read, or the slide is closed.
        """
        if self._closed:
            raise self._closed_error()
        if name not in self._info.associated:
            raise OptionError(
                f"{self._info.path or 'the array'} has no associated image of that name",
                expected=" or ".join(map(repr, self._info.associated)) or "none: the input has none",
                got=repr(name),
            )
        try:
            return self._read_associated(name)
        except DamagedPixels as error:
            raise ImageError(f"the image {name!r} of {self._info.path} is damaged", got=str(error)) from error

    def _as_fine_as(self, index: int) -> list[int]:
        """A level, then the finer ones, which hold its px too; the finest last."""
        scale = max(self._levels[index].downsample)
        finer = [n for n, level in enumerate(self._levels) if max(level.downsample) < scale]
        return [index, *sorted(finer, key=lambda n: self._levels[n].downsample, reverse=True)]

    def _tell(self, index: int) -> None:
        """Note once that a level is damaged where a finer one is whole."""
        width, height = self._levels[index].extent[2:]
        note = f"level {index} ({width} × {height} px) is damaged in part: finer ones are read in its place"
        if note not in self._info.notes:
            self._info = replace(self._info, notes=(*self._info.notes, note))

    def _scaled(self, index: int, corners: _Corners, out_size: tuple[int, int]) -> NDArray[np.uint8]:
        """Read px between ``corners`` of a level as ``out_size`` px, in parts where it is much."""
        x0, y0, x1, y1 = corners
        if (x1 - x0) * (y1 - y0) > _MAX_PX and max(out_size) > 1:
            axis = int(out_size[1] > out_size[0])  # halve the longer side: 0 x, 1 y
            first = out_size[axis] // 2
            middle = corners[axis] + (corners[axis + 2] - corners[axis]) * first / out_size[axis]
            ends = ((x0, y0, middle, y1), (middle, y0, x1, y1)) if axis == 0 else (
                (x0, y0, x1, middle), (x0, middle, x1, y1)
            )  # fmt: skip
            sizes = [(n, out_size[1]) if axis == 0 else (out_size[0], n) for n in (first, out_size[axis] - first)]
            parts = [self._scaled(index, end, size) for end, size in zip(ends, sizes, strict=True)]
            return np.concatenate(parts, axis=1 - axis)
        extent = self._levels[index].extent
        (left, right), (top, bottom) = (
            _around(corners[axis], corners[axis + 2], out_size[axis], (extent[axis], extent[axis + 2]))
            for axis in (0, 1)
        )
        image = self._read_px(index, (left, top, right, bottom))
        width, height = image.size
        box = (max(x0 - left, 0.0), max(y0 - top, 0.0), min(x1 - left, float(width)), min(y1 - top, float(height)))
        return _resample(image, out_size, box)

    def _closed_error(self) -> ImageError:
        return ImageError(f"{self._info.path or 'the array'} is closed", expected="an open slide")

    @property
    @abstractmethod
    def _closed(self) -> bool:
        """Whether the file was let go."""

    @abstractmethod
    def _read_px(self, level: int, box: Box) -> Image.Image:
        """Read stored px of a level as RGB; the box lies within the level's extent.

        Raises:
            DamagedPixels: the file is damaged there.
        """

    def _read_associated(self, name: str) -> NDArray[np.uint8]:
        """Read one of ``info.associated`` as RGB."""
        raise NotImplementedError

    @abstractmethod
    def close(self) -> None:
        """Let the file go."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _resample(image: Image.Image, size: tuple[int, int], box: _Corners) -> NDArray[np.uint8]:
    """Resize along x, then along y: left to itself, Pillow (13 on) orders by shape, and px would depend on the cut."""
    step = _whole_step(size, box)
    if step > 1:
        return _reduce(np.asarray(image), size, (int(box[0]), int(box[1])), step)
    x0, y0, x1, y1 = box
    narrow = image.resize((size[0], image.height), RESAMPLE, box=(x0, 0, x1, image.height))
    return np.array(narrow.resize(size, RESAMPLE, box=(0, y0, size[0], y1)))


def _whole_step(size: tuple[int, int], box: _Corners) -> int:
    """Level px per output px where that is a whole number and the box lies on whole px, else 0."""
    x0, y0, x1, _ = box
    step = round((x1 - x0) / size[0])
    aligned = box == (int(x0), int(y0), int(x0) + step * size[0], int(y0) + step * size[1])
    complete = all(start % step == 0 or start >= 2 * step for start in (x0, y0)) if step else False
    return step if aligned and complete else 0


def _reduce(pixels: NDArray[np.uint8], size: tuple[int, int], start: tuple[int, int], step: int) -> NDArray[np.uint8]:
    """Reduce by a whole step with the same filter in vector registers: torch's, some five times as fast as Pillow's.

    The two differ by at most one grey level, in some px of a hundred thousand.

    Args:
        pixels: (height, width, 3) of the level, beyond the box as far as the filter sees.
        size: (width, height) of the result.
        start: (x, y) of the box in ``pixels``.
        step: level px per output px.
    """
    import torch
    from torch.nn.functional import interpolate

    before = [min(offset // step, int(_SUPPORT_PX)) for offset in start]  # output px worked beyond the box
    lengths = [
        min((limit - offset) // step + extra, count + extra + int(_SUPPORT_PX))
        for limit, offset, extra, count in zip(pixels.shape[1::-1], start, before, size, strict=True)
    ]
    left, top = (offset - extra * step for offset, extra in zip(start, before, strict=True))
    part = pixels[top : top + lengths[1] * step, left : left + lengths[0] * step]
    planes = torch.from_numpy(np.array(part)).permute(2, 0, 1)[None]
    reduced = interpolate(planes, size=lengths[::-1], mode="bicubic", antialias=True)[0].permute(1, 2, 0).numpy()
    kept = reduced[before[1] : before[1] + size[1], before[0] : before[0] + size[0]]
    return np.ascontiguousarray(kept)


def choose_level(levels: Sequence[Level], scale: float) -> int:
    """Index of the coarsest level that is at most one percent coarser than ``scale`` level-0 px per output px."""
    wanted = round(scale, 6) * _COARSER  # float noise of the region must not change the level
    fine = [index for index, level in enumerate(levels) if max(level.downsample) <= wanted]
    return max(fine, key=lambda index: levels[index].downsample, default=0)


def l0_corners(region: Region, size: tuple[int, int]) -> _Corners:
    """Corners in level-0 px, clamped to the slide within float tolerance.

    Raises:
        OptionError: the region is empty or leaves the slide.
    """
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


def _around(low: float, high: float, out_px: int, extent: tuple[int, int]) -> tuple[int, int]:
    """Px of a level, along one axis, that the filter sees for ``out_px`` px between ``low`` and ``high``."""
    scale = (high - low) / out_px
    copied = scale == 1 and low.is_integer()
    margin = 0 if copied else math.ceil(_SUPPORT_PX * max(scale, 1.0)) + 1
    return max(math.floor(low) - margin, extent[0]), min(math.ceil(high) + margin, extent[1])
