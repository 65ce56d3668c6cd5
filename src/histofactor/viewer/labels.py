"""Tiles of a label map, as it is stored: labels, not colours, and never interpolated.

A tile is the labels of its px from left to right and from top to bottom, a byte each, or two with the lower one first.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.errors import ImageError, OptionError
from histofactor.export.pyramid import level_shapes
from histofactor.slides.damaged import DAMAGED
from histofactor.slides.pyramid import DamagedPixels
from histofactor.slides.tiff_directory import OpenTiff
from histofactor.slides.tiff_tiles import decode_tile, grid_of

TILE_PX = 512
_HELD = 256  # stored tiles in memory, of 64 or 128 KiB
_AGAIN = "segment the input again"


@dataclass(frozen=True, slots=True)
class _Level:
    shape: tuple[int, int]
    grid: Any


class LabelPyramid:
    """``labels.ome.tif``, read tile by tile; may be read from several threads.

    Args:
        path: a file that ``write_labels`` wrote.

    Attributes:
        sizes: (width, height) of every level, the full one first; level i holds ``labels[::2**i, ::2**i]``.
        dtype: uint8 or uint16.

    Raises:
        ImageError: the file is missing, damaged or no label map; ``tile`` and ``at`` raise it too.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = OpenTiff(path)
            weakref.finalize(self, self._file.close)  # once no one reads it any more
            pages = self._file.pages()[0]
            self._levels = [_level(page) for page in (pages, *(one.aspage() for one in pages.pages or ()))]
        except (*DAMAGED, MemoryError) as error:
            raise self._damaged(error) from error
        dtypes = {level.grid.page.dtype for level in self._levels}
        expected, stored = level_shapes(self._levels[0].shape), [level.shape for level in self._levels]
        if stored != expected or dtypes not in ({np.dtype(np.uint8)}, {np.dtype(np.uint16)}):
            raise self._damaged(ValueError(f"levels of {stored}"))
        self.dtype: np.dtype[Any] = dtypes.pop()
        self.sizes = [level.shape[::-1] for level in self._levels]
        self._tiles: OrderedDict[tuple[int, int], NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def tile(self, level: int, column: int, row: int) -> bytes:
        """The labels of a tile, which is smaller at the right and lower edge.

        Raises:
            OptionError: there is no such tile.
        """
        if not 0 <= level < len(self.sizes):
            raise OptionError("there is no such tile", expected=f"level 0 to {len(self.sizes) - 1}")
        width, height = self.sizes[level]
        x, y = column * TILE_PX, row * TILE_PX
        if not (0 <= x < width and 0 <= y < height):
            raise OptionError("there is no such tile", expected=f"one within {width} × {height} px")
        part = self.read(level, x, y, min(TILE_PX, width - x), min(TILE_PX, height - y))
        return part.astype(part.dtype.newbyteorder("<"), copy=False).tobytes()

    def at(self, x: int, y: int) -> int:
        """The label of one px of the full level."""
        return int(self.read(0, x, y, 1, 1)[0, 0])

    def read(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[Any]:
        """Labels (height, width) of a rectangle within a level."""
        found = np.empty((height, width), self.dtype)
        grid = self._levels[level].grid
        across, down = grid.tile
        rows, columns = range(y // down, -(-(y + height) // down)), range(x // across, -(-(x + width) // across))
        for row, column in product(rows, columns):
            tile = self._tile(level, row * grid.across + column)
            left, top = column * across, row * down
            part = tile[max(y - top, 0) : y + height - top, max(x - left, 0) : x + width - left]
            at_y, at_x = max(top - y, 0), max(left - x, 0)
            found[at_y : at_y + part.shape[0], at_x : at_x + part.shape[1]] = part
        return found

    def _tile(self, level: int, index: int) -> NDArray[Any]:
        """A stored tile, those that were used last from memory."""
        with self._lock:
            if (level, index) in self._tiles:
                self._tiles.move_to_end((level, index))
                return self._tiles[level, index]
        try:
            tile = decode_tile(self._file, self._levels[level].grid, index)
        except (DamagedPixels, *DAMAGED) as error:
            raise self._damaged(error) from error
        if tile is None:
            raise self._damaged(ValueError("a tile that was never written"))
        with self._lock:
            self._tiles[level, index] = tile[..., 0]
            if len(self._tiles) > _HELD:
                self._tiles.popitem(last=False)
        return tile[..., 0]

    def _damaged(self, error: Exception) -> ImageError:
        got = f"{type(error).__name__}: {error}"[:300]
        return ImageError(f"cannot read the labels {self._path}", expected="a file that histofactor wrote", got=got)


def _level(page: Any) -> _Level:
    return _Level((int(page.imagelength), int(page.imagewidth)), grid_of(page))
