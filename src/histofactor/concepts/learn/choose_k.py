"""How many concepts? What every K gains and how well it can be repeated, from resamples of the sample.

Stability (Ben-Hur, Elisseeff & Guyon, PSB 2002): concepts learned on random halves name the same held-out tokens, and
the adjusted Rand index says how far the names agree. Residual: ‖x − W·H‖ / ‖x‖ on slides that were held out. Inertia:
share of the variance that is left within concepts, whose elbow is the K farthest below the line from the smallest to
the largest K, over log K (Satopää et al., ICDCSW 2011).

Residual limit: above it lies one in a hundred of the held-out tokens, their residual measured as in a segmentation,
which includes how much views and windows disagree. What is above it is unlike what the concepts were learned from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.base.contingency import ari, table_of
from histofactor.base.workers import map_blocks
from histofactor.concepts.learn.kmeans import unit_rows
from histofactor.concepts.learn.levels import Level, TrainOptions, label_tokens, train_levels
from histofactor.factor.nnls import project, relative_residual
from histofactor.factor.problem import gram, unit_concepts
from histofactor.records import Float

_TOKENS = 2**15  # tokens that resamples are drawn from
_TEST = 4096  # tokens named by all resamples
_RESAMPLES = 4
_CHUNK = 1024  # rows at a time
_HELD_OUT = 0.2  # share of the slides
_LIKE = 0.99  # share of the held-out tokens up to the residual limit; a few odd ones lie far beyond
_REPEATABLE = 0.75  # share of the best stability that still counts as stable
MOST_SMALL = 0.15  # share of the tissue in small pieces, beyond which a map is crumbs to whoever names it


@dataclass(frozen=True, slots=True)
class KReport:
    """What is known of one K.

    Attributes:
        k: number of concepts.
        inertia: share of the variance within concepts, in [0, 1].
        stability: mean adjusted Rand index between resamples, at most 1.
        residual: mean share of a held-out token that no concept explains, in [0, 1].
        residual_limit: of the residual of single held-out tokens, in [0, 1]; None where it is not known.
        small: share of the tissue of a field in small pieces, see ``segmentation.field``; None where none was seen.
    """

    k: int
    inertia: float
    stability: float
    residual: float
    residual_limit: float | None = None
    small: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """All K side by side.

    Attributes:
        rows: by K, ascending.
        elbow: K at the elbow of the inertia.
        recommended: the elbow, or the next smaller K that has three quarters of the best stability, for what is less
            stable depends on the sample, and that leaves at most ``MOST_SMALL`` of a field in small pieces.
    """

    rows: tuple[KReport, ...]
    elbow: int
    recommended: int


def compare_ks(
    X: Float,
    slides: NDArray[np.integer[Any]],
    levels: Mapping[int, Level],
    options: TrainOptions,
    sq_norms: Float | None = None,
) -> Choice | None:
    """Report on every K that was learned.

    Args:
        X: (N, d) the sample, in random order.
        slides: (N,) the slide of every token.
        levels: what was learned from it.
        options: how it was learned.
        sq_norms: (N,) mean squared norms of the views of every token; without them there are no limits.

    Returns:
        The report; None where the sample is too small to be halved for the largest K.
    """
    ks, options = sorted(levels), replace(options, kmeans=replace(options.kmeans, seeds=1))
    part, of = X[:_TOKENS], slides[:_TOKENS]
    test = part[: min(_TEST, len(part) // 4)]
    rest = part[len(test) :]
    if len(rest) < 4 * ks[-1]:
        return None
    stability = _stability(rest, test, ks, options)
    residual = held_out_residuals(part, of, ks, options, sq_norms)
    total = _variance(unit_rows(X) if options.kmeans.spherical else X)
    rows = tuple(KReport(k, levels[k].inertia / total, stability[k], *residual[k]) for k in ks)
    elbow = _elbow(rows)
    return Choice(rows, elbow, _recommend(rows, elbow))


def in_sight_of(choice: Choice, small: Mapping[int, float]) -> Choice:
    """A choice once a field was seen at every K.

    Args:
        choice: without the field.
        small: share of the tissue of the field in small pieces, by K.
    """
    rows = tuple(replace(row, small=small.get(row.k)) for row in choice.rows)
    return Choice(rows, choice.elbow, _recommend(rows, choice.elbow))


def stated(choice: Choice | None) -> dict[str, Any] | None:
    """A choice as the card of a bank states it, in JSON types."""
    return None if choice is None else {**asdict(choice), "rows": [asdict(row) for row in choice.rows]}


def _variance(X: Float) -> float:
    """Σ ‖x − mean‖²."""

    def sums(rows: slice) -> tuple[np.float64, NDArray[np.float64]]:
        return np.einsum("nd,nd->", X[rows], X[rows], dtype=np.float64), X[rows].sum(0, dtype=np.float64)

    squares, totals = zip(*map_blocks(sums, len(X), _CHUNK), strict=True)
    return float(np.sum(squares) - (np.sum(totals, axis=0) ** 2).sum() / len(X))


def _stability(rest: Float, test: Float, ks: Sequence[int], options: TrainOptions) -> dict[int, float]:
    """Mean agreement of resamples on the test tokens, by K."""

    def named(resample: slice) -> dict[int, NDArray[np.int32]]:
        rng = np.random.default_rng([options.kmeans.seed, resample.start])
        half = rest[rng.permutation(len(rest))[: len(rest) // 2]]
        return label_tokens(test, train_levels(half, ks, options), options)

    names = map_blocks(named, _RESAMPLES, 1)
    return {k: float(np.mean([_agreement(a[k], b[k], k) for a, b in combinations(names, 2)])) for k in ks}


def _agreement(a: NDArray[np.int32], b: NDArray[np.int32], k: int) -> float:
    """Adjusted Rand index of two namings (n,) by numbers below K."""
    return ari(table_of(a, b, (k, k)))


def held_out_residuals(
    X: Float,
    slides: NDArray[np.integer[Any]],
    ks: Sequence[int],
    options: TrainOptions,
    sq_norms: Float | None = None,
) -> dict[int, tuple[float, float | None]]:
    """Mean residual of the tokens of held-out slides, and its limit, by K; where slides are few, of held-out tokens.

    Args:
        X: (N, d) the sample, in random order.
        slides: (N,) the slide of every token.
        ks: numbers of concepts, ascending.
        options: how they are learned from the others.
        sq_norms: (M ≥ N,) as for ``compare_ks``.

    Returns:
        (mean, limit or None) by K.
    """
    rng = np.random.default_rng([options.kmeans.seed, _RESAMPLES])
    present = np.unique(slides)
    if len(present) * _HELD_OUT >= 1:
        out = np.isin(slides, rng.choice(present, int(len(present) * _HELD_OUT), replace=False))
    else:
        out = rng.random(len(X)) < _HELD_OUT
    found = {}
    held, norms = X[out], (X[out].astype(np.float64) ** 2).sum(1)
    for k, level in train_levels(X[~out], ks, options).items():
        H = unit_concepts(level.vectors)[0]
        W, B, G = project(held, H), held @ H.T, gram(H)
        limit = None
        if sq_norms is not None:
            limit = float(np.quantile(relative_residual(sq_norms[: len(X)][out], W, B, G), _LIKE))
        found[k] = float(relative_residual(norms, W, B, G).mean()), limit
    return found


def _elbow(rows: Sequence[KReport]) -> int:
    """K of the row farthest below the chord of the inertia over log K."""
    if len(rows) < 3:
        return rows[0].k
    x = np.log([row.k for row in rows])
    y = np.array([row.inertia for row in rows])
    chord = y[0] + (y[-1] - y[0]) * (x - x[0]) / (x[-1] - x[0])
    return rows[int((chord - y).argmax())].k


def _recommend(rows: Sequence[KReport], elbow: int) -> int:
    """The largest stable K up to the elbow whose pieces are large enough, else the smallest K."""
    best = max(row.stability for row in rows)
    stable = [row for row in rows if row.k <= elbow and row.stability >= _REPEATABLE * best]
    return max((row.k for row in stable if (row.small or 0.0) <= MOST_SMALL), default=rows[0].k)
