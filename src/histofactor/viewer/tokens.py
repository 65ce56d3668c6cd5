"""What is known of every token of a slide: its strongest concepts, margin and residual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.errors import ImageError
from histofactor.export.weights import SparseWeights
from histofactor.masks.bands import margins
from histofactor.runs.regroup import combine

MAX_SIDE = 2048  # of a heat layer; larger ones are thinned
STEPS = 254  # of a value in it, from 0 to 1
NOTHING = 255  # where there is none
_BAND_ROWS = 64


@dataclass(frozen=True, slots=True)
class Heat:
    """Values of tokens, as a picture.

    Attributes:
        values: (h, w) uint8, ``STEPS`` times the value; ``NOTHING`` where all weights are 0.
        l0_per_px: (x, y) level-0 px per px of it.
    """

    values: NDArray[np.uint8]
    l0_per_px: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Attributes:
        strongest: concepts, 0-based, and the share of each in the sum of all weights, the largest first; at most three.
        margin: (first - second) / first weight, or None where all are 0.
        residual: share that no concept explains.
    """

    strongest: tuple[tuple[int, float], ...]
    margin: float | None
    residual: float


def members_of(recipe: Mapping[str, Any], k: int) -> list[tuple[int, ...]]:
    """The concepts of the weights that each concept of the labels is made of.

    Args:
        recipe: ``segmentation.json`` of the slide.
        k: number of concepts of the weights.

    Raises:
        ImageError: it does not say.
    """
    if "weights_of" not in recipe:
        return [(concept,) for concept in range(k)]
    of = recipe["weights_of"].get("of")
    groups = [tuple(group) for group in of] if isinstance(of, list) and all(isinstance(g, list) for g in of) else []
    if sorted(member for group in groups for member in group) != list(range(k)):
        raise ImageError("segmentation.json does not say what the weights are of", mend="segment the input again")
    return groups


def token_at(weights: SparseWeights, members: Sequence[Sequence[int]], column: int, row: int) -> Token:
    """The token of a place.

    Args:
        weights: of the slide.
        members: from ``members_of``.
        column, row: on the token grid.

    Raises:
        ImageError: the weights are damaged.
    """
    values = combine(weights.rows(row, row + 1)[0, column], members)
    order = np.argsort(-values, kind="stable")[:3]
    total = float(values.sum())
    strongest = tuple((int(concept), float(values[concept] / total)) for concept in order if values[concept] > 0)
    margin = float(margins(values[None])[0]) if total else None
    return Token(strongest, margin, float(weights.residual(row, row + 1)[0, column]))


def heat(weights: SparseWeights, members: Sequence[Sequence[int]], what: str) -> Heat:
    """Margin or residual of all tokens.

    Args:
        weights: of the slide.
        members: from ``members_of``.
        what: ``margin`` or ``residual``.

    Raises:
        ImageError: the weights are damaged.
    """
    header = weights.header
    width, height = header.g_size
    step = -(-max(width, height) // MAX_SIDE)
    bands = []
    for top in range(0, height, _BAND_ROWS * step):
        stop = min(top + _BAND_ROWS * step, height)
        values = weights.rows(top, stop)[::step, ::step]
        found = margins(combine(values, members)) if what == "margin" else weights.residual(top, stop)[::step, ::step]
        steps = np.rint(found.clip(0, 1) * STEPS).astype(np.uint8)
        bands.append(np.where(values.any(axis=-1), steps, np.uint8(NOTHING)))
    side = header.stride_px * step
    return Heat(np.concatenate(bands), (header.l0_per_px[0] * side, header.l0_per_px[1] * side))
