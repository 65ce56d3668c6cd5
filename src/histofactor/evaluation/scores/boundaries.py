"""How well boundaries lie: boundary recall, precision and F1 within a tolerance."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer[Any]]


class BoundaryCounts(NamedTuple):
    """Boundary px of one image; counts of many images add up.

    Attributes:
        found: boundary px of the truth that a predicted boundary comes near to.
        truth: boundary px of the truth.
        right: predicted boundary px that come near to one of the truth.
        predicted: predicted boundary px.
    """

    found: int
    truth: int
    right: int
    predicted: int


def boundary_counts(predicted: Labels, truth: Labels, tolerance_px: float, ignore: int | None = None) -> BoundaryCounts:
    """Compare boundaries (Martin, Fowlkes & Malik, PAMI 2004, without one-to-one matching).

    A px is on a boundary if the px to its right or below has another value. Boundaries against what is ignored do not
    count, nor does anything within it.

    Args:
        predicted: (height, width) classes.
        truth: (height, width) classes or ``ignore``.
        tolerance_px: how far apart boundaries may lie.
        ignore: value of truth that is not counted.
    """
    counted = np.ones(truth.shape, bool) if ignore is None else truth != ignore
    ours, theirs = _boundary(predicted, counted), _boundary(truth, counted)
    near_ours, near_theirs = (_near(edges, tolerance_px) for edges in (ours, theirs))
    return BoundaryCounts(
        int((theirs & near_ours).sum()), int(theirs.sum()), int((ours & near_theirs).sum()), int(ours.sum())
    )


def boundary_f1(counts: BoundaryCounts) -> float:
    """Harmonic mean of recall and precision; NaN where neither has boundaries, 0 where one has none."""
    if not counts.truth and not counts.predicted:
        return float("nan")
    recall = counts.found / counts.truth if counts.truth else 0.0
    precision = counts.right / counts.predicted if counts.predicted else 0.0
    return 2 * recall * precision / (recall + precision) if recall + precision else 0.0


def _boundary(labels: Labels, counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    edges = np.zeros(labels.shape, bool)
    across = (labels[:, 1:] != labels[:, :-1]) & counted[:, 1:] & counted[:, :-1]
    down = (labels[1:] != labels[:-1]) & counted[1:] & counted[:-1]
    edges[:, :-1] |= across
    edges[:-1] |= down
    return edges


def _near(edges: NDArray[np.bool_], tolerance_px: float) -> NDArray[np.bool_]:
    """Px within a distance of a boundary."""
    if not edges.any():
        return np.zeros(edges.shape, bool)
    distance = cv2.distanceTransform((~edges).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance <= tolerance_px + 1e-3)
