"""Search for the colours of many concepts at once: tabu search (Glover, ORSA J. Computing 1(3), 1989)."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from histofactor.base.workers import map_ahead

_TABU = 40  # steps for which a concept does not go back to a colour, at most
_MAGNITUDE = np.int32(2**31 - 1)  # bits of a float but for its sign
_LEAST_STEPS, _STEPS = 64, 2**16  # of a search for the colours of K concepts: a K-th of the second

Places = NDArray[np.intp]
Float = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """What a search makes small: Σ weights[i, j] · lacks[cᵢ, cⱼ] + alike[cᵢ, cⱼ] over pairs of concepts of colours c.

    Attributes:
        weights: (K, K) symmetric, 0 on the diagonal.
        lacks: (n, n) symmetric, of two colours.
        alike: (n, n) likewise.
    """

    weights: Float
    lacks: Float
    alike: Float


def search_colors(wanted: Wanted, start: Places, searches: int) -> Places:
    """Change one colour after another; of several searches, which differ in how long they bar a change, the best.

    Step by step, whichever change of one colour to one that no concept has helps most is made, and none is taken back
    soon.

    Args:
        wanted: what is made small.
        start: (K,) the colours to begin with, K ≥ 2, all different.
        searches: so many.

    Returns:
        (K,) different colours; the same for the same arguments.
    """
    steps = max(_LEAST_STEPS, _STEPS // len(start))
    apart = wanted.alike[start].sum(axis=0) - wanted.alike[start]
    costs = np.ascontiguousarray(wanted.weights @ wanted.lacks[start] + apart)

    def found(seed: int) -> tuple[float, Places]:
        waits = np.random.default_rng(seed).integers(_TABU // 2, _TABU, steps)
        best = start.copy()
        cost = _search(wanted.weights, wanted.lacks, wanted.alike, costs.copy(), start.copy(), best, waits)
        return cost, best

    return min(map_ahead(found, range(searches), numba.get_num_threads()), key=lambda one: one[0])[1]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _ordered(bits):
    """The bits of a float as a number that comes where the float does among others; of that, the bits again."""
    return bits ^ ((bits >> 31) & _MAGNITUDE)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _least_of(values):
    """The least of values (n,), which are changed: found by their bits, which takes vector registers."""
    bits, least = values.view(np.int32), _MAGNITUDE
    for place in range(len(bits)):
        least = min(least, _ordered(bits[place]))
    bits[0] = _ordered(least)
    return values[0]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _least(costs, taken, weights, of_weight, of_all, spare):
    """Add what a change of a colour adds to the costs (n,) of a concept in each; the least of those not taken."""
    for place in range(len(costs)):
        costs[place] += weights * of_weight[place] + of_all[place]
        spare[place] = costs[place] + taken[place]
    return _least_of(spare)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _least_allowed(costs, taken, barred, step, spare):
    """The least of the costs (n,) of a concept in colours that are neither taken nor barred."""
    for place in range(len(costs)):
        cost = costs[place] + taken[place]
        spare[place] = cost if barred[place] <= step else np.float32(np.inf)
    return _least_of(spare)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _that_helps_most(costs, rows, color):
    """The concept whose costs fall most if it gets the colour that is least in its row (K,); -1 if none may change."""
    found, gain = -1, np.float32(np.inf)
    for concept in range(len(color)):
        own = rows[concept] - costs[concept, color[concept]]
        if own < gain:
            found, gain = concept, own
    return found


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _search(weights, lacks, alike, costs, color, best, waits):
    """What the best colours cost, which are put into ``best``; ``costs`` (K, n) of each concept in each colour."""
    k, n = costs.shape
    taken, barred = np.zeros(n, np.float32), np.zeros((k, n), np.int32)
    rows, none, zero = np.empty(k, np.float32), np.zeros(n, np.float32), np.float32(0.0)
    spare = np.empty(n, np.float32)
    of_weight, of_all = none, none  # what the last change adds to the costs
    last = np.zeros((_TABU, 2), np.int64)  # changes: the concept, and the colour that it had
    taken[color] = np.inf
    least, moved = np.inf, -1
    for step in range(len(waits)):
        total = 0.0
        for concept in range(k):
            if concept == moved or moved < 0:  # what a concept costs hangs on the others alone
                rows[concept] = _least(costs[concept], taken, zero, none, none, spare)
            else:
                rows[concept] = _least(costs[concept], taken, weights[concept, moved], of_weight, of_all, spare)
            total += costs[concept, color[concept]]
        if total < least:
            best[:], least = color, total
        if total == 0:
            break
        for concept, before in last[: min(step, _TABU)]:
            if barred[concept, before] > step and costs[concept, before] + taken[before] <= rows[concept]:
                rows[concept] = _least_allowed(costs[concept], taken, barred[concept], step, spare)
        moved = _that_helps_most(costs, rows, color)
        if moved < 0:
            continue
        chosen, before = 0, color[moved]
        while barred[moved, chosen] > step or costs[moved, chosen] + taken[chosen] != rows[moved]:
            chosen += 1
        last[step % _TABU] = moved, before
        barred[moved, before] = step + 1 + waits[step]
        taken[before], taken[chosen], color[moved] = 0.0, np.inf, chosen
        of_weight, of_all = lacks[chosen] - lacks[before], alike[chosen] - alike[before]
    return least
