"""How stable are labels: the share of px that keep theirs where an image is disturbed before it is worked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from histofactor.evaluation.scores.labels import Labels, labels_of
from histofactor.segmentation.setup import Segmenter
from histofactor.slides.reader import open_slide

Way = TypeVar("Way")
RGB = NDArray[np.uint8]
_STAINED, _RESTAIN = 0.1, 0.05  # optical densities: the least that is not glass, and how far a channel moves

_MOVES: Mapping[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "one px": lambda px: px[1:, 1:],
    "90 degrees": np.rot90,
    "mirrored": lambda px: px[:, ::-1],
    "restained": lambda px: px,
}
DISTURBANCES = tuple(_MOVES)


def kept_labels(
    rgb: RGB,
    plain: Mapping[Way, Labels],
    segmenters: Mapping[Way, Segmenter],
    source_mpp: float | None,
    rng: np.random.Generator,
) -> dict[Way, NDArray[np.int64]]:
    """Disturb an image and segment it anew, encoded once a disturbance for all segmenters.

    The disturbances are those of ``DISTURBANCES``: the first row and column are cut off, the image is turned, mirrored,
    and restained as ``restain`` does.

    Args:
        rgb: (height, width, 3) all px of the image, at least two each way.
        plain: (height, width) its undisturbed labels by segmenter.
        segmenters: alike but for method and concepts.
        source_mpp: µm/px of the image, None where it is unknown.
        rng: source of chance.

    Returns:
        Counts (disturbances, 2) by segmenter: px that keep their label where one image lies on the other, and all px.
        Counts of many images add up.
    """
    counts: dict[Way, list[tuple[int, int]]] = {way: [] for way in plain}
    for name, move in _MOVES.items():
        disturbed = restain(rgb, rng) if name == "restained" else move(rgb)
        with open_slide(np.ascontiguousarray(disturbed), source_mpp=source_mpp) as slide:
            again = labels_of(slide, segmenters)
        for way, labels in plain.items():
            same = again[way] == move(labels)
            counts[way].append((int(same.sum()), same.size))
    return {way: np.array(rows, np.int64) for way, rows in counts.items()}


def shares(counts: NDArray[np.int64]) -> dict[str, float]:
    """Share of px that keep their label, by disturbance, of counts as ``kept_labels`` gives them."""
    return dict(zip(DISTURBANCES, (counts[:, 0] / counts[:, 1]).tolist(), strict=True))


def restain(rgb: RGB, rng: np.random.Generator) -> RGB:
    """Move the optical density (natural log) of every channel by N(0, 0.05); glass stays glass."""
    density = -np.log((rgb.astype(np.float64) + 1) / 256)
    moved = np.where(density > _STAINED, density + rng.normal(0, _RESTAIN, 3), density)
    found: RGB = np.clip(np.exp(-moved) * 256 - 1, 0, 255).round().astype(np.uint8)
    return found
