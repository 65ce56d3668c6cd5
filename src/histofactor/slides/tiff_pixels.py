"""Px of one image of a TIFF, decoded tile by tile as they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histofactor.errors import ImageError
from histofactor.slides.pixels import depth_note, unusable
from histofactor.slides.pyramid import Box, DamagedPixels
from histofactor.slides.samples import check_bright, read_samples, settle_bits, to_image
from histofactor.slides.tiff_directory import OpenTiff, broken
from histofactor.slides.tiff_pictures import Picture
from histofactor.slides.tiff_tiles import Grid, decode_tile, grid_of, is_cut, is_written

_CACHE_PX = 2**24  # of decoded tiles, for neighbouring regions


class TiffPixels:
    """The stored px of an image.

    Args:
        file: the open file.
        picture: the image in it.
        max_tile_bytes: refuse tiles that take more once decoded.
        max_depth_px: refuse 16-bit channels whose smallest level has more px, all of which tell their range.

    Attributes:
        sizes: (width, height) of every level that is whole, level 0 first.
        notes: what is converted or left out, one sentence each.

    Raises:
        ImageError: the px are of unknown meaning, cannot be read in parts, or were never written.
        OSError, ValueError and others of ``DAMAGED``: the file is damaged.
    """

    def __init__(self, file: OpenTiff, picture: Picture, *, max_tile_bytes: float, max_depth_px: float) -> None:
        self._file, self._path = file, file.path
        self._samples = read_samples(picture.levels[0], picture.channels, file.path)
        levels = [[grid_of(page) for page in pages] for pages in picture.levels]
        self._check(levels[0], max_tile_bytes)
        cut = {n for n, grids in enumerate(levels) if n and any(is_cut(grid, file.size) for grid in grids)}
        self._levels = [grids for number, grids in enumerate(levels) if number not in cut]
        self.sizes = [(int(grids[0].page.imagewidth), int(grids[0].page.imagelength)) for grids in self._levels]
        width, height = self._levels[0][0].tile
        self._tile = lru_cache(max(2, _CACHE_PX // (width * height)))(self._read_tile)
        self._bits = self._settled(max_depth_px)
        depth = (depth_note(self._bits),) if self._samples.bits > 8 and self._samples.palette is None else ()
        self.notes = (*depth, *self._samples.notes, *(_cut_note(picture, number) for number in sorted(cut)))

    def read(self, level: int, box: Box) -> Image.Image:
        """Read px of a level as RGB; white where they were never written.

        Raises:
            DamagedPixels: a tile cannot be decoded.
        """
        left, top, right, bottom = box
        image = Image.new("RGB", (right - left, bottom - top), "white")
        grid = self._levels[level][0]
        width, height = grid.tile
        rows, columns = range(top // height, -(-bottom // height)), range(left // width, -(-right // width))
        for row, column in product(rows, columns):
            tile = self._tile(level, row * grid.across + column)
            if tile is not None:
                image.paste(tile, (column * width - left, row * height - top))
        return image

    def forget(self) -> None:
        """Free the decoded tiles."""
        self._tile.cache_clear()

    def _read_tile(self, level: int, index: int) -> Image.Image | None:
        values = self._values(level, index)
        return None if values is None else to_image(values, self._samples, self._bits)

    def _values(self, level: int, index: int) -> NDArray[Any] | None:
        """Decode a tile: (height, width, channels), or None where it was never written."""
        parts = [decode_tile(self._file, grid, index) for grid in self._levels[level]]
        present = [part for part in parts if part is not None]
        return np.concatenate(present, axis=2) if len(present) == len(parts) else None

    def _check(self, base: list[Grid], max_tile_bytes: float) -> None:
        tile_bytes = max(grid.tile_bytes for grid in base) * base[0].planes * len(base)
        if tile_bytes > max_tile_bytes:
            raise ImageError(
                f"{self._path} cannot be read in parts",
                expected=f"tiles or strips of at most {max_tile_bytes / 1e6:,.0f} MB",
                got=f"one of {tile_bytes / 1e6:,.0f} MB, {base[0].tile[0] * base[0].tile[1]:,} px",
                mend="export it as a tiled, pyramidal TIFF",
            )
        if len({(grid.tile, grid.across, grid.down) for grid in base}) > 1:
            raise unusable(self._path, "channels that are stored unlike each other")
        if not all(is_written(self._file, grid) for grid in base):
            raise ImageError(
                f"{self._path} was never written",
                expected="px in its tiles",
                got=f"{base[0].per_plane:,} empty ones",
                mend="copy or export it again",
            )

    def _settled(self, max_px: float) -> int:
        """Bits of the channels, as the coarsest level fills them, which must also show that grey ones are a colour."""
        samples = self._samples
        if samples.bits < 16 and not samples.must_be_bright:
            return samples.bits
        if self.sizes[-1][0] * self.sizes[-1][1] > max_px:
            raise unusable(self._path, f"{samples.bits}-bit channels without a small level to tell their range")
        bits = settle_bits(samples, max((int(tile.max()) for tile in self._coarsest()), default=0), self._path)
        if samples.must_be_bright:
            thin = [tile[::4, ::4].reshape(-1, 1, tile.shape[2]) for tile in self._coarsest()]
            check_bright(np.concatenate(thin), bits, self._path)
        return bits

    def _coarsest(self) -> Iterator[NDArray[Any]]:
        """Tiles of the coarsest level that were written."""
        last = len(self._levels) - 1
        try:
            for index in range(self._levels[last][0].per_plane):
                tile = self._values(last, index)
                if tile is not None:
                    yield tile
        except DamagedPixels as error:
            raise broken(self._path, error) from error


def _cut_note(picture: Picture, level: int) -> str:
    page = picture.levels[level][0]
    return f"level {level} ({page.imagewidth} × {page.imagelength} px) is cut off: finer ones are read in its place"
