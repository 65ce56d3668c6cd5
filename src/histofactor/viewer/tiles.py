"""Tiles of slides, in the geometry of Deep Zoom: JPEG files of at most 512 px, halved from level to level.

Every tile shows one px of each of its neighbours too: viewers draw tiles that do not overlap larger than they are.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from histofactor.errors import OptionError
from histofactor.export.picture import jpeg
from histofactor.records import Region, SlideInfo
from histofactor.slides.blocks import read_blocks
from histofactor.slides.reader import Slide

TILE_PX, OVERLAP_PX = 510, 1
_OPEN = 8  # slides at a time
_CACHE_BYTES = 96 * 2**20
_EXACT = 1e-6


def max_level(size: tuple[int, int]) -> int:
    """The level of Deep Zoom that is level 0 of a slide: each lower one is half as large, down to one px."""
    return math.ceil(math.log2(max(size)))


@dataclass(frozen=True, slots=True)
class Tile:
    """The part of a slide that a tile shows.

    Attributes:
        x, y: upper left corner in level-0 px.
        width, height: in level-0 px, within the slide.
        scale: level-0 px per px of the tile; its last column and row may show less, at the edge of the slide.
    """

    x: int
    y: int
    width: int
    height: int
    scale: int


def tile_of(size: tuple[int, int], level: int, column: int, row: int) -> Tile:
    """The part of a slide that a tile shows.

    Args:
        size: (width, height) of the slide in level-0 px.
        level: of Deep Zoom, from 0 on.
        column, row: of the tile.

    Raises:
        OptionError: there is no such tile.
    """
    top = max_level(size)
    side = TILE_PX << (top - level) if 0 <= level <= top else 0
    if not side or not (0 <= column * side < size[0] and 0 <= row * side < size[1]):
        raise OptionError("there is no such tile", expected=f"level 0 to {top}, within {size[0]} × {size[1]} px")
    scale = side // TILE_PX
    overlap = OVERLAP_PX * scale
    x, y = (max(place * side - overlap, 0) for place in (column, row))
    x_end, y_end = (min((place + 1) * side + overlap, end) for place, end in zip((column, row), size, strict=True))
    return Tile(x, y, x_end - x, y_end - y, scale)


def read_tile(slide: Slide, tile: Tile) -> bytes:
    """A tile as a JPEG file; parts of the slide that cannot be read are near-white."""
    columns, rows = _spans(tile.x, tile.width, tile.scale), _spans(tile.y, tile.height, tile.scale)
    bands = [
        np.concatenate([_read(slide, Region(x, y, w, h, (w_px, h_px))) for x, w, w_px in columns], axis=1)
        for y, h, h_px in rows
    ]
    return jpeg(np.concatenate(bands), quick=True)


def _spans(start: int, length: int, scale: int) -> list[tuple[int, int, int]]:
    """Start, length and px of what is whole px along one axis, and of the last px that reaches beyond the slide."""
    whole = length // scale * scale
    spans = [(start, whole, whole // scale), (start + whole, length - whole, 1)]
    return [span for span in spans if span[1]]


def _read(slide: Slide, region: Region) -> NDArray[np.uint8]:
    """The px (h, w, 3) of a region.

    Where they are whole blocks of px of a stored level, these are averaged here: the reader's own filter, which is made
    for encoders, would cost a large library in the memory of a server.
    """
    step = _whole_step(slide.info, region)
    if step < 2:
        return read_blocks(slide, region)[0]
    width, height = region.out_size
    whole = read_blocks(slide, Region(region.x, region.y, region.width, region.height, (width * step, height * step)))
    return np.asarray(cv2.resize(whole[0], (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _whole_step(info: SlideInfo, region: Region) -> int:
    """Px of a stored level per px of the tile, where that is a whole number and its edges lie on them; else 0."""
    scale = region.width / region.out_size[0]
    if region.height / region.out_size[1] != scale:
        return 0
    down = max((one for one in info.level_downsamples if one <= scale * (1 + _EXACT)), default=1.0)
    step = round(scale / down)
    whole = all(abs(part / down - round(part / down)) < _EXACT for part in (region.width, region.height))
    return step if whole and abs(scale / down - step) < _EXACT else 0


@dataclass(slots=True)
class _Open:
    slide: Slide
    users: int = 0


@dataclass(slots=True)
class SlidePool:
    """Slides that are open, a few at a time; those that are read are never closed."""

    _open: OrderedDict[str, _Open] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _opening: dict[str, threading.Lock] = field(default_factory=dict)

    @contextmanager
    def use(self, key: str, opened: Callable[[], Slide]) -> Iterator[Slide]:
        """Yield a slide until the block ends.

        Args:
            key: of the slide.
            opened: opens it where it is not; raises what ``open_slide`` does.
        """
        one = self._taken(key, opened)
        try:
            yield one.slide
        finally:
            with self._lock:
                one.users -= 1
                self._close(_OPEN)

    def close(self) -> None:
        """Close all slides that are not read."""
        with self._lock:
            self._close(0)

    def _taken(self, key: str, opened: Callable[[], Slide]) -> _Open:
        with self._lock:
            if key in self._open:
                self._open.move_to_end(key)
                self._open[key].users += 1
                return self._open[key]
            opening = self._opening.setdefault(key, threading.Lock())
        with opening:  # others that want it wait here, those that want another do not
            with self._lock:
                if key in self._open:
                    self._open[key].users += 1
                    return self._open[key]
            slide = opened()
            with self._lock:
                self._open[key] = _Open(slide, users=1)
                return self._open[key]

    def _close(self, keep: int) -> None:
        for key in [key for key, one in self._open.items() if not one.users][: max(len(self._open) - keep, 0)]:
            self._open.pop(key).slide.close()


@dataclass(slots=True)
class ByteCache:
    """The files that were made last, up to a number of bytes."""

    limit: int = _CACHE_BYTES
    _held: OrderedDict[tuple[object, ...], bytes] = field(default_factory=OrderedDict)
    _bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: tuple[object, ...], made: Callable[[], bytes]) -> bytes:
        """The file of a key, made where it is not held."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        content = made()
        with self._lock:
            if key not in self._held:
                self._held[key] = content
                self._bytes += len(content)
            while self._bytes > self.limit:
                self._bytes -= len(self._held.popitem(last=False)[1])
        return content
