"""The cells of the token grid of one image: the classes of their px, their colours, and features of some of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.evaluation.scores.metrics import Table
from histofactor.segmentation.feature_cache import FeatureCache
from histofactor.slides.geometry.frame import Frame

_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)  # optical density of a value


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of one image, in reading order.

    Attributes:
        counts: (cells, classes) px of every class; ignored px are left out.
        densities: (cells, 3) mean optical densities (natural log) of red, green and blue.
        drawn: (n,) cells drawn at random among those with px that count, ascending.
        features: (n, d) float16 features of the drawn cells.
    """

    counts: Table
    densities: NDArray[np.float32]
    drawn: NDArray[np.intp]
    features: NDArray[np.float16]


def cells_of(
    rgb: NDArray[np.uint8],
    truth: NDArray[np.integer[Any]],
    n_classes: int,
    encoded: FeatureCache,
    n_drawn: int,
    rng: np.random.Generator,
) -> Cells:
    """Cut an image into the cells of its token grid.

    Args:
        rgb: (height, width, 3) all px of level 0.
        truth: (height, width) their classes, 0 … n_classes - 1; other px are ignored.
        n_classes: number of classes.
        encoded: the same image.
        n_drawn: how many cells to draw, at most.
        rng: source of chance.
    """
    frame = encoded.plan.frame
    counts = np.stack([sum_cells(truth == code, frame, np.int64) for code in range(n_classes)], -1)
    sums = np.stack([sum_cells(_DENSITY[rgb[..., channel]], frame, np.float64) for channel in range(3)], -1)
    densities = sums / sum_cells(np.ones(truth.shape, bool), frame, np.int64)[:, None]
    able = np.flatnonzero(counts.any(axis=1))
    drawn = np.sort(rng.choice(able, min(n_drawn, len(able)), replace=False))
    features = np.concatenate([part.B for part in encoded.parts]).reshape(len(counts), -1)
    return Cells(counts, densities.astype(np.float32), drawn, features[drawn].astype(np.float16))


def first_px(frame: Frame) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first level-0 row of every row of cells, and the first column of every column.

    A px lies in the cell that holds its centre, as for ``labels.level0_labels``; every cell holds some.
    """
    rows, columns = (
        np.searchsorted(
            np.minimum((np.arange(size) + 0.5) / scale, limit - 1).astype(np.intp) // frame.stride_px, np.arange(cells)
        )
        for size, scale, limit, cells in zip(
            frame.l0_size[::-1], frame.l0_per_px[::-1], frame.t_size[::-1], frame.g_size[::-1], strict=True
        )
    )
    return rows, columns


def sum_cells(values: NDArray[Any], frame: Frame, dtype: type[np.generic]) -> NDArray[Any]:
    """Sums (cells,) of values (height, width) of level-0 px over every cell, in reading order."""
    rows, columns = first_px(frame)
    found: NDArray[Any] = np.add.reduceat(np.add.reduceat(values, columns, 1, dtype), rows, 0, dtype)
    return found.ravel()
