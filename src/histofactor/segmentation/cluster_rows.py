"""The tissue of one input as rows to cluster: its tokens, or the means of tiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histofactor.base.clock import Watch
from histofactor.errors import EncoderError, OptionError
from histofactor.records import Float
from histofactor.segmentation.encoding import Planned, encode_features
from histofactor.segmentation.plan import Plan

POOLS = ("token", "tile")
TILE_PX = 256  # side of the tiles whose mean features the paper clustered
_PATCH_TOKENS = 8  # side of the patch that shows a token in its surround

Indices = NDArray[np.int64]
Part = tuple[Indices, Float, Float]


@dataclass(frozen=True, slots=True)
class ClusterRows:
    """What an input has to give.

    Attributes:
        n: how many units, tokens or tiles.
        places: (n, 2) x, y of the upper left corner, in level-0 px, of the square patch that shows a unit.
        side: its side in level-0 px.
        units: (cells,) the unit of every tissue cell of the plan in reading order, -1 for none.
        stream: (indices, features, sq_norms): (m,) units in reading order, their features (m, d), and the mean squared
            norms (m,) of what these are the mean of; encoded as they are asked for.
    """

    n: int
    places: NDArray[np.float32]
    side: float
    units: Indices
    stream: Iterator[Part]


def cluster_rows_of(planned: Planned, pool: str, watch: Watch | None = None) -> ClusterRows:
    """What an open input has to give, before any of it is encoded.

    Args:
        planned: the input.
        pool: ``token``; or ``tile``: the mean over the tissue tokens of a tile that is tissue for the larger part, as
            the paper's concepts were learned.
        watch: who is told.

    Raises:
        OptionError: the pool is unknown.
    """
    check_pool(pool)
    found, spec = _cells(planned, watch), planned.setup.encoder.spec
    if pool == "token":
        return _token_units(planned.plan, found, spec.patch_px)
    return _tile_units(planned.plan, found, spec.dim)


def check_pool(pool: str) -> None:
    """Raise OptionError unless there are such rows."""
    if pool not in POOLS:
        raise OptionError(f"unknown pool {pool!r}", expected=f"one of {', '.join(POOLS)}")


def _cells(planned: Planned, watch: Watch | None) -> Iterator[Part]:
    """Cells of the grid that hold tissue, numbered row by row, as ``ClusterRows.stream`` has it."""
    for part in encode_features(planned, watch):
        features = part.B[part.tissue]
        if not np.isfinite(features).all():
            raise EncoderError(
                "the features are not finite",
                expected="finite values",
                got="NaN or infinity",
                mend="check the weights file of the encoder",
            )
        cells = np.flatnonzero(part.tissue) + part.g_rows[0] * planned.plan.frame.g_size[0]
        yield cells, features, part.sq_norms[part.tissue]


def _token_units(plan: Plan, found: Iterator[Part], patch_px: int) -> ClusterRows:
    cells, step = np.flatnonzero(plan.g_tissue), _step(plan)
    rows, columns = np.divmod(cells, plan.frame.g_size[0])
    side = _PATCH_TOKENS * patch_px // plan.frame.stride_px
    corners = np.stack([columns, rows], 1) + 0.5 - side / 2
    stream = ((np.searchsorted(cells, numbers), X, sq_norms) for numbers, X, sq_norms in found)
    return ClusterRows(
        len(cells), (corners * step).astype(np.float32), float(step[0]) * side, np.arange(len(cells)), stream
    )


def _tile_units(plan: Plan, found: Iterator[Part], dim: int) -> ClusterRows:
    side, width = max(1, TILE_PX // plan.frame.stride_px), plan.frame.g_size[0]
    across, step = -(-width // side), _step(plan)

    def tile_of(cells: Indices) -> Indices:
        return (cells // width // side) * across + cells % width // side

    found_in = tile_of(np.flatnonzero(plan.g_tissue))
    tiles, sizes = np.unique(found_in, return_counts=True)
    tiles = tiles[2 * sizes > side * side]
    units = np.where(np.isin(found_in, tiles), np.searchsorted(tiles, found_in), -1)

    def means() -> Iterator[Part]:
        sums, counts = np.zeros((len(tiles), dim + 1)), np.zeros(len(tiles), np.int64)
        for cells, features, sq_norms in found:
            inside = np.isin(tile_of(cells), tiles)
            index = np.searchsorted(tiles, tile_of(cells)[inside])
            np.add.at(sums, index, np.column_stack([features, sq_norms])[inside])
            np.add.at(counts, index, 1)
        read = np.flatnonzero(counts)
        mean = (sums[read] / counts[read, None]).astype(np.float32)
        yield read, mean[:, :-1], mean[:, -1]

    corners = np.stack([tiles % across, tiles // across], 1) * side
    return ClusterRows(len(tiles), (corners * step).astype(np.float32), float(step[0]) * side, units, means())


def _step(plan: Plan) -> NDArray[np.float64]:
    """(x, y) level-0 px a cell."""
    return np.array(plan.frame.l0_per_px) * plan.frame.stride_px
