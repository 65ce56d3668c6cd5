"""Labels on the px of an image, from an input that is encoded once for all segmenters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from histofactor.records import Segmentation
from histofactor.segmentation.feature_cache import cache_features
from histofactor.segmentation.page import segment_slide
from histofactor.segmentation.setup import Segmenter
from histofactor.slides.reader import Slide

Way = TypeVar("Way")
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


def labels_of(slide: Slide, segmenters: Mapping[Way, Segmenter]) -> dict[Way, Labels]:
    """Labels (height, width) in level-0 px by every segmenter, of an open input that is encoded once.

    Args:
        slide: the input.
        segmenters: alike but for method and concepts.

    Raises:
        OptionError: the segmenters encode in different ways.
    """
    cache = cache_features(slide, next(iter(segmenters.values())).setup)
    return {way: level0_labels(segment_slide(slide, segmenter, cache=cache)) for way, segmenter in segmenters.items()}
