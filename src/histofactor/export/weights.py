"""Weights of one input on disk: of every token the largest few, quantised, in a Zarr group read by token rows.

Layout, version 1, a Zarr v3 group: ``index`` (h, w, m) uint8 or uint16 concepts, largest weight first; ``value``
(h, w, m) uint16 steps of the token's largest weight; ``scale`` (h, w) float32, that weight; ``residual`` (h, w) uint16
steps of 1. The attribute ``histofactor`` holds ``format_version`` and the fields of ``WeightsHeader``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from histofactor.base.files import atomic_folder
from histofactor.errors import ImageError
from histofactor.masks.sparse import STEPS, SparseRows, restore
from histofactor.records import Color, Float

WEIGHTS = "weights.zarr"  # in the folder of an input's results
FORMAT_VERSION = 1
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
        group.create_array("residual", data=steps, chunks=(_CHUNK_ROWS, grid[1]))
        top = 0
        arrays: dict[str, zarr.Array[Any]] = {}
        for part in parts:
            for name in ("index", "value", "scale"):
                values: NDArray[Any] = getattr(part, name)
                if top == 0:
                    shape, chunks = (*grid, *values.shape[2:]), (_CHUNK_ROWS, *values.shape[1:])
                    arrays[name] = group.create_array(name, shape=shape, chunks=chunks, dtype=values.dtype)
                arrays[name][top : top + len(values)] = values
            top += len(part.scale)


class SparseWeights:
    """Weights on disk, read by token rows.

    Args:
        path: a folder that ``write_weights`` wrote.

    Raises:
        ImageError: the folder is missing, damaged or of a newer version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            group = zarr.open_group(Path(path), mode="r")
            stated: Any = dict(group.attrs)["histofactor"]
            if stated["format_version"] != FORMAT_VERSION:
                raise ValueError(f"format_version {stated['format_version']}; this histofactor reads {FORMAT_VERSION}")
            self.header = _header(stated)
            self._index, self._value, self._scale, self._residual = (
                _array(group, name) for name in ("index", "value", "scale", "residual")
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            expected = "a folder that this version of histofactor wrote"
            raise ImageError(f"cannot read the weights {path}", expected=expected, got=str(error)) from error

    def rows(self, start: int, stop: int) -> Float:
        """Weights of some token rows, (rows, w, K) float32."""
        part = SparseRows(self._index[start:stop], self._value[start:stop], self._scale[start:stop])
        return restore(part, len(self.header.names))

    def residual(self, start: int, stop: int) -> Float:
        """Residuals of some token rows, (rows, w) float32."""
        steps: NDArray[np.uint16] = self._residual[start:stop]
        return (steps / np.float32(STEPS)).astype(np.float32)


def _header(stated: dict[str, Any]) -> WeightsHeader:
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stated.items()
    }
    fields["colors"] = tuple(map(tuple, stated["colors"]))
    del fields["format_version"]
    return WeightsHeader(**fields)


def _array(group: zarr.Group, name: str) -> Any:
    array = group[name]
    if not isinstance(array, zarr.Array):
        raise TypeError(f"{name} is no array")
    return array
