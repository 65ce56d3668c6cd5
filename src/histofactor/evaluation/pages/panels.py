"""Images to look at: those that are segmented best and worst."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.evaluation.data.datasets import Dataset
from histofactor.evaluation.scores.protocol import ImageScores
from histofactor.evaluation.scores.tally import Counted, predictions
from histofactor.export.overlay import thumbnail_size
from histofactor.slides.reader import open_slide
from histofactor.slides.thumbnail import read_thumbnail

_SHOWN, _PANEL_PX = 3, 320  # images shown of the best and of the worst, and their long side


@dataclass(frozen=True, slots=True)
class Panel:
    """A held-out image to look at.

    Attributes:
        stem, patient: which.
        mean_iou: of this image.
        method, k: what segmented it.
        rgb: (h, w, 3) uint8, the image.
        truth, predicted: (h, w) class indices, -1 where ignored.
    """

    stem: str
    patient: str
    mean_iou: float
    method: str
    k: int
    rgb: NDArray[np.uint8]
    truth: NDArray[np.integer[Any]]
    predicted: NDArray[np.integer[Any]]


def best_and_worst(
    dataset: Dataset, counted: Counted, images: Sequence[ImageScores], scored: NDArray[np.bool_] | None = None
) -> list[Panel]:
    """The held-out images that one method and K segments best and worst, small.

    Args:
        dataset: what was segmented.
        counted: what was counted of this method and K.
        images: its scores of every held-out image, in order.
        scored: the fixed split, if there is one.

    Returns:
        Up to three of each, the best first.

    Raises:
        ImageError: an image or its labels cannot be read any more.
    """
    kept = np.arange(len(dataset.items)) if scored is None else np.flatnonzero(scored)
    present = [pair for pair in zip(kept, images, strict=True) if not math.isnan(pair[1].mean_iou)]
    order = sorted(present, key=lambda pair: -pair[1].mean_iou)
    shown = [*order[:_SHOWN], *order[max(_SHOWN, len(order) - _SHOWN) :]]
    found = predictions(counted, dataset, scored, np.array([i for i, _ in shown], np.intp))
    panels = []
    for (i, truth, predicted), (_, scores) in zip(found, shown, strict=True):
        item = dataset.items[i]
        with open_slide(item.image, source_mpp=dataset.mpp) as slide:
            width, height = thumbnail_size(slide.info.size, _PANEL_PX)
            rgb, _ = read_thumbnail(slide, (width, height))
        small = np.ix_(*((np.arange(n) * full) // n for n, full in zip((height, width), truth.shape, strict=True)))
        which = (item.stem, item.patient, scores.mean_iou, counted.method, counted.k)
        panels.append(Panel(*which, rgb, truth[small], predicted[small]))
    return panels
