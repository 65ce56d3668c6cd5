"""Which page of a TIFF is another in small: what says so is believed, the rest is compared px by px."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histofactor.slides.pyramid import DamagedPixels
from histofactor.slides.tiff_directory import OpenTiff
from histofactor.slides.tiff_tiles import Grid, decode_tile, grid_of, read_box

_LOOKED_AT = 64  # tiles of the smaller page, spread over it
_COMPARED = 6  # those of them with most to see
_PATCH_PX = 64  # side of what is compared, in px of the smaller page
_BLUR = 4  # detail is what differs from means over so many px (of half the patch's resolution)
_MOST = 75  # percent
_MIN_DETAIL = 1e-3  # spread of grey values over the full scale: less is glass
_AGREE = (
    0.5  # correlation of detail: 0.84 to 1 for a page and its reduction, at most 0.25 for unlike ones of one outline
)
_MAX_TILE_BYTES = 2**24
_MAX_SIDE_PX = 2048  # of the larger page's part that is read for a patch


def fits(page: Any, base: Any) -> bool:
    """Whether a page is smaller than the base, stored alike, and of its shape to within one px a side."""
    alike = all(
        getattr(page, name) == getattr(base, name)
        for name in ("is_tiled", "dtype", "samplesperpixel", "planarconfig", "photometric", "extrasamples")
    )
    sides = [(base.imagewidth, page.imagewidth), (base.imagelength, page.imagelength)]
    if not alike or any(px < 1 or px >= l0 for l0, px in sides):
        return False
    smallest, largest = (max(l0 / (px + 1) for l0, px in sides), min(l0 / max(px - 1, 0.5) for l0, px in sides))
    return bool(smallest < largest)


def shows_the_same(file: OpenTiff, page: Any, base: Any) -> bool:
    """Whether a tiled page shows in small what the base shows: their detail agrees wherever the page has some.

    Where nothing can be compared, as between two pages of glass, it is not known to.
    """
    fine, coarse = grid_of(base), grid_of(page)
    steps = (base.imagewidth / page.imagewidth, base.imagelength / page.imagelength)
    if max(steps) * _PATCH_PX > _MAX_SIDE_PX or max(fine.tile_bytes, coarse.tile_bytes) > _MAX_TILE_BYTES:
        return False
    mine, theirs = [], []
    for x, y, patch in _patches(file, coarse):
        height, width = patch.shape
        box = (
            math.floor(x * steps[0]),
            math.floor(y * steps[1]),
            min(math.ceil((x + width) * steps[0]), base.imagewidth),
            min(math.ceil((y + height) * steps[1]), base.imagelength),
        )
        try:
            seen = read_box(file, fine, box)
        except DamagedPixels:
            continue
        if np.isfinite(seen).all():
            mine.append(_detail(patch))
            theirs.append(_detail(seen))
    if not mine:
        return False
    a, b = np.concatenate(mine), np.concatenate(theirs)
    spread = float(a.std() * b.std())
    return spread > 0 and float(((a - a.mean()) * (b - b.mean())).mean()) / spread > _AGREE


def _patches(file: OpenTiff, grid: Grid) -> list[tuple[int, int, NDArray[np.float32]]]:
    """(x, y, px) of the parts of a page with most to see."""
    found = []
    for index in np.unique(np.linspace(0, grid.per_plane - 1, _LOOKED_AT).round().astype(int)):
        x, y = index % grid.across * grid.tile[0], index // grid.across * grid.tile[1]
        width = min(grid.tile[0], grid.page.imagewidth - x)
        height = min(grid.tile[1], grid.page.imagelength - y)
        left, top = max(0, (width - _PATCH_PX) // 2), max(0, (height - _PATCH_PX) // 2)
        try:
            tile = decode_tile(file, grid, int(index))
        except DamagedPixels:
            continue
        if tile is None or min(width, height) < _PATCH_PX // 4:
            continue
        whole = tile.mean(axis=2, dtype=np.float32)
        patch = whole[top : min(top + _PATCH_PX, height), left : min(left + _PATCH_PX, width)]
        if (detail := float(_detail(patch).std())) > _MIN_DETAIL * _full_scale(tile):
            found.append((detail, int(x + left), int(y + top), patch))
    found.sort(key=lambda item: item[0], reverse=True)
    return [(x, y, patch) for _, x, y, patch in found[:_COMPARED]]


def _full_scale(tile: NDArray[Any]) -> float:
    return float(np.iinfo(tile.dtype).max) if tile.dtype.kind == "u" else 1.0


def _detail(patch: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a patch shows at half its resolution, less its local mean: (n,).

    It is cut to the size of most of it: the outline of a piece would else outweigh all that is inside.
    """
    side = _PATCH_PX // 2
    small = Image.fromarray(patch).resize((side, side), Image.Resampling.BOX)
    coarse = small.resize((side // _BLUR, side // _BLUR), Image.Resampling.BOX)
    smooth = coarse.resize((side, side), Image.Resampling.BILINEAR)
    detail = (np.asarray(small) - np.asarray(smooth)).ravel()
    most = np.percentile(np.abs(detail), _MOST)
    return np.asarray(np.clip(detail, -most, most), np.float32)
