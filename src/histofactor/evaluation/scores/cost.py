"""How many labelled images make a segmenter: scores where only a few images tell what the labels mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histofactor.evaluation.scores import metrics


@dataclass(frozen=True, slots=True)
class CostPoint:
    """Scores where so many labelled images fit the map from labels to classes.

    Attributes:
        images: how many.
        mean_iou: mean over draws.
        low, high: 5th and 95th percentile of the draws.
    """

    images: int
    mean_iou: float
    low: float
    high: float


def labelled_images(
    tables: metrics.Table,
    patients: Sequence[str],
    scored: NDArray[np.bool_] | None = None,
    *,
    draws: int = 20,
    seed: int = 0,
) -> list[CostPoint]:
    """Mean IoU of held-out patients against the number of labelled images of other patients.

    For every patient, images of the others are drawn at random without replacement; a label that none of them shows
    takes the class of most of their px.

    Args:
        tables: (images, labels, classes) px of every image.
        patients: of every image.
        scored: a fixed split instead of one patient at a time, as for ``metrics.held_out_and_rest``.
        draws: how often images are drawn.
        seed: of the draws.

    Returns:
        One point for 1, 2, 4, … images, as far as every patient has as many from others.

    Raises:
        OptionError: fewer than two patients, and no fixed split.
    """
    folds = metrics.held_out_and_rest(patients, scored)
    rng = np.random.default_rng(seed)
    points, count = [], 1
    while count <= min(len(rest) for _, rest in folds):
        scores = []
        for _ in range(draws):
            matrices = []
            for fold, rest in folds:
                classes = metrics.majority_map(tables[rng.choice(rest, count, replace=False)].sum(axis=0))
                matrices.append(metrics.apply_map(tables[fold].sum(axis=0), classes))
            scores.append(metrics.mean_iou(np.sum(matrices, axis=0)))
        low, high = np.quantile(scores, (0.05, 0.95))
        points.append(CostPoint(count, float(np.mean(scores)), float(low), float(high)))
        count *= 2
    return points
