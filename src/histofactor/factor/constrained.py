"""Projection with a wish: sparser weights, or weights that sum to one, on the same responses and Gram matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.errors import OptionError
from histofactor.factor.active_set import solve_rows

Floats = NDArray[np.floating[Any]]

_ROUNDS = 100  # of regula falsi; it ends after about ten


@dataclass(frozen=True, slots=True)
class Wish:
    """What weights should be beyond optimal; at most one of the three.

    Attributes:
        l1: adds l1 · Σ wₖ‖hₖ‖ to the objective; in the units of a response to a unit-norm concept.
        max_nonzero: at most this many concepts a row, found greedily (non-negative orthogonal matching pursuit,
            Bruckstein, Elad and Zibulevsky 2008): each is the steepest descent given the ones before.
        simplex: the weights of a row sum to one.
    """

    l1: float = 0.0
    max_nonzero: int | None = None
    simplex: bool = False


def check_wish(wish: Wish) -> None:
    """Raise OptionError unless the wish can be granted."""
    if wish.l1 < 0 or not np.isfinite(wish.l1):
        raise OptionError("l1 is out of range", expected="a finite number ≥ 0", got=str(wish.l1))
    if wish.max_nonzero is not None and wish.max_nonzero < 1:
        raise OptionError("max_nonzero is out of range", expected="at least 1", got=str(wish.max_nonzero))
    if (wish.l1 > 0) + (wish.max_nonzero is not None) + wish.simplex > 1:
        raise OptionError("l1, max_nonzero and simplex exclude each other", expected="one of them", got=str(wish))


def solve_wish(B: Floats, G: NDArray[np.float64], norms: Floats, tol: float, wish: Wish) -> Floats:
    """Solve the rows of one block under a wish.

    Args:
        B: (n, K) responses to unit-norm concepts.
        G: (K, K) their Gram matrix.
        norms: (K,) lengths of the concepts as given, for ``simplex``; zero concepts never take part.
        tol: as for ``nnls.solve_gram``.
        wish: the wish, checked.

    Returns:
        W (n, K) ≥ 0, weights of the unit-norm concepts.
    """
    if wish.l1 > 0:
        return solve_rows(B - B.dtype.type(wish.l1), G, tol)
    if wish.max_nonzero is not None:
        return solve_rows(B, G, tol, min(wish.max_nonzero, B.shape[1]))
    if wish.simplex:
        return _solve_simplex(B, G, norms, tol)
    return solve_rows(B, G, tol)


def _solve_simplex(B: Floats, G: NDArray[np.float64], norms: Floats, tol: float) -> Floats:
    """Minimise ½ wᵀGw − bᵀw over w ≥ 0 with aᵀw = 1, where a = 1 / norms turns unit-norm weights into given ones.

    The multiplier ν of the constraint moves b to b + ν·a, and aᵀw(ν) rises with ν, piecewise linearly: its root is
    bracketed by doubling and found by regula falsi (Illinois), each step an exact projection.
    """
    a = np.divide(1.0, norms, out=np.zeros(len(norms)), where=norms > 0)
    if not a.any():
        raise OptionError("no weights can sum to one", expected="at least one concept that is not zero", got="zeros")

    def excess(nu: NDArray[np.float64], rows: NDArray[np.intp]) -> tuple[NDArray[np.float64], Floats]:
        W = solve_rows((B[rows] + nu[:, None] * a).astype(np.float64), G, tol)
        return np.asarray(W @ a - 1.0, np.float64), W

    everything = np.arange(len(B))
    low, high = np.full(len(B), -1.0), np.full(len(B), 1.0)
    low, f_low = _bracket(excess, low, everything, sign=-1)
    high, f_high = _bracket(excess, high, everything, sign=1)
    weights = np.zeros(B.shape)
    active = everything
    for _ in range(_ROUNDS):
        middle = (low * f_high - high * f_low) / (f_high - f_low)
        f, W = excess(middle, active)
        done = np.abs(f) <= 1e-9
        weights[active[done]] = W[done]
        keep = ~done
        active, middle, f = active[keep], middle[keep], f[keep]
        low, high, f_low, f_high = low[keep], high[keep], f_low[keep], f_high[keep]
        if not len(active):
            break
        above = f > 0
        f_low = np.where(above, f_low / 2, f)
        f_high = np.where(above, f, f_high / 2)
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    else:
        raise ArithmeticError(f"{len(active)} rows found no weights that sum to one")
    return (weights / (weights @ a)[:, None]).astype(B.dtype)


def _bracket(excess: Any, nu: NDArray[np.float64], rows: NDArray[np.intp], *, sign: int) -> Any:
    """Double ν away from zero until the excess has the sign asked for, row by row; returns (ν, excess)."""
    nu = nu.copy()
    f, _ = excess(nu, rows)
    while (wrong := sign * f <= 0).any():
        nu[wrong] *= 2
        f[wrong] = excess(nu[wrong], rows[wrong])[0]
    return nu, f
