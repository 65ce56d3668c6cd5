"""Quality control: what of the tissue is out of focus, under pen, or folded, as its px tell without any encoder.

Px of 1 µm are measured in square cells of 16: how much there is of fine, middle and coarse detail in the optical
density (the mean absolute coefficients of a wavelet of B3 splines without decimation, Starck & Murtagh, Handbook of
Astronomical Data Analysis, 2002), and for every colour the mean density and its floor, the density of the brightest px
of each 4 x 4. Detail is summed as whole numbers, so that a cell is the same however the px around it are cut.

- Out of focus: there is little fine and middle detail for the coarse detail that there is. All are small in mucus and
  plain stroma, and in the proportion of noise, so these are not told to be blurred.
- Pen: even the brightest px are denser in red than haematoxylin and eosin make them for their green (Ruifrok &
  Johnston, Anal. Quant. Cytol. Histol. 23(4), 2001: eosin lets red through). Brown and red dyes let red through too.
- Fold: two tissues on top of each other, dense and full of detail for this input: a quadratic score of six measures,
  each against the quartiles of the input's own tissue. A mark goes on to cells beside it that look a little less so.

Weights of the fold and the limits are found by ``benchmarks/quality.py``: 0.1, 0.1 and 1 % false alarms on real tissue.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from histofactor.records import Color, Float

NAMES = ("out of focus", "pen", "fold")  # labels 1, 2, 3
COLORS: tuple[Color, ...] = ((230, 159, 0), (0, 114, 178), (204, 121, 167))
MPP, CELL_PX = 1.0, 16
HALO_PX = CELL_PX  # px around cells that they depend on: 14 for the coarsest detail, made whole cells
MEASURES = 9  # log detail: fine, middle, coarse; mean density of red, green, blue; floor of the same
FINE, MIDDLE, COARSE, FLOOR_RED = 0, 1, 2, 6
RED_SHARE = 0.6  # of red to green density that tissue reaches in its brightest px
FOLD = np.array([
    -2.062, 1.491, 0.472, 0.719, 4.701, 0.797, -1.666, 1.122, -1.262, -0.014, 1.86, 4.146, -1.299, 3.887, -0.752, 2.16,
    -5.091, -1.379, 1.234, -2.42, 4.016, -0.672, 2.147, -0.412, 1.941, -6.541, 0.259,
], np.float32)  # fmt: skip
LIMITS = (0.545, 0.151, 6.479)  # scores from which a mark holds
GOES_ON = (0.0, 0.0, 1.0)  # by how much less it goes on beside one that holds

_WHITE = 245.0  # what empty glass is scanned as
_OD = np.maximum(-np.log10(np.maximum(np.arange(256), 1) / _WHITE), 0).astype(np.float32)  # of every 8-bit value
_STEPS = 1000.0  # whole numbers that a density of 1 is counted in
_DETAIL = np.rint(_OD * _STEPS).astype(np.float64)
_SPLINE = np.array([1.0, 4.0, 6.0, 4.0, 1.0])  # of whole numbers: sums in float64 are exact
_FLOOR_PX = 4
_NEAR, _FAR = 3, 9  # cells that are taken together
_ORDER = (2, 0, 1)  # the last one wins
_LEAST_RANGE, _MOST = 0.1, 3.0  # of a measure on the tissue; in units of it
_LEAST = 1e-4  # detail, in density: below what 8 bits can tell

Mask = NDArray[np.bool_]


def measure(rgb: NDArray[np.uint8]) -> Float:
    """Measure the cells of a piece of an input.

    Args:
        rgb: (h · 16 + 32, w · 16 + 32, 3) uint8 at 1 µm/px: cells, and ``HALO_PX`` around them.

    Returns:
        (h, w, MEASURES) float32.
    """
    inner = np.ascontiguousarray(rgb[HALO_PX:-HALO_PX, HALO_PX:-HALO_PX])
    mean = _mean(_OD[inner], CELL_PX)
    height, width = (side // _FLOOR_PX for side in inner.shape[:2])
    brightest = inner.reshape(height, _FLOOR_PX, width, _FLOOR_PX, 3).max((1, 3))
    floor = _mean(_OD[brightest], CELL_PX // _FLOOR_PX)
    found: Float = np.concatenate([_details(rgb), mean, floor], -1).astype(np.float32)
    return found


def _details(rgb: NDArray[np.uint8]) -> Float:
    """Natural logarithm of the mean absolute detail of every cell, (h, w, 3), from fine to coarse."""
    smooth: NDArray[Any] = _DETAIL[rgb].sum(-1)
    found = []
    for level in range(3):
        kernel = np.zeros(4 * 2**level + 1)
        kernel[:: 2**level] = _SPLINE
        smoother = cv2.sepFilter2D(smooth, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT)
        detail = np.abs(smooth * 256 - smoother)[HALO_PX:-HALO_PX, HALO_PX:-HALO_PX]
        found.append(_mean(detail, CELL_PX) / (3 * _STEPS * 256.0 ** (level + 1)))
        smooth = smoother
    logs: Float = np.log(np.stack(found, -1) + _LEAST).astype(np.float32)
    return logs


def _mean(values: NDArray[np.floating], side: int) -> NDArray[np.float64]:
    """Means (h, w, …) of squares of values (h · side, w · side, …)."""
    height, width = (length // side for length in values.shape[:2])
    parts = values.reshape(height, side, width, side, *values.shape[2:])
    total: NDArray[np.float64] = parts.astype(np.float64).sum((1, 3))
    return total / side**2


def marks(measured: Float, tissue: Mask) -> NDArray[np.uint8]:
    """What every cell is marked as.

    Args:
        measured: (h, w, MEASURES), of the whole input.
        tissue: (h, w) cells that hold tissue and were measured.

    Returns:
        (h, w): 0, or 1 + the index of one of ``NAMES``; where several hold, pen before out of focus before fold.
    """
    found = np.zeros(tissue.shape, np.uint8)
    if tissue.any():
        score = scores(measured, tissue)
        for label in _ORDER:
            over = np.where(tissue, score[..., label], -np.inf) - LIMITS[label]
            found[_touching(over > -GOES_ON[label], over > 0)] = label + 1
    return found


def scores(measured: Float, tissue: Mask) -> Float:
    """How far out of focus, under pen and folded every cell looks, (h, w, 3): arguments as for ``marks``, with tissue.

    Only those of cells of tissue mean anything; the more, the worse.
    """
    near, far = (_around(measured, tissue, cells) for cells in (_NEAR, _FAR))
    focus = far[..., COARSE] - (far[..., FINE] + far[..., MIDDLE]) / 2
    pen = near[..., FLOOR_RED] - RED_SHARE * near[..., FLOOR_RED + 1]
    found: Float = np.stack([focus, pen, fold_terms(measured, tissue) @ FOLD], -1).astype(np.float32)
    return found


def fold_terms(measured: Float, tissue: Mask) -> Float:
    """What a fold is told by, (h, w, 27): six measures around every cell, and all products of two of them.

    They are middle and coarse detail, the densities and the floor of red, each less the median of the tissue and in
    units of its interquartile range, and cut off at 3.
    """
    low, median, high = np.percentile(measured[tissue], (25, 50, 75), axis=0)
    told = (_around(measured, tissue, _NEAR) - median) / np.maximum(high - low, _LEAST_RANGE)
    told = np.clip(told[..., MIDDLE : FLOOR_RED + 1], -_MOST, _MOST)
    first, second = np.triu_indices(told.shape[-1])
    terms: Float = np.concatenate([told, told[..., first] * told[..., second]], -1).astype(np.float32)
    return terms


def _around(measured: Float, tissue: Mask, cells: int) -> Float:
    """Mean of the tissue in a square of so many cells around each."""
    on = tissue.astype(np.float32)
    box = (cells, cells)
    seen = np.maximum(cv2.blur(on, box, borderType=cv2.BORDER_CONSTANT), np.float32(0.5 / cells**2))
    sums = [cv2.blur(plane * on, box, borderType=cv2.BORDER_CONSTANT) for plane in np.moveaxis(measured, -1, 0)]
    mean: Float = (np.stack(sums, -1) / seen[..., None]).astype(np.float32, copy=False)
    return mean


def _touching(faint: Mask, sure: Mask) -> Mask:
    """The pieces of what is faint that hold a cell that is sure."""
    pieces, count = ndimage.label(faint, np.ones((3, 3)))
    kept = np.bincount(pieces[sure], minlength=count + 1) > 0
    kept[0] = False
    found: Mask = kept[pieces]
    return found
