"""Weights of one input on disk: of every token the largest few, quantised, in a Zarr group read by token rows.

Layout, version 2, a Zarr v3 group of arrays whose chunks are all there, each with its CRC-32C: ``index`` (h, w, m)
uint8 or uint16 concepts, largest weight first; ``value`` (h, w, m) uint16 steps of the token's largest weight;
``scale`` (h, w) float32, that weight; ``residual`` (h, w) uint16 steps of 1. The attribute ``histofactor`` holds
``format_version`` and the fields of ``WeightsHeader``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from histofactor.base.arrays import create_array, open_array
from histofactor.base.files import atomic_folder
from histofactor.concepts.bank.record import is_a, is_color
from histofactor.errors import ImageError
from histofactor.masks.sparse import KEPT, STEPS, SparseRows, restore
from histofactor.records import Color, Float

FORMAT_VERSION = 2
_CHUNK_ROWS = 64


@dataclass(frozen=True, slots=True)
class WeightsHeader:
    """What the weights of one input belong to.

    Attributes:
        slide: file name of the input, "" for an array.
        size: (width, height) of the label map in working px.
        mpp: µm per working px, or None if unknown.
        l0_per_px: (x, y) level-0 px per working px.
        stride_px: working px per token.
        method: how the weights were found.
        recipe: ``recipe_sha256`` of the segmentation.
        names, colors: K names and colours of the concepts.
    """

    slide: str
    size: tuple[int, int]
    mpp: float | None
    l0_per_px: tuple[float, float]
    stride_px: int
    method: str
    recipe: str
    names: tuple[str, ...]
    colors: tuple[Color, ...]

    @property
    def g_size(self) -> tuple[int, int]:
        """(width, height) in tokens."""
        return -(-self.size[0] // self.stride_px), -(-self.size[1] // self.stride_px)


def write_weights(
    parts: Iterable[SparseRows], residual: Float, header: WeightsHeader, path: str | os.PathLike[str]
) -> None:
    """Write the weights of one input, a few token rows at a time; equal weights give equal bytes.

    Args:
        parts: the token rows from top to bottom, from ``quantise``; together they cover the grid.
        residual: (h, w) in [0, 1], as in ``Weights``.
        header: what they belong to.
        path: the folder to write, ``WEIGHTS`` among the results; replaced if it exists.

    Raises:
        OutputError: the folder cannot be written.
    """
    grid = header.g_size[::-1]
    attributes = {"histofactor": {"format_version": FORMAT_VERSION, **asdict(header)}}
    with atomic_folder(path) as temporary:
        group = zarr.create_group(temporary, attributes=attributes)
        steps = np.rint(residual * STEPS).astype(np.uint16)
        create_array(group, "residual", grid, (_CHUNK_ROWS, grid[1]), steps.dtype)[:] = steps
        top = 0
        arrays: dict[str, zarr.Array[Any]] = {}
        for part in parts:
            for name in ("index", "value", "scale"):
                values: NDArray[Any] = getattr(part, name)
                if top == 0:
                    shape, chunks = (*grid, *values.shape[2:]), (_CHUNK_ROWS, *values.shape[1:])
                    arrays[name] = create_array(group, name, shape, chunks, values.dtype)
                arrays[name][top : top + len(values)] = values
            top += len(part.scale)


class SparseWeights:
    """Weights on disk, read by token rows.

    Args:
        path: a folder that ``write_weights`` wrote.

    Raises:
        ImageError: the folder is missing, damaged or of another version; ``rows`` and ``residual`` raise it too.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        with self._told():
            group = zarr.open_group(self._path, mode="r", zarr_format=3)
            stated: Any = dict(group.attrs)["histofactor"]
            if stated["format_version"] != FORMAT_VERSION:
                raise ValueError(f"format_version {stated['format_version']}; this histofactor reads {FORMAT_VERSION}")
            self.header = _header(stated)
            grid, k = self.header.g_size[::-1], len(self.header.names)
            slots = *grid, min(KEPT, k)
            self._index = open_array(group, "index", slots, np.uint8 if k <= 256 else np.uint16)
            self._value = open_array(group, "value", slots, np.uint16)
            self._scale = open_array(group, "scale", grid, np.float32)
            self._residual = open_array(group, "residual", grid, np.uint16)

    def rows(self, start: int, stop: int) -> Float:
        """Weights of some token rows, (rows, w, K) float32."""
        k = len(self.header.names)
        with self._told():
            part = SparseRows(self._index[start:stop], self._value[start:stop], self._scale[start:stop])
            if part.index.max(initial=0) >= k or not (np.isfinite(part.scale) & (part.scale >= 0)).all():
                raise ValueError("weights that no segmentation has")
            return restore(part, k)

    def residual(self, start: int, stop: int) -> Float:
        """Residuals of some token rows, (rows, w) float32."""
        with self._told():
            steps: NDArray[np.uint16] = self._residual[start:stop]
        return (steps / np.float32(STEPS)).astype(np.float32)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What reading can fail with, as one error that names the folder."""
        try:
            yield
        except (OSError, KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
            raise ImageError(
                f"cannot read the weights {self._path}",
                expected="a folder that this version of histofactor wrote",
                got=str(error) or type(error).__name__,
                mend="segment the input again with --keep-weights",
            ) from error


def _header(stated: dict[str, Any]) -> WeightsHeader:
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stated.items()
    }
    fields["colors"] = tuple(map(tuple, stated["colors"]))
    del fields["format_version"]
    header = WeightsHeader(**fields)
    sides = *header.size, header.stride_px
    if len(sides) != 3 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(f"size {header.size} and stride_px {header.stride_px}")
    if not 0 < len(header.names) == len(header.colors):
        raise ValueError(f"{len(header.names)} names and {len(header.colors)} colors")
    texts = header.slide, header.method, header.recipe, *header.names
    if not all(isinstance(text, str) for text in texts) or not all(map(is_color, header.colors)):
        raise ValueError("names or colors that no concept has")
    scales = *header.l0_per_px, *(() if header.mpp is None else (header.mpp,))
    if len(header.l0_per_px) != 2 or not all(is_a((int, float), one) and 0 < one < math.inf for one in scales):
        raise ValueError(f"mpp {header.mpp} and l0_per_px {header.l0_per_px}")
    return header
