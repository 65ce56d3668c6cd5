"""The tissue of one input as rows to cluster: its tokens, or the means of tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histofactor.errors import EncoderError, OptionError
from histofactor.pipeline.clock import Clock
from histofactor.pipeline.engine import Engine
from histofactor.pipeline.plan import Plan
from histofactor.pipeline.stream import Encoding, Progress
from histofactor.records import Float
from histofactor.slides.reader import Slide

POOLS = ("token", "tile")
TILE_PX = 256  # side of the tiles whose mean features the paper clustered
_PATCH_TOKENS = 8  # side of the patch that shows a token in its surround

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Units:
    """What an input has to give.

    Attributes:
        n: how many units, tokens or tiles.
        places: (n, 2) x, y of the upper left corner, in level-0 px, of the square patch that shows a unit.
        side: its side in level-0 px.
        stream: yields (indices, features): (m,) units in reading order, and their features (m, d).
    """

    n: int
    places: NDArray[np.float32]
    side: float
    stream: Callable[[], Iterator[tuple[Indices, Float]]]


def units_of(slide: Slide, engine: Engine, plan: Plan, pool: str, on_window: Progress) -> Units:
    """What an open input has to give, before any of it is encoded.

    Args:
        slide: the input.
        engine: from ``prepare``, for method ``single``.
        plan: from ``make_plan`` or ``thin``.
        pool: ``token``; or ``tile``: the mean over the tissue tokens of a tile that is tissue for the larger part, as
            the paper's concepts were learned.
        on_window: called with (windows done, windows in all).

    Raises:
        OptionError: the pool is unknown.
    """
    if pool not in POOLS:
        raise OptionError(f"unknown pool {pool!r}", expected=f"one of {', '.join(POOLS)}")
    frame = plan.frame
    columns = frame.g_size[0]
    step = np.array(frame.l0_per_px, np.float32) * frame.stride_px

    def tokens() -> Iterator[tuple[Indices, Float]]:
        """Cells of the grid, numbered row by row, and their features."""
        for part in Encoding(slide, engine, plan, Clock(), on_window):
            features = part.B[part.tissue]
            if not np.isfinite(features).all():
                raise EncoderError(
                    "the features are not finite",
                    expected="finite values",
                    got="NaN or infinity",
                    mend="check the weights file of the encoder",
                )
            yield np.flatnonzero(part.tissue) + part.g_rows[0] * columns, features

    cells = np.flatnonzero(plan.g_tissue)
    rows, along = np.divmod(cells, columns)
    if pool == "token":
        middle = np.stack([along, rows], 1) + np.float32(0.5)
        places = ((middle - _PATCH_TOKENS / 2) * step).astype(np.float32)
        return Units(
            len(cells),
            places,
            float(step[0]) * _PATCH_TOKENS,
            lambda: ((np.searchsorted(cells, found), features) for found, features in tokens()),
        )
    side = max(1, TILE_PX // frame.stride_px)
    across = -(-columns // side)
    tile_of = (rows // side) * across + along // side
    tiles, sizes = np.unique(tile_of, return_counts=True)
    tiles = tiles[2 * sizes > side * side]
    places = (np.stack([tiles % across, tiles // across], 1) * side * step).astype(np.float32)

    def means() -> Iterator[tuple[Indices, Float]]:
        sums, counts = np.zeros((len(tiles), engine.encoder.spec.dim)), np.zeros(len(tiles), np.int64)
        for found, features in tokens():
            tile = (found // columns // side) * across + found % columns // side
            index = np.minimum(np.searchsorted(tiles, tile), max(len(tiles) - 1, 0))
            inside = tiles[index] == tile if len(tiles) else np.zeros(len(tile), bool)
            np.add.at(sums, index[inside], features[inside])
            np.add.at(counts, index[inside], 1)
        read = np.flatnonzero(counts)
        yield read, (sums[read] / counts[read, None]).astype(np.float32)

    return Units(len(tiles), places, float(step[0]) * side, means)
