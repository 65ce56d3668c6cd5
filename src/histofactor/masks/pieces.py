"""Pieces of a small label map: px of one label that are connected by their sides."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def piece_areas(labels: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.int64]:
    """Px of every piece of the labels from 1 on, label by label.

    Args:
        labels: (height, width).
    """
    found = [np.empty(0, np.int64)]
    for label in np.unique(labels[labels > 0]):
        _, _, stats, _ = cv2.connectedComponentsWithStats((labels == label).astype(np.uint8), connectivity=4)
        found.append(stats[1:, cv2.CC_STAT_AREA].astype(np.int64))
    return np.concatenate(found)
