"""Pen on a slide: broad strokes of a hue that hematoxylin and eosin never take, or black."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from histofactor.records import Float
from histofactor.slides.channels import distance_px, extremes

# Both dyes absorb green most. On real tissue red stays below 1.2 times green and blue below 0.85 times, but for specks.
COLD_RATIO = 1.15  # of red to green, from which a hue is that of blue or green ink
RED_RATIO = 0.85  # of blue to green, from which a hue that lets red through is that of red ink
RED_LEAK = 0.3  # of red to green, up to which red passes
RED_DENSITY = 0.4  # erythrocytes are of that hue too, and paler
DARK_DENSITY = 0.9  # of red: no broad tissue is as dark
BLACK_DENSITY, BLACK_TINT = 0.4, 0.2  # black: dense, and tinted less than this share of the density
MIN_STROKE_UM = 100.0  # narrower marks are nuclei, pigment or blood
_MARGIN = 0.03


def ink_mask(density: Float, mpp: float) -> NDArray[np.bool_]:
    """Find pen: blue, green, saturated red, near-black; also the black of what was never scanned.

    A px is a candidate by its hue. A piece of candidates counts where a disc of 100 µm fits into it. Sheets of
    blood broader than that, if as saturated as red ink, are taken for ink; violet ink, which looks like hematoxylin, is
    not found.

    Args:
        density: (height, width, 3) optical density against the glass.
        mpp: µm per px.

    Returns:
        (height, width) bool, True on ink.
    """
    red, green, blue = cv2.split(density)
    least, most = extremes(density)
    cold = red > COLD_RATIO * green + _MARGIN
    warm = (blue > RED_RATIO * green) & (red < RED_LEAK * green) & (green > RED_DENSITY)
    black = (red > DARK_DENSITY) | ((most > BLACK_DENSITY) & (most - least < BLACK_TINT * most))
    candidates = np.pad(cold | warm | black, 1, mode="edge")  # strokes go on beyond the border
    broad = distance_px(candidates) >= max(MIN_STROKE_UM / 2 / mpp, 1.5)
    pieces, count = ndimage.label(candidates, np.ones((3, 3)))
    counts = np.zeros(count + 1, bool)
    counts[np.unique(pieces[broad])] = True
    counts[0] = False
    ink: NDArray[np.bool_] = counts[pieces][1:-1, 1:-1]
    return ink
