"""Projection without leaving the device: the active set of ``active_set``, all rows of a block in step.

Lawson and Hanson's walk (Solving Least Squares Problems, 1974, ch. 23) on Gram products, as batched torch operations.
A row keeps a handful of slots for its free concepts: their indices, their weights, and the inverse M of their Gram
block, which a concept that joins borders and a concept that leaves sweeps out. From w the minimiser on the free set is
w + M·g, with the gradient g = b − G·w computed afresh in every step, so the rounding of M is corrected, not gathered.

Every sum runs in an order that only the row itself sets, and a row that is done stops changing: its weights do not
depend on the rows around it. Arithmetic is float64 whatever the dtype of the responses: single precision cannot reach
1e-5 on published concepts (condition numbers to 1e7). The work is bound by memory, not by arithmetic, so cards with
slow float64 lose little. A device without float64 cannot run it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import embedding_bag, pad

from histofactor.factor.problem import check_fit, gram, to_numpy, unit_concepts

_DEPENDENT = 1e-12  # squared distance to the span of the free concepts that counts as inside, as in ``active_set``
_SETTLED = 1e-12  # gradient of free concepts, relative to the row's largest |b|, at which w is the minimiser on them
_NUMBERS = 1 << 24  # responses in step; with all that goes with them some 2 GB
_CHECK = 4  # steps between looks at which rows are done
_PRODUCT_ROWS = {"cpu": 256, "cuda": 1 << 14}  # all products see as many rows, so that all rows are rounded alike


@torch.no_grad()
def project_torch(
    X: torch.Tensor, H: torch.Tensor, *, tol: float = 1e-6, solve: Callable[..., torch.Tensor] | None = None
) -> torch.Tensor:
    """Weights of fixed concepts, as ``nnls.project``, on the device of the features, which never leave it.

    Half precisions are for features only: they widen to float32, block by block, and meet concepts of float32, so the
    Gram matrix is that of the very concepts in the product. TF32 is not used, whatever torch is set to.

    Args:
        X: (N, C) features of any float dtype, on the CPU or on a device with float64.
        H: (K, C) concepts ≥ 0, on any device.
        tol: KKT tolerance relative to the largest response of the row.
        solve: ``solve_gram_torch`` (the default) or ``triton_nnls.solve_gram_triton``.

    Returns:
        W (N, K) ≥ 0 on the device of X; float64 for float64 features, else float32. Inputs are not changed.

    Raises:
        OptionError: shapes do not fit, or concepts are negative or not finite.
        ArithmeticError: features are not finite, or a row did not converge.
    """
    solve = solve or solve_gram_torch
    dtype = torch.float64 if X.dtype == torch.float64 else torch.float32
    concepts = to_numpy(H.to(dtype))
    stand_in: NDArray[np.floating[Any]] = np.broadcast_to(np.zeros((), np.float32), tuple(X.shape))
    check_fit(stand_in, concepts)
    unit, norms = unit_concepts(concepts)
    U, G = torch.from_numpy(unit).to(X.device), torch.from_numpy(gram(unit)).to(X.device)
    scale = torch.from_numpy(np.where(norms > 0, norms, 1)).to(X.device)
    W = torch.empty(len(X), len(U), dtype=dtype, device=X.device)
    with _without_tf32():
        for rows in _blocks(len(X), len(U)):
            W[rows] = solve(_responses(X[rows], U), G, tol=tol) / scale
    return W


@torch.no_grad()
def solve_gram_torch(B: torch.Tensor, G: torch.Tensor, *, tol: float = 1e-6) -> torch.Tensor:
    """Minimise ½ wᵀGw − bᵀw over w ≥ 0 for every row b of B, exactly, where B lies.

    Args:
        B: (N, K) responses x·hₖ, float32 or float64.
        G: (K, K) Gram matrix of the concepts, float64, on the device of B.
        tol: largest remaining descent of a zero weight, relative to the row's largest |b|.

    Returns:
        W (N, K) ≥ 0 of the dtype and on the device of B. A row does not depend on the rows around it.

    Raises:
        ArithmeticError: the responses are not finite, or a row did not converge.
    """
    if not torch.isfinite(B).all():
        raise ArithmeticError("the responses are not finite: the features hold NaN, infinity or values that overflow")
    W = torch.zeros_like(B)
    G = G.to(torch.float64).contiguous()
    for rows in _blocks(*B.shape):
        _solve_block(B[rows], G, tol, W[rows])
    return W


def _blocks(n: int, K: int) -> Iterator[slice]:
    """Slices of n rows of K responses, so many at a time that memory is bounded."""
    size = _NUMBERS // max(K, 64)
    return (slice(start, start + size) for start in range(0, n, size))


@dataclass(slots=True)
class _Rows:
    """The rows under way, m of them, with P slots each for free concepts."""

    place: torch.Tensor  # (m,) row of the block
    b: torch.Tensor  # (m, K)
    scale: torch.Tensor  # (m,) largest |b|
    barred: torch.Tensor  # (m, K) joined in vain since the last progress
    used: torch.Tensor  # (m, P) slots in use; the others hold index 0, weight 0, and zeros in M
    index: torch.Tensor  # (m, P) concept in the slot
    w: torch.Tensor  # (m, P)
    M: torch.Tensor  # (m, P, P)
    done: torch.Tensor  # (m,)

    def keep(self, rows: torch.Tensor) -> _Rows:
        return _Rows(*(getattr(self, field.name)[rows] for field in fields(self)))

    def widen(self, slots: int) -> None:
        more = slots - self.w.shape[1]
        self.used, self.index, self.w = (pad(part, (0, more)) for part in (self.used, self.index, self.w))
        self.M = pad(self.M, (0, more, 0, more))


def _solve_block(B: torch.Tensor, G: torch.Tensor, tol: float, W: torch.Tensor) -> None:
    """Fill W (n, K), which holds zeros, from the responses B (n, K)."""
    rows = _start(B)
    for _ in range(0, 30 * len(G) + 30, _CHECK):
        _make_room(rows)
        for _ in range(_CHECK):
            _step(rows, G, tol)
        done = rows.done.nonzero()[:, 0]
        places = rows.place[done]
        W[places] = W[places].scatter_add(1, rows.index[done], rows.w[done].to(W.dtype))
        if len(done):
            rows = rows.keep((~rows.done).nonzero()[:, 0])
        if not len(rows.place):
            return
    raise ArithmeticError(f"{len(rows.place)} of {len(B)} rows did not converge; is the Gram matrix symmetric?")


def _start(B: torch.Tensor) -> _Rows:
    b = B.to(torch.float64)
    n, on = len(b), b.device
    return _Rows(
        place=torch.arange(n, device=on),
        b=b,
        scale=b.abs().amax(1),
        barred=torch.zeros(b.shape, dtype=torch.bool, device=on),
        used=torch.zeros(n, 0, dtype=torch.bool, device=on),
        index=torch.zeros(n, 0, dtype=torch.long, device=on),
        w=b.new_zeros(n, 0),
        M=b.new_zeros(n, 0, 0),
        done=torch.zeros(n, dtype=torch.bool, device=on),
    )


def _make_room(rows: _Rows) -> None:
    """Let every row have free slots for the concepts that may join until the next look."""
    needed = int(rows.used.sum(1).max()) + _CHECK
    if needed > rows.w.shape[1]:
        rows.widen(-8 * (-needed // 8))


def _step(rows: _Rows, G: torch.Tensor, tol: float) -> None:
    """One step of every row that is not done: a concept may join, then w moves, and a concept may leave."""
    g = rows.b - embedding_bag(rows.index, G, per_sample_weights=rows.w, mode="sum")
    closed = rows.barred.to(torch.uint8).scatter_add(1, rows.index, rows.used.to(torch.uint8)) > 0
    slope, steepest = g.masked_fill(closed, -torch.inf).max(1)
    settled = _on_slots(rows, g).abs().amax(1) <= min(_SETTLED, tol) * rows.scale
    rows.done = rows.done | (settled & (slope <= tol * rows.scale))
    joined = _join(rows, G, steepest, settled & ~rows.done)
    leaving = _advance(rows, _times(rows.M, _on_slots(rows, g)))
    failed = leaving & joined[:, None] & (rows.index == steepest[:, None])  # only rounding made it look like descent
    rows.barred = rows.barred.scatter_add(1, rows.index, failed)
    _leave(rows, leaving)


def _on_slots(rows: _Rows, values: torch.Tensor) -> torch.Tensor:
    """(m, P) of values (m, K); 0 in slots that are not in use."""
    return torch.where(rows.used, values.gather(1, rows.index), 0.0)


def _join(rows: _Rows, G: torch.Tensor, concept: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Free a concept (m,) where wanted (m,), and border M with it; returns the rows where it was possible."""
    c = torch.where(rows.used, G[rows.index, concept[:, None]], 0.0)
    u = _times(rows.M, c)
    sq_norms = G.diagonal()[concept]
    distance = sq_norms.clone()
    for part in (c * u).unbind(1):
        distance -= part
    joined = wanted & (distance > _DEPENDENT * sq_norms)  # else inside the span of the free concepts
    slot = (~rows.used).to(torch.uint8).argmax(1, keepdim=True)
    v = (-u).scatter(1, slot, 1.0)
    factor = torch.where(joined, 1.0 / distance, 0.0)
    rows.M += (factor[:, None] * v)[:, :, None] * v[:, None, :]
    rows.index = torch.where(joined[:, None], rows.index.scatter(1, slot, concept[:, None]), rows.index)
    rows.used = rows.used.scatter(1, slot, joined[:, None])
    rows.barred = (rows.barred & ~joined[:, None]).scatter(1, concept[:, None], (wanted & ~joined)[:, None])
    return joined


