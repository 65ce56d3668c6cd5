"""What the first page will ask for, read before it is opened."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import product

from histofactor.errors import HistofactorError
from histofactor.viewer.labels import TILE_PX as LABELS_PX
from histofactor.viewer.pictures import tile_file
from histofactor.viewer.server import Server
from histofactor.viewer.study import concepts_state
from histofactor.viewer.tiles import TILE_PX, max_level

_OVERVIEW = 8  # the level of Deep Zoom that is a thumbnail
_MOST = 16  # tiles of a level that are read: more do not fit on a screen


@contextmanager
def warmed(server: Server) -> Iterator[None]:
    """Read the first slide from afar, in the background, until it is read or the block ends.

    What cannot be read is told to the page, which asks for it again.

    Args:
        server: what answers are made of.
    """
    ended = threading.Event()

    def work() -> None:
        with suppress(HistofactorError):
            for read in _first_view(server):
                if ended.is_set():
                    return
                read()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _first_view(server: Server) -> Iterator[Callable[[], object]]:
    """What the page shows first, part by part: concepts, then tiles of the first slide and of its map."""
    view = server.view
    yield partial(concepts_state, view)
    if (first := view.first) is None:
        return
    slide = view.slide(first)
    size = slide.sealed.size
    for level in range(min(_OVERVIEW, max_level(size)), max_level(size) + 1):
        side = TILE_PX << (max_level(size) - level)
        if (tiles := _grid(size, side)) is None:
            break
        for column, row in tiles:
            yield partial(tile_file, server, first, (level, column, row))
    labels = slide.labels
    for level, of_level in enumerate(labels.sizes):
        for column, row in _grid(of_level, LABELS_PX) or ():
            yield partial(labels.tile, level, column, row)


def _grid(size: tuple[int, int], side: int) -> list[tuple[int, int]] | None:
    """Columns and rows of tiles of a level; None where there are many."""
    across, down = (-(-px // side) for px in size)
    return list(product(range(across), range(down))) if across * down <= _MOST else None
