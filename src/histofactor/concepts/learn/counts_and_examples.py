"""What a sample says of each concept: how many tokens, from which slides, and where typical ones are to be seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.base.contingency import table_of
from histofactor.base.grouped import sums_by
from histofactor.base.workers import map_blocks
from histofactor.concepts.bank.following import FOLLOWING, stated
from histofactor.concepts.bank.provenance import ONE_SLIDE, STAIN_DIGITS, most_in_one
from histofactor.concepts.learn.following import follow_groups
from histofactor.concepts.learn.levels import Level
from histofactor.concepts.learn.sample import Sample
from histofactor.records import Float

EXAMPLES = 8  # typical tokens told of every concept, from different slides as far as there are
_SLIDES_TOLD = 200  # up to so many slides, every slide's tokens are told
_SHARE = 10**4  # parts that shares are rounded to
_CHUNK = 1024  # rows at a time

Slides = NDArray[np.int64]


def counts_and_examples(
    sample: Sample, slides: Slides, level: Level, groups: Sequence[str | None], sides: Sequence[float]
) -> dict[str, Any]:
    """Provenance of one level, JSON types only.

    Args:
        sample: the tokens, in the order of ``level.labels``.
        slides: (N,) the slide of every token.
        level: concepts learned from it.
        groups: the group of every slide, or None.
        sides: side in level-0 px of the patch that shows a token, by slide.

    Returns:
        ``per_slide`` (one list of K counts a slide, where there are few; where there are many ``in_one_slide``, the
        share of every concept that the slide with most of it has, rounded down), ``per_group`` (counts by name),
        ``following`` (how far concepts follow groups, where there are two or more), ``stains`` (of every concept the
        mean over its tokens of what ``slides.stain`` measures, None where nothing was, as far as anything was), and
        ``examples``: for every concept the tokens nearest to it, as ``slide``, ``x``, ``y``, ``side``, ``distance``.
    """
    k = len(level.vectors)
    per_slide = table_of(slides, level.labels, (len(groups), k))
    found: dict[str, Any] = {"examples": _examples(sample, slides, level, sides)}
    if len(groups) <= _SLIDES_TOLD:
        found["per_slide"] = per_slide.tolist()
    else:
        found[ONE_SLIDE] = (np.floor(most_in_one(per_slide) * _SHARE) / _SHARE).tolist()
    stains = _stains(sample.stains[: sample.size], level)
    if any(stains):
        found["stains"] = stains
    names = sorted({group for group in groups if group is not None})
    if names:
        found["per_group"] = {name: per_slide[[group == name for group in groups]].sum(0).tolist() for name in names}
    if (following := follow_groups(per_slide, groups)) is not None:
        found[FOLLOWING] = stated(following)
    return found


def _stains(measured: Float, level: Level) -> list[list[float] | None]:
    """The mean stain of every concept, or None."""
    known, k = ~np.isnan(measured[:, 0]), len(level.vectors)
    labels = level.labels[known]
    counts, sums = np.bincount(labels, minlength=k), sums_by(labels, measured[known], k)
    return [
        np.round(total / count, STAIN_DIGITS).tolist() if count else None
        for total, count in zip(sums, counts, strict=True)
    ]


def _examples(sample: Sample, slides: Slides, level: Level, sides: Sequence[float]) -> list[list[dict[str, Any]]]:
    distances = _distances(sample.tokens[: sample.size], level)
    order = np.lexsort((distances, level.labels))
    ends = np.cumsum(level.counts)
    return [
        [
            {
                "slide": int(slides[row]),
                "x": round(float(sample.places[row, 0]), 1),
                "y": round(float(sample.places[row, 1]), 1),
                "side": round(sides[int(slides[row])], 1),
                "distance": round(float(distances[row]), 4),
            }
            for row in _spread(order[end - count : end], slides, sample.places, sides)
        ]
        for end, count in zip(ends, level.counts, strict=True)
    ]


def _spread(rows: NDArray[np.int64], slides: Slides, places: NDArray[np.float32], sides: Sequence[float]) -> list[int]:
    """The first rows whose patches do not overlap: first the best of each slide, then the second of each, and so on."""
    found: list[int] = []
    while len(rows):
        best = rows[_first_of_each(slides[rows], len(sides))][: EXAMPLES - len(found)]
        found += best.tolist()
        if len(found) == EXAMPLES:
            break
        for row in best:
            apart = np.abs(places[rows] - places[row]).max(1) >= sides[slides[row]]
            rows = rows[apart | (slides[rows] != slides[row])]
    return found


def _first_of_each(slides: Slides, n: int) -> NDArray[np.intp]:
    """Where each of n slides that is there is first, ascending."""
    first = np.full(n, len(slides))
    first[slides[::-1]] = np.arange(len(slides))[::-1]  # of several the last one stays, which is the first
    return np.sort(first[first < len(slides)])


def _distances(X: Float, level: Level) -> NDArray[np.float32]:
    """Distance (N,) of every token to the vector of its concept."""

    def distances(rows: slice) -> Float:
        gaps = X[rows] - level.vectors[level.labels[rows]]
        found: Float = np.sqrt(np.einsum("nd,nd->n", gaps, gaps))
        return found

    return np.concatenate(map_blocks(distances, len(X), _CHUNK))
