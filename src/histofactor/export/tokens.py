"""The tokens of one input as a table of AnnData: a row for each tile of tissue, a column for each concept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, vstack

from histofactor.base.contingency import table_of
from histofactor.errors import OptionError
from histofactor.export.mapped import Mapped, TokenRows, keys, mapped, need, phenotype_columns
from histofactor.masks.tiles import Tile, tissue_tiles
from histofactor.records import Float, Raster, Segmentation

if TYPE_CHECKING:
    from anndata import AnnData

_BAND_PX = 2**22  # px read at a time
_MOST_CELLS = 2**21  # of the grid of tiles, by default: about 1 kB each where all of it is tissue
_TILE_PX, _CELL_PX = 4096, 64  # as regions are outlined, so that pieces of tissue have the same numbers


def to_anndata(segmentation: Segmentation, *, tile_tokens: int | None = None) -> AnnData:
    """The token table of a segmentation: a row for every tile that holds tissue, a column for every concept.

    A tile is one token, or ``tile_tokens`` × ``tile_tokens`` of them. ``X`` holds the weights, for tiles of several
    tokens the mean over those with tissue; where weights were not kept, the share of each label in the tile's labelled
    px, as ``uns["histofactor"]["x"]`` says. ``layers["area_px"]`` counts the px of every label, so that its columns add
    up to the areas of the phenotypes. Both are sparse (CSR).

    ``obs`` tells of every tile ``row`` and ``column`` on the grid of tiles, ``x`` and ``y`` of its upper left corner in
    level-0 px, the ``label`` that has most of its px and that one's name as ``phenotype``, ``tissue_piece``, and where
    they are known ``margin`` and ``residual``. ``var`` tells of every concept ``label``, ``name``, ``color`` and
    whether it is ``excluded``. ``obsm["spatial"]`` is the middle of each tile, (x, y) in level-0 px.

    Args:
        segmentation: what to tell of.
        tile_tokens: tokens along the side of a tile; None takes 1, or for large inputs the least power of two that
            keeps the grid below two million tiles.

    Raises:
        OptionError: anndata is missing, or ``tile_tokens`` is no positive number.
    """
    return token_table(mapped(segmentation), tile_tokens)


def tile_side(one: Mapped, tile_tokens: int | None) -> int:
    """Tokens along the side of a tile: those asked for, or what a table can hold.

    Raises:
        OptionError: they are no positive number.
    """
    if tile_tokens is not None:
        if tile_tokens < 1:
            raise OptionError("a tile holds at least one token", expected="1 or more", got=f"{tile_tokens}")
        return tile_tokens
    side, sides = 1, one.label_map.labels.shape
    while np.prod([-(-px // (side * one.stride_px)) for px in sides]) > _MOST_CELLS:
        side *= 2
    return side


def token_table(one: Mapped, tile_tokens: int | None = None) -> AnnData:
    """The token table of one input; see ``to_anndata``."""
    return table_and_px(one, tile_tokens)[0]


def table_and_px(one: Mapped, tile_tokens: int | None = None) -> tuple[AnnData, NDArray[np.int64]]:
    """The token table of one input, and of every tile the first labelled px, (n, 2) x and y in px of the label map."""
    need("anndata")
    import pandas as pd
    from anndata import AnnData

    tokens = tile_side(one, tile_tokens)
    pieces = tissue_tiles(one.label_map.labels, _TILE_PX, _CELL_PX)
    bands = list(_bands(one, tokens, _numbered(pieces, one.label_map.labels)))
    areas = vstack([band.area_px for band in bands], format="csr")
    weights = None if one.tokens_known.weights is None else vstack([band.weights for band in bands], format="csr")
    label = np.concatenate([band.label for band in bands])
    told = phenotype_columns(one)
    names, colors = told["name"], told["color"]
    seen = dict(reversed([*zip(names, colors, strict=True)]))  # of labels of one name the first gives the colour
    place = _places(one, tokens, bands)
    obs: dict[str, Any] = {
        **place,
        "label": label,
        "phenotype": pd.Categorical(np.array(names, object)[label - 1], categories=list(dict.fromkeys(names))),
        "tissue_piece": np.concatenate([band.piece for band in bands]),
    }
    for name in ("margin", "residual"):
        if getattr(one.tokens_known, name) is not None:
            obs[name] = np.concatenate([getattr(band, name) for band in bands])
    var = {name: told[name] for name in ("label", "name", "color", "excluded")}
    side_px = tokens * one.stride_px
    middle = [place[axis] + side_px * per_px / 2 for axis, per_px in zip("xy", one.l0_per_px, strict=True)]
    kept = weights is not None
    facts = {**one.made_by, "x": "weights" if kept else "shares of labels", "tile_px": side_px, "tile_tokens": tokens}
    table = AnnData(
        X=weights if kept else _shares(areas),
        obs=pd.DataFrame(obs, index=np.arange(len(label)).astype(str)),
        var=pd.DataFrame(var, index=keys(one.phenotypes)),
        layers={"area_px": areas},
        obsm={"spatial": np.column_stack(middle)},
        uns={"phenotype_colors": [seen[name] for name in dict.fromkeys(names)], "histofactor": facts},
    )
    return table, np.concatenate([band.first for band in bands])


@dataclass(frozen=True, slots=True)
class _Band:
    """Tiles with tissue of some rows of tiles, row by row.

    Attributes:
        row, column: (n,) on the grid of tiles.
        area_px: (n, K) px of every label, sparse.
        label: (n,) the label with most px, ≥ 1; the lowest of equals.
        first: (n, 2) x and y of the first labelled px.
        piece: (n,) number of the piece of tissue that it belongs to.
        weights: (n, K) sparse; margin, residual: (n,); each None where it is not known.
    """

    row: NDArray[np.int32]
    column: NDArray[np.int32]
    area_px: csr_matrix
    label: NDArray[np.int32]
    first: NDArray[np.int64]
    piece: NDArray[np.int32]
    weights: csr_matrix | None
    margin: Float | None
    residual: Float | None


def _bands(one: Mapped, tokens: int, numbered: NDArray[np.int32]) -> Iterator[_Band]:
    """Tiles with tissue, some rows of tiles at a time; labels and weights are read once."""
    labels, side = one.label_map.labels, tokens * one.stride_px
    height, width = labels.shape
    rows = max(1, _BAND_PX // (side * width))
    for top in range(0, -(-height // side), rows):
        px: NDArray[Any] = np.asarray(labels[top * side : (top + rows) * side])
        grid = -(-len(px) // side), -(-width // side)
        counts, first = _counted(px, side, grid, len(one.phenotypes))
        held = np.flatnonzero(counts.any(axis=1))
        y, x = np.divmod(first[held], width)
        y += top * side
        known = one.tokens(top * tokens, (top + grid[0]) * tokens)
        means = _means(known, _labelled(px, one.stride_px), tokens, held, len(one.phenotypes))
        yield _Band(
            (held // grid[1] + top).astype(np.int32),
            (held % grid[1]).astype(np.int32),
            csr_matrix(counts[held].astype(np.float32)),
            (counts[held].argmax(axis=1) + 1).astype(np.int32),
            np.column_stack([x, y]),
            numbered[y // _CELL_PX, x // _CELL_PX],
            None if means.weights is None else csr_matrix(means.weights),
            means.margin,
            means.residual,
        )


def _counted(px: NDArray[Any], side: int, grid: tuple[int, int], k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For every tile the px of each label from 1 on, (tiles, K), and the place of its first labelled px, or -1."""
    rows, columns = np.arange(px.shape[0]) // side, np.arange(px.shape[1]) // side
    tile = (rows[:, None] * grid[1] + columns).ravel()
    tiles, flat = grid[0] * grid[1], px.ravel()
    counts = table_of(tile, flat, (tiles, k + 1))[:, 1:]
    first, labelled = np.full(tiles, -1), np.flatnonzero(flat)[::-1]
    first[tile[labelled]] = labelled  # the last to be written is the first of the tile
    return counts, first


