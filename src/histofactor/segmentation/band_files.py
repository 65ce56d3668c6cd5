"""Bands of an input as files: one archive each, whose labels and margin are read by slices."""

from __future__ import annotations

import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from histofactor.masks.bands import Band
from histofactor.masks.sparse import quantise

WEIGHTS = ("weight_index", "weight_value", "weight_scale")
TOKENS = ("label", "share", "margin_of_token", "residual")
_CHUNK_PX = 4096  # columns of a band that are packed together
_CACHED = 48  # chunks kept unpacked; at 256 rows some 50 MB
_LEVELS = 255  # steps of the margin on disk


class BandRaster:
    """A map of px that lies on disk in bands and is read by slices; see ``records.Raster``."""

    def __init__(
        self, files: list[Path], bottoms: NDArray[np.int64], width: int, name: str, dtype: np.dtype[Any]
    ) -> None:
        self._files, self._bottoms, self._name = files, bottoms, name
        self.shape = (int(bottoms[-1]), width)
        self.dtype = dtype
        self._chunk = lru_cache(_CACHED)(self._read_chunk)

    def __getitem__(self, index: Any, /) -> Any:
        rows, columns = index if isinstance(index, tuple) else (index, slice(None))
        top, bottom, row_step = rows.indices(self.shape[0])
        left, right, column_step = columns.indices(self.shape[1])
        values = np.empty((max(bottom - top, 0), max(right - left, 0)), self.dtype)
        first, last = np.searchsorted(self._bottoms, (top, bottom - 1), side="right")
        for band in range(first, min(last + 1, len(self._files))):
            start = int(self._bottoms[band - 1]) if band else 0
            above, below = max(top, start), min(bottom, int(self._bottoms[band]))
            for chunk in range(left // _CHUNK_PX, -(-right // _CHUNK_PX)):
                edge = chunk * _CHUNK_PX
                x0, x1 = max(left, edge), min(right, edge + _CHUNK_PX)
                part = self._chunk(band, chunk)[above - start : below - start, x0 - edge : x1 - edge]
                values[above - top : below - top, x0 - left : x1 - left] = part
        return values[::row_step, ::column_step]

    def _read_chunk(self, band: int, chunk: int) -> NDArray[Any]:
        with zipfile.ZipFile(self._files[band]) as archive:
            values = read_array(archive, f"{self._name}-{chunk}")
        return values / np.float32(_LEVELS) if self._name == "margin" else values


def write_band(band: Band, path: Path, keep_weights: bool) -> None:
    """Write a band, its margin in steps of 1/255, and on request the largest weights of every token."""
    margin = np.asarray(cv2.convertScaleAbs(band.margin, alpha=_LEVELS), np.uint8)
    tokens = band.tokens
    small = {
        "rows": np.array(band.labels.shape[0]),
        "width": np.array(band.labels.shape[1]),
        "dtype": np.empty(0, band.labels.dtype),
        "stride_px": np.array(tokens.stride_px),
        "unreadable": band.unreadable,
        **dict(zip(TOKENS, (tokens.label, tokens.share, tokens.margin, tokens.residual), strict=True)),
    }
    if keep_weights:
        kept = quantise(band.weights)
        small |= dict(zip(WEIGHTS, (kept.index, kept.value, kept.scale), strict=True))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, values in small.items():
            _write_array(archive, name, values)
        for chunk in range(-(-band.labels.shape[1] // _CHUNK_PX)):
            columns = slice(chunk * _CHUNK_PX, (chunk + 1) * _CHUNK_PX)
            _write_array(archive, f"labels-{chunk}", band.labels[:, columns])
            _write_array(archive, f"margin-{chunk}", margin[:, columns], packed=False)


def _write_array(archive: zipfile.ZipFile, name: str, values: NDArray[Any], *, packed: bool = True) -> None:
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED  # margins hardly shrink
    with archive.open(entry, "w") as file:
        np.lib.format.write_array(file, np.asarray(values, order="C"), allow_pickle=False)


def read_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """One array of a band."""
    with archive.open(name) as file:
        values: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return values


def read_small(path: Path) -> dict[str, NDArray[Any]]:
    """What a band holds of its tokens."""
    names = ("rows", "width", "dtype", "stride_px", "unreadable", *TOKENS)
    with zipfile.ZipFile(path) as archive:
        return {name: read_array(archive, name) for name in names}
