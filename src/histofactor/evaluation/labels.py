"""Labels on the px of an image, from an input that is encoded once for all engines."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.records import Segmentation

Labels = NDArray[np.integer[Any]]


def level0_labels(segmentation: Segmentation) -> Labels:
    """Bring the labels of a whole image from the working resolution to its own pixels, by nearest neighbour.

    Args:
        segmentation: of a whole image.

    Returns:
        (height, width) labels in level-0 px.
    """
    labels: Labels = segmentation.label_map.labels[:]
    columns, rows = (
        np.minimum((np.arange(side) + 0.5) / scale, limit - 1).astype(np.intp)
        for side, scale, limit in zip(segmentation.slide.size, segmentation.l0_per_px, labels.shape[::-1], strict=True)
    )
    return labels[np.ix_(rows, columns)]
