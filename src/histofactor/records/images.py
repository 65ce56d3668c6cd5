"""Inputs, and maps of px."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from histofactor.records.shown import Shown
from histofactor.records.urls import Input

Color = tuple[int, int, int]
Float = NDArray[np.float32]


class Raster(Protocol):
    """A map of px that is read by slices: a NumPy array, or one that lies on disk because it is large."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its values."""

    def __getitem__(self, index: Any, /) -> Any:
        """The values under one slice of rows, or a slice of rows and one of columns, as a NumPy array."""


@dataclass(frozen=True, slots=True, repr=False)
class SlideInfo(Shown):
    """What is known of an input before its pixels are read.

    Attributes:
        path: the file, the URL of one that was fetched, or None for an array in memory.
        size: (width, height) in level-0 px.
        mpp: µm per level-0 px, or None where neither header nor user states it.
        level_downsamples: downsample of every level stored, 1.0 first.
        reader: name and version of the library that reads the pixels.
        notes: what was converted or assumed on the way in, one sentence each.
        vendor: the scanner's maker or the writer, as the reader calls it, or "".
        objective: magnification of the objective, or None where it is not stated.
        properties: what else the header states, as text; the longest and the most are cut.
        associated: names of the images that go with it, such as its label; ``read_associated`` of a slide reads them.
    """

    path: Input | None
    size: tuple[int, int]
    mpp: float | None
    level_downsamples: tuple[float, ...]
    reader: str
    notes: tuple[str, ...] = ()
    vendor: str = ""
    objective: float | None = None
    properties: Mapping[str, str] = field(default_factory=dict, hash=False)
    associated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle to read.

    Attributes:
        x, y: upper left corner in level-0 px; may be fractional.
        width, height: size in level-0 px; may be fractional.
        out_size: (width, height) in px of the array to return.
        mpp: µm per px of the array to return, or None if unknown.
    """

    x: float
    y: float
    width: float
    height: float
    out_size: tuple[int, int]
    mpp: float | None = None
