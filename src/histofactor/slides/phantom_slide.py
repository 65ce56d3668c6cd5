"""Pyramidal TIFF slides of any size with exact ground truth, in bounded memory.

A slide is a plan, not an array: six pieces of tissue on glass. Every piece is one phantom of ``block_px``, mirrored
at its edges for as long as the piece goes on, so nothing is cut; its outline is a formula. So any region of px or
truth is drawn when asked for, and a tile that recurs is compressed once.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from histofactor.base.files import atomic
from histofactor.errors import OptionError
from histofactor.slides.phantom import BACKGROUND, CLASSES, GLASS, phantom

DOWNSAMPLES = (1, 4, 16)
_TILE_PX = 256
_JPEG_QUALITY = 85
_SUBSAMPLING = (2, 2)
_PIECES = (3, 2)  # along the longer and the shorter side
_REACH = 0.42  # of a cell of that grid: from the centre of a piece to its sides
_POWER = 4  # a superellipse: a slab with round corners
_WAVES = ((2, 0.05), (5, 0.03), (9, 0.02))  # of the outline: number on the way around, height
_WAVE = sum(height for _, height in _WAVES)


@dataclass(frozen=True, slots=True)
class _Field:
    """A square of ``block_px`` that goes on forever, mirrored: RGB (h, w, 3) per level, and the truth of level 0."""

    images: tuple[NDArray[np.uint8], ...]
    truth: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Outline:
    """Centre and half axes (x, y) in level-0 px, and the phases of the waves along it."""

    center: tuple[float, float]
    axes: tuple[float, float]
    phases: tuple[float, ...]

    def within(self, x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.bool_] | bool:
        """Which points (len(y), len(x)) of the grid of level-0 positions lie inside; one bool if they all agree."""
        u, v = (x - self.center[0]) / self.axes[0], (y - self.center[1]) / self.axes[1]
        farthest = np.hypot(np.abs(u).max() ** 2, np.abs(v).max() ** 2) ** 0.5
        nearest = np.hypot(_nearest(u) ** 2, _nearest(v) ** 2) ** 0.5
        if farthest < 1 - _WAVE or nearest > 1 + _WAVE:
            return bool(farthest < 1 - _WAVE)
        u, v = u[None, :], v[:, None]
        around = np.arctan2(v, u)
        waves = zip(_WAVES, self.phases, strict=True)
        edge = 1 + sum(height * np.sin(count * around + phase) for (count, height), phase in waves)
        inside: NDArray[np.bool_] = u**_POWER + v**_POWER < edge**_POWER
        return inside


@dataclass(frozen=True, slots=True)
class PhantomSlide:
    """The plan of a slide: every px of it is known and none is held.

    Attributes:
        size: (width, height) in level-0 px.
        mpp: µm per level-0 px.
        classes: names of the classes that the truth counts through.
    """

    size: tuple[int, int]
    mpp: float
    classes: tuple[str, ...]
    _outlines: tuple[_Outline, ...]
    _fields: tuple[_Field, ...]  # the glass, then one for every outline

    def truth(self, x: int, y: int, width: int, height: int, *, step: int = 1) -> NDArray[np.uint8]:
        """Read the truth of a region.

        Args:
            x: left of the region in level-0 px.
            y: top of the region in level-0 px.
            width: of the region in level-0 px.
            height: of the region in level-0 px.
            step: read the middle px of every ``step`` × ``step`` px, for work at a coarser µm/px.

        Returns:
            (height // step, width // step) uint8, an index into ``classes``.

        Raises:
            OptionError: the region holds no such px or leaves the slide.
        """
        inside = min(x, y) >= 0 and x + width <= self.size[0] and y + height <= self.size[1]
        if not inside or step < 1 or min(width, height) < step:
            raise OptionError(
                "the truth cannot be read",
                expected=f"a rectangle within {self.size[0]} × {self.size[1]} px that holds a px of every {step}",
                got=f"x {x} to {x + width}, y {y} to {y + height}",
            )
        cols, rows = (start + step // 2 + step * np.arange(n // step) for start, n in ((x, width), (y, height)))
        truth = np.empty((len(rows), len(cols)), np.uint8)
        for top, left in itertools.product(*(range(0, n, _TILE_PX) for n in truth.shape)):
            part = np.s_[top : top + _TILE_PX], np.s_[left : left + _TILE_PX]
            x_px, y_px = cols[part[1]], rows[part[0]]
            truth[part] = _compose(self._owners(x_px, y_px), [field.truth for field in self._fields], x_px, y_px)
        return truth

    def _owners(self, x: NDArray[Any], y: NDArray[Any]) -> dict[int, NDArray[np.bool_] | bool]:
        """Which fields show on a grid of level-0 positions, and where; the glass lies under all of them."""
        within = ((index, outline.within(x, y)) for index, outline in enumerate(self._outlines, start=1))
        shown = {index: where for index, where in within if np.any(where)}
        covered = any(where is True for where in shown.values())
        return shown if covered else {0: True, **shown}

    def _tiles(self, level: int) -> Iterator[bytes]:
        """Compress the tiles of a level, row by row; those that one field fills recur, and are compressed once."""
        made: dict[tuple[int, int, int], bytes] = {}
        images = [field.images[level] for field in self._fields]
        width, height = self.level_size(level)
        for top, left in itertools.product(range(0, height, _TILE_PX), range(0, width, _TILE_PX)):
            x, y = left + np.arange(_TILE_PX), top + np.arange(_TILE_PX)
            owners = self._owners(*(DOWNSAMPLES[level] * (px + 0.5) - 0.5 for px in (x, y)))
            if len(owners) > 1:
                yield _compress(_compose(owners, images, x, y))
                continue
            period = 2 * len(images[0])
            key = next(iter(owners)), left % period, top % period
            if key not in made:
                made[key] = _compress(_compose(owners, images, x, y))
            yield made[key]

    def level_size(self, level: int) -> tuple[int, int]:
        """(width, height) of a level in its own px."""
        return self.size[0] // DOWNSAMPLES[level], self.size[1] // DOWNSAMPLES[level]


def write_phantom_slide(
    path: str | os.PathLike[str], size: tuple[int, int], *, seed: int = 0, mpp: float = 0.5, block_px: int = 2048
) -> PhantomSlide:
    """Write a tiled, pyramidal JPEG TIFF that OpenSlide opens, with tissue on half of it.

    The levels are 1, 1/4 and 1/16 of the size, the µm/px stands in the resolution tags, and files that could pass
    4 GiB are BigTIFF. The same arguments give the same bytes. Time grows with the size, memory does not.

    Args:
        path: the file to write.
        size: (width, height) in px.
        seed: picks the tissue and the outlines of its pieces.
        mpp: µm per px.
        block_px: side of the phantom that fills a piece; smaller ones are drawn sooner and recur sooner.

    Returns:
        The plan, to read the truth from.

    Raises:
        OptionError: the size, ``mpp`` or ``block_px`` is out of range.
        OutputError: the file cannot be written.
    """
    slide = plan_slide(size, seed=seed, mpp=mpp, block_px=block_px)
    big = 4 * size[0] * size[1] > 2**32  # 3 bytes a px, and the levels, as if nothing compressed
    with atomic(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=big) as tiff:
        for level, downsample in enumerate(DOWNSAMPLES):
            width, height = slide.level_size(level)
            tiff.write(
                slide._tiles(level),
                shape=(height, width, 3),
                dtype=np.uint8,
                tile=(_TILE_PX, _TILE_PX),
                compression="jpeg",
                photometric="rgb",  # tifffile turns it to YCbCr, which _compress makes
                subsampling=_SUBSAMPLING,
                subfiletype=1 if level else 0,
                resolution=(1e4 / (mpp * downsample),) * 2,
                resolutionunit="CENTIMETER",
                metadata=None,
                software=False,
            )
    return slide


def plan_slide(size: tuple[int, int], *, seed: int = 0, mpp: float = 0.5, block_px: int = 2048) -> PhantomSlide:
    """Plan the slide that ``write_phantom_slide`` writes for the same arguments.

    Raises:
        OptionError: the size, ``mpp`` or ``block_px`` is out of range.
    """
    if min(size) < _TILE_PX:
        expected = f"at least {_TILE_PX} × {_TILE_PX} px"
        raise OptionError("the slide cannot be drawn", expected=expected, got=f"{size[0]} × {size[1]} px")
    if block_px < 64 or block_px % DOWNSAMPLES[-1]:
        expected = f"a multiple of {DOWNSAMPLES[-1]} from 64 on"
        raise OptionError("block_px does not fit the levels", expected=expected, got=f"{block_px}")
    rng = np.random.default_rng(seed)
    across, down = _PIECES if size[0] >= size[1] else _PIECES[::-1]
    cell = size[0] / across, size[1] / down
    outlines = tuple(_outline(rng, column, row, cell) for row in range(down) for column in range(across))
    glass = GLASS + rng.normal(0, 1.5, (block_px, block_px, 1))
    bare = np.full((block_px, block_px), BACKGROUND, np.uint8)
    fields = [_field(np.round(glass).clip(0, 255).astype(np.uint8), bare)]
    for piece_seed in rng.integers(2**31, size=len(outlines)):
        drawn = phantom((block_px, block_px), seed=int(piece_seed), mpp=mpp)
        fields.append(_field(drawn.image, drawn.truth))
    return PhantomSlide(size, mpp, CLASSES, outlines, tuple(fields))


def _outline(rng: np.random.Generator, column: int, row: int, cell: tuple[float, float]) -> _Outline:
    """Put a piece into a cell of the grid, off its middle as far as the waves leave room."""
    shift = rng.uniform(-1, 1, 2) * (0.5 - _REACH * (1 + _WAVE))
    center = (column + 0.5 + shift[0]) * cell[0], (row + 0.5 + shift[1]) * cell[1]
    return _Outline(center, (_REACH * cell[0], _REACH * cell[1]), tuple(rng.uniform(0, 2 * np.pi, len(_WAVES))))


def _field(image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> _Field:
    sides = [len(image) // downsample for downsample in DOWNSAMPLES]
    levels = (cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8) for side in sides)
    return _Field(tuple(levels), truth)


def _compose(
    owners: dict[int, NDArray[np.bool_] | bool], squares: list[NDArray[np.uint8]], x: NDArray[Any], y: NDArray[Any]
) -> NDArray[np.uint8]:
    """Show every owner's square, mirrored without end, where it owns the grid of its px (y, x)."""
    side = len(squares[0])
    rows, cols = (np.where(px % (2 * side) < side, px % side, side - 1 - px % side) for px in (y, x))
    region = np.empty((len(rows), len(cols), *squares[0].shape[2:]), np.uint8)
    for index, where in owners.items():
        region[where] = squares[index][rows[:, None], cols][where]
    return region


def _compress(tile: NDArray[np.uint8]) -> bytes:
    """Encode (h, w, 3) RGB as the baseline YCbCr JPEG that a TIFF tile holds."""
    from imagecodecs import jpeg8_encode

    jpeg = jpeg8_encode(tile, level=_JPEG_QUALITY, colorspace="RGB", outcolorspace="YCBCR", subsampling=_SUBSAMPLING)
    return bytes(jpeg)


def _nearest(values: NDArray[Any]) -> float:
    """Least distance to 0 of the span of some values."""
    return float(max(values.min(), -values.max(), 0.0))