def _advance(rows: _Rows, d: torch.Tensor) -> torch.Tensor:
    """Go from w towards w + d until a weight reaches zero; returns (m, P) which slot that is."""
    z = rows.w + d
    ratio = torch.where(rows.used & (z <= 0), rows.w / (rows.w - z).clamp_min(1e-300), torch.inf)
    length, slot = ratio.min(1, keepdim=True)
    moved = (rows.w + length.clamp_max(1) * d).clamp_min(0)
    rows.w = torch.where(rows.done[:, None], rows.w, moved)
    leaves = (length <= 1) & ~rows.done[:, None]
    return torch.zeros_like(rows.used).scatter(1, slot, leaves)


def _leave(rows: _Rows, leaving: torch.Tensor) -> None:
    """Empty at most one slot per row, leaving (m, P), and sweep it out of M."""
    slot = leaving.to(torch.uint8).argmax(1)
    row = rows.M[torch.arange(len(slot), device=slot.device), slot]
    pivot = row.gather(1, slot[:, None])
    factor = torch.where(leaving.any(1, keepdim=True), 1.0 / pivot, 0.0)
    rows.M -= (factor * row)[:, :, None] * row[:, None, :]
    rows.M.masked_fill_(leaving[:, :, None] | leaving[:, None, :], 0.0)
    rows.w = rows.w.masked_fill(leaving, 0.0)
    rows.index = rows.index.masked_fill(leaving, 0)
    rows.used &= ~leaving


