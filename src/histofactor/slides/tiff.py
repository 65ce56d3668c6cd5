"""Large and pyramidal TIFF and OME-TIFF, read tile by tile (or strip by strip) through tifffile."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histofactor.errors import ImageError
from histofactor.records import SlideInfo
from histofactor.slides.files import DAMAGED, TIFF_MAGIC, check_packing, stated_by_page
from histofactor.slides.pixels import (
    MAX_PIXELS,
    MIN_SIDE_PX,
    ORIENTATION_TAG,
    depth_note,
    depth_of,
    scale_to_8_bit,
    unusable,
)
from histofactor.slides.pyramid import Box, DamagedPixels, LeveledSlide, lay_out
from histofactor.slides.resolution import settle_mpp

LARGE_PX = 2**26  # a tiled TIFF beyond this is a whole slide
_MAX_TILE_PX = 2**24  # of a tile or strip, which is decoded as a whole
_CACHE_PX = 2**24  # of decoded tiles, for neighbouring regions
_MODES = {1: "L", 3: "RGB"}
_ALPHA_MODES = {0: "RGBX", 1: "RGBa", 2: "RGBA"}  # by ExtraSamples: not specified, premultiplied, alpha
_RGB, _BLACK_IS_ZERO, _YCBCR = 2, 1, 6
_JPEG = (6, 7, 34892, 33007)  # compressions that decode YCbCr to RGB


def is_tiff_slide(path: Path) -> bool:
    """Whether a file is a tiled TIFF with a pyramid or more px than a plain image should have, or a huge striped one.

    A file that cannot be parsed is none: the decoder of plain images says what is wrong with it.
    """
    import tifffile

    try:
        with path.open("rb") as file:
            if file.read(4) not in TIFF_MAGIC:
                return False
        with tifffile.TiffFile(path) as tiff:
            pages = _levels(tiff)
            return _is_whole(pages[0]) or (bool(pages[0].is_tiled) and len(pages) > 1)
    except DAMAGED:
        return False


@dataclass(frozen=True, slots=True)
class _Grid:
    """How the px of a level are stored.

    Attributes:
        decode: tifffile's decoder of one tile.
        tables: arguments of the decoder that all tiles share.
        offsets, byte_counts: place of every tile in the file.
        tile: (width, height) of a tile or strip.
        across: tiles in a row.
        planes: 1, or one plane of tiles per channel.
    """

    decode: Any
    tables: dict[str, Any]
    offsets: Sequence[int]
    byte_counts: Sequence[int]
    tile: tuple[int, int]
    across: int
    planes: int


class TiffSlide(LeveledSlide):
    """A TIFF of which only the tiles that are asked for are read.

    Tiles that were never written are white.

    Args:
        path: the file.
        source_mpp: µm/px that replaces the header's, or None.

    Raises:
        ImageError: it is no TIFF that can be read in parts, or holds no grey, RGB or RGBA px of 8 or 16 bits.
        ResolutionError: the µm/px cannot be used, or a whole slide has none.
    """

    def __init__(self, path: Path, source_mpp: float | None) -> None:
        import tifffile

        self._path, self._lock = path, threading.Lock()
        try:
            self._file = tifffile.TiffFile(path)
        except DAMAGED as error:
            raise _broken(path, error) from error
        try:
            pages = _levels(self._file)
            self._base = base = pages[0]
            _check(base, path)
            self._grids = [_grid(page) for page in pages]
            sizes = [(int(page.imagewidth), int(page.imagelength)) for page in pages]
            width, height = self._grids[0].tile
            self._tile = lru_cache(max(2, _CACHE_PX // (width * height)))(self._read_tile)
            self._bits, notes = self._depth(sizes[-1]), _conversions(base)
            stated = stated_by_page(base, _description(self._file, base))
            mpp, resolution_notes = settle_mpp(stated, source_mpp, str(path), required=_is_whole(base))
        except DAMAGED as error:
            self._file.close()
            raise _broken(path, error) from error
        except BaseException:
            self._file.close()
            raise
        notes = (*((depth_note(self._bits),) if self._bits > 8 else ()), *notes, *resolution_notes)
        downsamples = tuple((sizes[0][0] / width + sizes[0][1] / height) / 2 for width, height in sizes)
        super().__init__(
            SlideInfo(path, sizes[0], mpp, downsamples, f"tifffile {tifffile.__version__}", notes), lay_out(sizes)
        )

    @property
    def _closed(self) -> bool:
        return bool(self._file.filehandle.closed)

    def close(self) -> None:
        """Let the file go."""
        with self._lock:
            self._file.close()
        self._tile.cache_clear()

    def _read_px(self, level: int, box: Box) -> Image.Image:
        left, top, right, bottom = box
        image = Image.new("RGB", (right - left, bottom - top), "white")
        grid = self._grids[level]
        width, height = grid.tile
        for row, column in product(
            range(top // height, -(-bottom // height)), range(left // width, -(-right // width))
        ):
            tile = self._tile(level, row * grid.across + column)
            if tile is not None:
                image.paste(tile, (column * width - left, row * height - top))
        return image

    def _read_tile(self, level: int, index: int) -> Image.Image | None:
        """Read a tile as RGB, or None where it was never written."""
        values = self._values(level, index)
        if values is None:
            return None
        if values.dtype == np.uint16:
            values = scale_to_8_bit(values, self._bits)
        height, width, channels = values.shape
        mode = _MODES.get(channels) or _ALPHA_MODES[int(self._base.extrasamples[0])]
        image = Image.frombuffer(mode, (width, height), np.ascontiguousarray(values), "raw", mode, 0, 1)
        if mode not in ("RGBa", "RGBA"):
            return image.convert("RGB")
        ground = Image.new("RGBA", image.size, "white")
        ground.alpha_composite(image.convert("RGBA"))
        return ground.convert("RGB")

    def _values(self, level: int, index: int) -> NDArray[Any] | None:
        """Decode a tile: (height, width, channels), or None where it was never written."""
        grid = self._grids[level]
        step = len(grid.offsets) // grid.planes
        planes = [self._decode(grid, index + plane * step) for plane in range(grid.planes)]
        present = [plane for plane in planes if plane is not None]
        return np.concatenate(present, axis=2) if len(present) == grid.planes else None

    def _decode(self, grid: _Grid, index: int) -> NDArray[Any] | None:
        offset, byte_count = grid.offsets[index], grid.byte_counts[index]
        if byte_count == 0:
            return None
        with self._lock:
            if self._file.filehandle.closed:
                raise self._closed_error()
            self._file.filehandle.seek(offset)
            data = self._file.filehandle.read(byte_count)
        if len(data) < byte_count:
            raise DamagedPixels(f"a tile of {byte_count} bytes of which the file holds {len(data)}")
        try:
            values: NDArray[Any] = grid.decode(data, index, **grid.tables)[0][0]
        except DAMAGED as error:
            raise DamagedPixels(f"{type(error).__name__}: {error}") from error
        return values

    def _depth(self, smallest: tuple[int, int]) -> int:
        """Bits of the channels, those of 16-bit ones as the coarsest level fills them: white is near full scale."""
        if self._base.dtype == np.uint8:
            return 8
        if smallest[0] * smallest[1] > LARGE_PX:
            raise unusable(
                self._path, f"16-bit channels without a level of less than {LARGE_PX:,} px to tell their range"
            )
        grid = self._grids[-1]
        tiles = (self._values(len(self._grids) - 1, index) for index in range(len(grid.offsets) // grid.planes))
        try:
            return depth_of(max((int(tile.max()) for tile in tiles if tile is not None), default=0))
        except DamagedPixels as error:
            raise _broken(self._path, error) from error


def _levels(tiff: Any) -> list[Any]:
    """The largest page and the smaller ones of the same picture, largest first; labels and previews are left out."""
    pages = [page.aspage() for page in tiff.pages]
    base = max(pages, key=_area)
    candidates = [*pages, *(page.aspage() for page in base.pages or ())]
    levels = [page for page in candidates if _area(page) < _area(base) and _is_level(page, base)]
    return [base, *sorted(levels, key=_area, reverse=True)]


def _is_level(page: Any, base: Any) -> bool:
    """Whether a page is the base in small: stored alike, and of its shape to within one px a side."""
    alike = all(
        getattr(page, name) == getattr(base, name)
        for name in ("is_tiled", "dtype", "samplesperpixel", "planarconfig", "photometric", "extrasamples")
    )
    sides = [(base.imagewidth, page.imagewidth), (base.imagelength, page.imagelength)]
    smallest, largest = (max(l0 / (px + 1) for l0, px in sides), min(l0 / max(px - 1, 0.5) for l0, px in sides))
    return alike and smallest < largest


def _is_whole(base: Any) -> bool:
    """Whether the page is larger than a plain image: it then needs µm/px."""
    return _area(base) > (LARGE_PX if base.is_tiled else MAX_PIXELS)


def _area(page: Any) -> int:
    return int(page.imagewidth * page.imagelength)


def _check(base: Any, path: Path) -> None:
    """Refuse pages that cannot be read in parts as RGB."""
    if min(base.imagewidth, base.imagelength) < MIN_SIDE_PX:
        got = f"{base.imagewidth} × {base.imagelength} px"
        raise ImageError(f"{path} is too small", expected=f"at least {MIN_SIDE_PX} px a side", got=got)
    tile_px = base.tilewidth * base.tilelength if base.is_tiled else base.imagewidth * base.rowsperstrip
    if tile_px > _MAX_TILE_PX:
        raise ImageError(
            f"{path} cannot be read in parts",
            expected=f"tiles or strips of at most {_MAX_TILE_PX:,} px",
            got=f"one of {tile_px:,} px",
            mend="export it as a tiled, pyramidal TIFF",
        )
    full_size = sum(_area(page) == _area(base) for page in (item.aspage() for item in base.parent.pages))
    if full_size > 1:
        raise ImageError(
            f"{path} holds several images of full size", expected="one", got=str(full_size), mend="export one of them"
        )
    if base.dtype not in (np.uint8, np.uint16):
        raise unusable(path, f"{base.dtype} pixels")
    channels = base.samplesperpixel
    known = base.photometric in ((_BLACK_IS_ZERO,) if channels == 1 else (_RGB,)) or (
        channels == 3 and base.photometric == _YCBCR and base.compression in _JPEG
    )
    if not known or channels not in (1, 3, 4) or base.imagedepth > 1:
        raise unusable(path, f"{channels} channels, photometric {base.photometric}, compression {base.compression}")
    check_packing(base, path)
    orientation = base.tags.valueof(ORIENTATION_TAG, default=1)
    if orientation != 1:
        raise unusable(path, f"pixels turned by orientation {orientation}")


def _grid(page: Any) -> _Grid:
    tile = (page.tilewidth, page.tilelength) if page.is_tiled else (page.imagewidth, page.rowsperstrip)
    return _Grid(
        decode=page.decode,
        tables={"jpegtables": page.jpegtables, "jpegheader": page.jpegheader},
        offsets=page.dataoffsets,
        byte_counts=page.databytecounts,
        tile=tile,
        across=-(-page.imagewidth // tile[0]),
        planes=page.samplesperpixel if page.planarconfig == 2 else 1,
    )


def _conversions(base: Any) -> tuple[str, ...]:
    if base.samplesperpixel == 1:
        return ("grey image converted to RGB",)
    if base.samplesperpixel == 4 and int(base.extrasamples[0]) > 0:
        return ("image with alpha laid over white",)
    return ()


def _description(tiff: Any, base: Any) -> str:
    """The page's own description: of OME-XML, which stands in the first page, the Pixels of the page's size."""
    size = (f'SizeX="{base.imagewidth}"', f'SizeY="{base.imagelength}"')
    pixels = re.findall(r"<(?:\w+:)?Pixels\b[^>]*>", tiff.pages[0].description)
    own = (element for element in pixels if all(side in element for side in size))
    return str(next(own, base.description))


def _broken(path: Path, error: Exception) -> ImageError:
    return ImageError(
        f"{path} is damaged or cut off",
        expected="a TIFF",
        got=f"{type(error).__name__}: {error}",
        mend="copy or export it again",
    )
