"""Factorization of a stream: components of more features than fit in memory, on one worker or on many.

For weights W that are not revised later, the objective ½‖X − W·H‖² is a quadratic in H with the coefficients WᵀW and
WᵀX, which add up over batches (Mairal et al., JMLR 11, 2010). They are all that is kept of the stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.base.workers import map_blocks
from histofactor.errors import OptionError
from histofactor.factor.nmf import factorize
from histofactor.factor.nnls import project, solve_gram
from histofactor.factor.problem import unit_concepts

_BLOCK = 1024  # rows widened to float64 at a time
_REVISIONS = 5  # alternations of W and H on a batch while it is at hand; later its weights stay

Floats = NDArray[np.floating[Any]]
Double = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """What a batch, or the sum of many, says about H; ``a + b`` stands for the rows of both.

    Attributes:
        WtW: (k, k) float64, WᵀW.
        WtX: (k, C) float64, WᵀX.
        sq_norm: ‖X‖².
        rows: number of rows.
    """

    WtW: Double
    WtX: Double
    sq_norm: float
    rows: int

    def __add__(self, other: Statistics) -> Statistics:
        """Sum over the rows of both; associative and commutative up to float64 rounding."""
        if self.WtX.shape != other.WtX.shape:
            raise OptionError(
                "cannot add statistics",
                expected="the same k and C in both",
                got=f"(k, C) = {self.WtX.shape} and {other.WtX.shape}",
                mend="start all workers from the same components",
            )
        return Statistics(
            self.WtW + other.WtW, self.WtX + other.WtX, self.sq_norm + other.sq_norm, self.rows + other.rows
        )


class OnlineNMF:
    """Non-negative components H of a stream of features, X ≈ W·H, in memory that does not grow with the stream.

    A stream on one worker calls ``partial_fit`` on batch after batch. Many workers work in rounds: all start from the
    same H, each sums ``measure`` over its share, and ``update`` takes the total; however the rows were shared out, the
    round ends at the same H up to rounding, and no round raises the objective::

        model = OnlineNMF(k).partial_fit(sample)
        for _ in range(rounds):
            total = reduce(add, map(model.measure, batches))  # on any number of workers
            model = OnlineNMF(k, components=model.components).update(total)

    Args:
        k: number of components.
        components: (k, C) start ≥ 0; without one, the first batch is factorized, so it needs k rows or more.
        seed: seed of that factorization.

    Raises:
        OptionError: k is not positive, or the components are not valid.
    """

    def __init__(self, k: int, *, components: Floats | None = None, seed: int = 0) -> None:
        if k < 1:
            raise OptionError("cannot factorize", expected="k ≥ 1 components", got=f"k = {k}")
        self.k, self.seed = k, seed
        self._H: Double | None = None
        self._statistics: Statistics | None = None
        if components is not None:
            _check("components", components, (k, None))
            self._H = components.astype(np.float64)

    @property
    def components(self) -> NDArray[np.float32]:
        """H (k, C) float32, rows of unit length (or zero).

        Raises:
            OptionError: nothing has been seen yet.
        """
        return unit_concepts(self._started())[0].astype(np.float32)

    @property
    def statistics(self) -> Statistics:
        """The sum over all that was seen since the start.

        Raises:
            OptionError: nothing has been seen yet.
        """
        if self._statistics is None:
            raise OptionError("the model has seen no features", mend="call partial_fit or update first")
        return self._statistics

    @property
    def bound(self) -> float:
        """Upper bound on the objective ½‖X − W·H‖² of all rows seen: exact if every W had been taken under this H.

        Raises:
            OptionError: nothing has been seen yet.
        """
        seen, H = self.statistics, self._started()
        return float(0.5 * seen.sq_norm - np.vdot(seen.WtX, H) + 0.5 * np.vdot(seen.WtW, H @ H.T))

    def partial_fit(self, X: Floats) -> OnlineNMF:
        """Take in a batch and improve the components.

        Args:
            X: (N, C) features ≥ 0.

        Returns:
            This model.

        Raises:
            OptionError: X is not valid, has another C than before, or is a first batch of fewer than k rows.
        """
        if self._H is None:
            self._H = factorize(X, self.k, seed=self.seed)[1].astype(np.float64)
        held = self._statistics
        for _ in range(_REVISIONS):
            batch = self.measure(X)
            self._statistics = held
            self.update(batch)
        return self

    def measure(self, X: Floats) -> Statistics:
        """Statistics of a batch under the present components, with exact weights; the model stays as it is.

        Args:
            X: (N, C) features ≥ 0.

        Returns:
            Statistics of the batch.

        Raises:
            OptionError: X is not valid or has another C, or the model has no components yet.
        """
        H = self._started()
        _check("features", X, (None, H.shape[1]))
        W = project(X, H)

        def measure_block(rows: slice) -> Statistics:
            W64, X64 = W[rows].astype(np.float64), X[rows].astype(np.float64)
            return Statistics(W64.T @ W64, W64.T @ X64, float(np.vdot(X64, X64)), len(X64))

        nothing = Statistics(np.zeros((self.k, self.k)), np.zeros(H.shape), 0.0, 0)
        return sum(map_blocks(measure_block, len(X), _BLOCK), nothing)

    def update(self, statistics: Statistics) -> OnlineNMF:
        """Add statistics to those held and move to the H ≥ 0 that fits the total best.

        The minimiser of a quadratic does not depend on the H before, nor on the order in which statistics were added.
        A component that no row uses has nothing to fit and stays.

        Args:
            statistics: sum over any number of batches.

        Returns:
            This model.

        Raises:
            OptionError: the statistics are of another (k, C), or the model has no components yet.
        """
        H = self._started()
        if statistics.WtX.shape != H.shape:
            raise OptionError(
                "the statistics do not fit the model",
                expected=f"(k, C) = {H.shape}",
                got=f"{statistics.WtX.shape}",
            )
        total = statistics if self._statistics is None else self._statistics + statistics
        used = np.diag(total.WtW) > 0
        fitted = solve_gram(np.ascontiguousarray(total.WtX.T), total.WtW).T
        self._H, self._statistics = np.where(used[:, None], fitted, H), total
        return self

    def merge(self, other: OnlineNMF) -> OnlineNMF:
        """The model of both streams: their statistics added, H the best fit to the sum.

        The weights in the statistics are never revised, so with different components in the two models the sum is
        still an upper bound on the objective of all rows, but a useful one only where component i means the same in
        both: give them the same start. Associative and commutative up to rounding (save for components that no row of
        either uses, which stay those of ``self``).

        Args:
            other: a model with the same k and C.

        Returns:
            A new model; both stay as they are.

        Raises:
            OptionError: k or C differ, or either has seen nothing.
        """
        merged = OnlineNMF(self.k, components=self._started(), seed=self.seed)
        return merged.update(self.statistics + other.statistics)

    def transform(self, X: Floats) -> Floats:
        """Exact weights W (N, k) ≥ 0 of features X (N, C) under ``components``; see ``nnls.project``.

        Raises:
            OptionError: X is not valid or has another C, or the model has no components yet.
        """
        H = self.components
        _check("features", X, (None, H.shape[1]))
        return project(X, H)

    def objective(self, X: Floats) -> float:
        """½‖X − W·H‖² of features X (N, C) at their exact weights.

        Raises:
            OptionError: X is not valid or has another C, or the model has no components yet.
        """
        there = OnlineNMF(self.k, components=self._started())
        there._statistics = self.measure(X)
        return there.bound

    def _started(self) -> Double:
        """H as fitted, its scale that of the statistics."""
        if self._H is None:
            raise OptionError("the model has no components yet", mend="call partial_fit, or give components")
        return self._H


def _check(what: str, values: Floats, shape: tuple[int | None, int | None]) -> None:
    """Raise OptionError unless values are a matrix of this shape (None: any), finite and ≥ 0."""
    rows, columns = shape
    if values.ndim != 2 or rows not in (None, values.shape[0]) or columns not in (None, values.shape[1]):
        raise OptionError(f"the {what} do not fit", expected=f"{rows or 'N'} × {columns or 'C'}", got=f"{values.shape}")
    if not np.isfinite(values).all() or (values < 0).any():
        raise OptionError(f"the {what} are not valid", expected="finite values ≥ 0", got="negative, NaN or infinite")