def _labelled(px: NDArray[Any], stride: int) -> NDArray[np.bool_]:
    """Tokens (h, w) that hold a labelled px."""
    down = np.maximum.reduceat(px, np.arange(0, px.shape[0], stride), axis=0)
    found: NDArray[np.bool_] = np.maximum.reduceat(down, np.arange(0, px.shape[1], stride), axis=1) > 0
    return found


def _means(known: TokenRows, on: NDArray[np.bool_], tokens: int, held: NDArray[np.int64], k: int) -> TokenRows:
    """Means over the tokens with tissue of every tile that holds any: weights (n, K), margins and residuals (n,)."""
    count = _sums(on[..., None], tokens)[held, 0]

    def mean(values: Float | None) -> Any:
        if values is None:
            return None
        values = values if values.ndim == 3 else values[..., None]
        return (_sums(values * on[..., None], tokens)[held] / count[:, None]).astype(np.float32)

    weights, margin, residual = (mean(values) for values in (known.weights, known.margin, known.residual))
    if weights is not None and weights.shape[1] < k:  # tissue unlike the bank has a label and no concept
        weights = np.pad(weights, ((0, 0), (0, k - weights.shape[1])))
    return TokenRows(weights, *(None if one is None else one[:, 0] for one in (margin, residual)))


def _sums(values: NDArray[Any], tokens: int) -> NDArray[Any]:
    """Sums over tiles of tokens, (h, w, c) to (tiles, c)."""
    if tokens == 1:
        return values.reshape(-1, values.shape[2])
    down = np.add.reduceat(values, np.arange(0, values.shape[0], tokens), axis=0, dtype=np.float64)
    across = np.add.reduceat(down, np.arange(0, values.shape[1], tokens), axis=1)
    return across.reshape(-1, values.shape[2])


def _numbered(pieces: list[Tile], labels: Raster) -> NDArray[np.int32]:
    """The number of the piece of tissue that every cell belongs to, 0 where it holds none."""
    height, width = labels.shape
    found = np.zeros((-(-height // _CELL_PX), -(-width // _CELL_PX)), np.int32)
    for piece in pieces:
        rows, columns = piece.rows.start // _CELL_PX, piece.columns.start // _CELL_PX
        window = found[rows : rows + piece.cells.shape[0], columns : columns + piece.cells.shape[1]]
        window[piece.cells] = piece.tissue_piece
    return found


def _places(one: Mapped, tokens: int, bands: list[_Band]) -> dict[str, NDArray[np.int64]]:
    """Where tiles are, on their grid and in whole level-0 px."""
    row, column = (np.concatenate([getattr(band, name) for band in bands]) for name in ("row", "column"))
    side = tokens * one.stride_px
    x, y = (
        np.floor(origin + index * (side * per_px) + 0.5).astype(np.int64)
        for origin, index, per_px in zip(one.label_map.origin, (column, row), one.l0_per_px, strict=True)
    )
    return {"row": row, "column": column, "x": x, "y": y}


def _shares(areas: Any) -> Any:
    """Rows that add up to 1."""
    return (diags(1 / np.maximum(areas.sum(axis=1).A1, 1)) @ areas).astype(np.float32).tocsr()
