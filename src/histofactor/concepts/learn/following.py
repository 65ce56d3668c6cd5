"""How far concepts follow the groups of slides that they were learned from; ``concepts.bank.following`` defines it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import exp, lgamma
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.base.contingency import ari, table_of
from histofactor.concepts.bank.following import EXCESS, FEWEST_DEALS, LEVEL, TAIL, Following
from histofactor.concepts.learn.levels import TrainOptions, train_levels
from histofactor.records import Float

_DEALS = 499  # of slides to groups, at random
_TOKENS = 2**15  # clustered again with each group's mean taken away
_A_CONCEPT = 32  # tokens there are at least for each concept of these
_CENTRED_K = 8  # concepts of these at least: two could be halves of what every group has
_SAME = 1e-9  # deals that give the same differ by no more

Counts = NDArray[np.integer[Any]]
Values = NDArray[np.float64]


def follow_groups(per_slide: Counts, groups: Sequence[str | None]) -> Following | None:
    """Measure how far concepts follow groups.

    Args:
        per_slide: (S, K) sampled tokens of every concept, by slide.
        groups: the group of every slide, or None; slides without group or tokens are left out.

    Returns:
        What was measured; None where there are fewer than two groups.
    """
    rows = [row for row, group in enumerate(groups) if group is not None and per_slide[row].any()]
    names, of = np.unique([str(groups[row]) for row in rows], return_inverse=True)
    if len(names) < 2:
        return None
    counts = per_slide[rows].astype(np.float64)
    rng = np.random.default_rng(0)
    deals = [of, *(rng.permutation(of) for _ in range(_DEALS))]
    tables = [_balanced(counts, deal, len(names)) for deal in deals]
    excesses = np.array([excess_of(table) for table in tables])
    aris = np.array([ari(table * (counts.sum() / len(names))) for table in tables])
    enough = _ways(np.bincount(of)) >= FEWEST_DEALS
    excess, tissue = excesses[0], tables[0].mean(0)
    follows = (excess >= EXCESS) & (_chances(excesses) <= LEVEL) & enough
    return Following(
        groups=len(names),
        slides=len(rows),
        ari=round(float(aris[0]), 4),
        by_chance=round(float(aris[1:].mean()), 4),
        p=float((aris >= aris[0] - _SAME).mean()) if enough else None,
        tail_mean=round(_tail_mean(excess, tissue), 4),
        excess=tuple(excess.round(4).tolist()),
        most=tuple(str(names[one]) if some else "" for one, some in zip(tables[0].argmax(0), tissue > 0, strict=True)),
        follows=tuple(follows.tolist()),
        share=round(float(tissue[follows].sum()), 4),
    )


def share_when_centred(
    X: Float, slides: NDArray[np.integer[Any]], groups: Sequence[str | None], k: int, options: TrainOptions
) -> float | None:
    """Share of the tissue in concepts of one group once each group's mean is taken from its tokens.

    Args:
        X: (N, d) the sample, in random order.
        slides: (N,) the slide of every token.
        groups: the group of every slide, or None; at least two.
        k: number of concepts; at least 8 are learned, as far as there are tokens for them.
        options: how they are learned.

    Returns:
        The share, in [0, 1]; None where there are too few tokens.
    """
    names = sorted({group for group in groups if group is not None})
    group_of = np.array([-1 if group is None else names.index(group) for group in groups])
    of = group_of[slides[:_TOKENS]]
    tokens, of = X[:_TOKENS][of >= 0], of[of >= 0]
    means = np.stack([tokens[of == number].mean(0, dtype=np.float64) for number in np.unique(of)])
    centred = (tokens - (means - means.mean(0))[np.unique(of, return_inverse=True)[1]]).astype(np.float32)
    k = min(max(k, _CENTRED_K), len(np.unique(centred, axis=0)) // _A_CONCEPT)
    if k < 2:
        return None
    how = replace(options, algorithm="kmeans", signed=True, kmeans=replace(options.kmeans, seeds=1))
    labels = train_levels(centred, [k], how)[k].labels
    counts = table_of(of, labels, (len(names), k)).astype(np.float64)
    table = _balanced(counts[counts.any(1)], np.arange(len(means)), len(means))
    return round(float(table.mean(0)[excess_of(table) >= EXCESS].sum()), 4)


def _balanced(counts: Values, of: NDArray[np.integer[Any]], n: int) -> Values:
    """Share (G, K) of every concept in the tokens of each of n groups, of counts (S, K) and groups (S,)."""
    sums = (np.arange(n)[:, None] == of).astype(np.float64) @ counts
    shares: Values = sums / sums.sum(1, keepdims=True)
    return shares


def excess_of(table: Values) -> Values:
    """Excess (K,) of concepts whose shares in every group are (G, K); 0 without tokens."""
    most, total = table.max(0), table.sum(0)
    shares = np.divide(most, total, out=np.full(len(most), 1 / len(table)), where=total > 0)
    excess: Values = np.clip((shares - 1 / len(table)) / (1 - 1 / len(table)), 0, 1)
    return excess


def _chances(excesses: Values) -> Values:
    """Chance (K,) of each concept's excess in the first of (deals, K): step-down max-T, so that all hold at once.

    The concept that stands out most is compared with the largest of all in every deal, the next with the largest of
    the others, and so on (Westfall & Young 1993).
    """
    spread = excesses.std(0)
    apart = np.divide(excesses - excesses.mean(0), spread, out=np.zeros_like(excesses), where=spread > _SAME)
    order = np.argsort(-apart[0], kind="stable")
    largest = np.maximum.accumulate(apart[:, order[::-1]], axis=1)[:, ::-1]  # of this and those after it
    chances = np.empty(len(order))
    chances[order] = np.maximum.accumulate((largest >= apart[0, order] - _SAME).mean(0))
    return chances


def _tail_mean(excess: Values, tissue: Values) -> float:
    """Mean excess over the tenth of the tissue where it is largest."""
    order = np.argsort(-excess, kind="stable")
    before = np.cumsum(tissue[order]) - tissue[order]
    taken = np.clip(TAIL - before, 0, tissue[order])
    return float(excess[order] @ taken / taken.sum())


def _ways(sizes: NDArray[np.integer[Any]]) -> float:
    """In how many ways slides can be dealt to groups of these sizes, whatever groups of one size are called."""
    alike = np.unique(sizes, return_counts=True)[1]
    log = lgamma(sizes.sum() + 1) - sum(lgamma(size + 1) for size in sizes) - sum(lgamma(n + 1) for n in alike)
    return round(exp(min(log, 30.0)), 3)
