"""What is asked of the three channels of every px, plane by plane: far faster than along the last axis."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def extremes(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Smallest and largest channel (height, width) of values (height, width, 3)."""
    first, second, third = cv2.split(values)
    return np.minimum(np.minimum(first, second), third), np.maximum(np.maximum(first, second), third)


def distance_px(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Euclidean distance (height, width) of every px of a mask to the nearest px outside it; 0 outside."""
    return np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)
