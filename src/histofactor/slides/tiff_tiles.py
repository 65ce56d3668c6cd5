"""Tiles and strips of TIFF pages: where they lie, what they may claim, and how they are decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.slides.codestream import jpeg2000_claim, jpeg_claim, webp_claim
from histofactor.slides.damaged import DAMAGED
from histofactor.slides.pyramid import Box, DamagedPixels
from histofactor.slides.samples import JPEG, JPEG_2000, WEBP
from histofactor.slides.tiff_directory import OpenTiff

_CLAIMS = {
    **dict.fromkeys(JPEG, jpeg_claim),
    **dict.fromkeys(JPEG_2000, jpeg2000_claim),
    **dict.fromkeys(WEBP, webp_claim),
}
_SLACK_BYTES = 2**20  # a compressed tile may be larger than its px, but not by much


@dataclass(frozen=True, slots=True)
class Grid:
    """How the px of a page are stored.

    Attributes:
        page: tifffile's page.
        offsets, byte_counts: place of every tile in the file, as far as the tables go.
        tile: (width, height) of a tile or strip.
        across, down: tiles in a row and in a column.
        planes: 1, or one plane of tiles per channel.
        samples: of a px in a tile.
    """

    page: Any
    offsets: Sequence[int]
    byte_counts: Sequence[int]
    tile: tuple[int, int]
    across: int
    down: int
    planes: int
    samples: int

    @property
    def per_plane(self) -> int:
        """Tiles of one plane."""
        return self.across * self.down

    @property
    def tile_bytes(self) -> int:
        """Bytes of a decoded tile."""
        return self.tile[0] * self.tile[1] * self.samples * int(self.page.dtype.itemsize)


def grid_of(page: Any) -> Grid:
    """Read the layout of a page of tifffile."""
    width, length = int(page.imagewidth), int(page.imagelength)
    tile = (width, min(int(page.rowsperstrip), length))
    if page.is_tiled:
        tile = (int(page.tilewidth), int(page.tilelength))
    if min(width, length, *tile) < 1:
        raise ValueError(f"{width} × {length} px in tiles of {tile[0]} × {tile[1]} px")
    separate = page.planarconfig == 2
    samples = int(page.samplesperpixel)
    return Grid(
        page=page,
        offsets=page.dataoffsets,
        byte_counts=page.databytecounts,
        tile=tile,
        across=-(-width // tile[0]),
        down=-(-length // tile[1]),
        planes=samples if separate else 1,
        samples=1 if separate else samples,
    )


def is_cut(grid: Grid, size: int) -> bool:
    """Whether tiles lie beyond the end of a file of ``size`` bytes, or the tables name fewer than there are."""
    wanted = grid.per_plane * grid.planes
    if min(len(grid.offsets), len(grid.byte_counts)) < wanted:
        return True
    ends = np.add(np.asarray(grid.offsets, float), np.asarray(grid.byte_counts, float))
    return bool(ends.max() > size)


def is_written(file: OpenTiff, grid: Grid) -> bool:
    """Whether any tile holds data: tables may say that none does, or a file may be nothing but a hole."""
    counts = np.asarray(grid.byte_counts, np.float64)
    offsets = np.asarray(grid.offsets, np.float64)[: len(counts)]
    written = counts[: len(offsets)] > 0
    if not written.any():
        return False
    ends = offsets[written] + counts[: len(offsets)][written]
    return not file.is_hole(int(offsets[written].min()), int(ends.max()))


def is_sparse(grid: Grid) -> bool:
    """Whether some tiles were never written."""
    return 0 in grid.byte_counts


def decode_tile(file: OpenTiff, grid: Grid, index: int) -> NDArray[Any] | None:
    """Decode a tile of all planes: (height, width, channels), or None where it was never written.

    Raises:
        DamagedPixels: it cannot be decoded, or claims to be what it is not.
    """
    planes = [_decode(file, grid, index + plane * grid.per_plane) for plane in range(grid.planes)]
    present = [plane for plane in planes if plane is not None]
    return np.concatenate(present, axis=2) if len(present) == grid.planes else None


def read_box(file: OpenTiff, grid: Grid, box: Box) -> NDArray[np.float32]:
    """Decode px of a page as they are stored: (height, width), the mean of their channels; NaN if never written.

    Raises:
        DamagedPixels: a tile cannot be decoded.
    """
    left, top, right, bottom = box
    width, height = grid.tile
    values = np.full((bottom - top, right - left), np.nan, np.float32)
    rows, columns = range(top // height, -(-bottom // height)), range(left // width, -(-right // width))
    for row, column in product(rows, columns):
        tile = decode_tile(file, grid, row * grid.across + column)
        if tile is None:
            continue
        y, x = row * height, column * width
        part = tile.mean(axis=2)[max(0, top - y) : bottom - y, max(0, left - x) : right - x]
        y0, x0 = max(y - top, 0), max(x - left, 0)
        values[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] = part
    return values


def _decode(file: OpenTiff, grid: Grid, index: int) -> NDArray[Any] | None:
    try:
        offset, byte_count = int(grid.offsets[index]), int(grid.byte_counts[index])
    except IndexError:
        held = min(len(grid.offsets), len(grid.byte_counts))
        wanted = grid.per_plane * grid.planes
        raise DamagedPixels(f"a table of {held} tiles where the page has {wanted}") from None
    if byte_count == 0:
        return None
    if byte_count > 2 * grid.tile_bytes + _SLACK_BYTES:
        raise DamagedPixels(f"a tile of {byte_count} bytes where its px fill {grid.tile_bytes}")
    try:
        data = file.read(offset, byte_count)
        if len(data) < byte_count:
            raise DamagedPixels(f"a tile of {byte_count} bytes of which the file holds {len(data)}")
        _check_claim(grid, data)
        values: NDArray[Any] = grid.page.decode(data, index, jpegtables=grid.page.jpegtables)[0][0]
    except (*DAMAGED, MemoryError) as error:
        raise DamagedPixels(f"{type(error).__name__}: {error}"[:300]) from error
    height, width, samples = values.shape
    if height > grid.tile[1] or width > grid.tile[0] or samples != grid.samples:
        raise DamagedPixels(f"a tile of {width} × {height} px of {samples} samples where the page has {grid.samples}")
    return values


def _check_claim(grid: Grid, data: bytes) -> None:
    """Refuse a codestream that claims more than its tile holds, before a decoder makes room for it."""
    claim_of = _CLAIMS.get(int(grid.page.compression))
    if claim_of is None:
        return
    claim = claim_of(data)
    if claim is None:
        raise DamagedPixels("a tile without the header of its codestream")
    width, height, components = claim
    if width > grid.tile[0] or height > grid.tile[1] or components > max(grid.samples, 4):
        raise DamagedPixels(
            f"a tile of {grid.tile[0]} × {grid.tile[1]} px whose codestream claims "
            f"{width} × {height} px of {components} components"
        )
