"""Tiles of a label map that cut as little tissue as they can."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from histofactor.records import Raster


@dataclass(frozen=True, slots=True)
class Tile:
    """A window of a label map that holds a piece of tissue, or a part of one.

    Attributes:
        tissue_piece: number of the piece of tissue, from 1 on.
        rows, columns: the window in px.
        cells: bool (h, w), the cells of the window that belong to the piece.
        cell_px: side of a cell.
    """

    tissue_piece: int
    rows: slice
    columns: slice
    cells: NDArray[np.bool_]
    cell_px: int


def tissue_tiles(labels: Raster, tile_px: int, cell_px: int) -> list[Tile]:
    """Cover all px of labels ≥ 1 with tiles; only pieces of tissue larger than a tile are cut.

    The map is divided into square cells. Cells that hold a label and touch, also at corners, are one piece of tissue,
    so px that touch are always of one piece. The map is read once, tile by tile.

    Args:
        labels: (height, width), 0 is no tissue.
        tile_px: largest side of a tile; a multiple of ``cell_px``.
        cell_px: side of a cell.

    Returns:
        The tiles, piece by piece and row by row.
    """
    numbered, _ = ndimage.label(_occupied(labels, tile_px, cell_px), structure=np.ones((3, 3)))
    return [
        Tile(number, _px(rows, cell_px, labels.shape[0]), _px(columns, cell_px, labels.shape[1]), cells, cell_px)
        for number, box in enumerate(ndimage.find_objects(numbered), 1)
        for rows in _split(box[0], tile_px // cell_px)
        for columns in _split(box[1], tile_px // cell_px)
        if (cells := numbered[rows, columns] == number).any()
    ]


def read_tile(labels: Raster, tile: Tile) -> NDArray[np.unsignedinteger[Any]]:
    """Copy the labels (height, width) under a tile, 0 where they belong to another piece of tissue."""
    window: NDArray[np.unsignedinteger[Any]] = np.array(labels[tile.rows, tile.columns])
    if tile.cells.all():
        return window
    own = tile.cells.repeat(tile.cell_px, 0).repeat(tile.cell_px, 1)
    return window * own[: window.shape[0], : window.shape[1]]


def _occupied(labels: Raster, tile_px: int, cell_px: int) -> NDArray[np.bool_]:
    """Whether cells hold a label, (rows, columns) of cells."""
    height, width = labels.shape
    occupied = np.zeros((-(-height // cell_px), -(-width // cell_px)), bool)
    for row in range(0, height, tile_px):
        for column in range(0, width, tile_px):
            window = labels[row : row + tile_px, column : column + tile_px]
            for r in range(0, window.shape[0], cell_px):
                highest = window[r : r + cell_px].max(axis=0)
                cells = np.maximum.reduceat(highest, np.arange(0, len(highest), cell_px)) > 0
                occupied[(row + r) // cell_px, column // cell_px :][: len(cells)] = cells
    return occupied


def _split(span: slice, most: int) -> Iterator[slice]:
    """Even parts of a span of cells."""
    cells = span.stop - span.start
    parts = -(-cells // most)
    cuts = [span.start + cells * i // parts for i in range(parts + 1)]
    yield from map(slice, cuts[:-1], cuts[1:])


def _px(cells: slice, cell_px: int, side: int) -> slice:
    return slice(cells.start * cell_px, min(cells.stop * cell_px, side))