def _times(M: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """M·v for symmetric M (m, P, P) and v (m, P), slot after slot."""
    total = torch.zeros_like(v)
    for column, value in zip(M.unbind(1), v.unbind(1), strict=True):
        total += column * value[:, None]
    return total


def _responses(X: torch.Tensor, U: torch.Tensor) -> torch.Tensor:
    """B = X·Uᵀ in the dtype of the concepts U, in products of one size, filled up with zeros.

    Channels are filled up too: where rows do not begin on whole vectors of the processor, how one is rounded depends
    on its place in the block.
    """
    size = _PRODUCT_ROWS.get(X.device.type, 1 << 14)
    fill = -X.shape[1] % 16
    Ut = pad(U, (0, fill)).T
    B = torch.empty(len(X), len(U), dtype=U.dtype, device=X.device)
    for start in range(0, len(X), size):
        part = X[start : start + size].to(U.dtype)
        B[start : start + size] = (pad(part, (0, fill, 0, size - len(part))) @ Ut)[: len(part)]
    return B


@contextmanager
def _without_tf32() -> Iterator[None]:
    """Products of float32 in float32, whatever the process has set; torch 2.9 renamed the setting."""
    settings = torch.backends.cuda.matmul
    name, exact = ("fp32_precision", "ieee") if hasattr(settings, "fp32_precision") else ("allow_tf32", False)
    before = getattr(settings, name)
    if before in ("none", "ieee", False):
        yield
        return
    setattr(settings, name, exact)
    try:
        yield
    finally:
        setattr(settings, name, before)
