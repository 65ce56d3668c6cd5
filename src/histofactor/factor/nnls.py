"""Projection on fixed concepts: W = argmin_{W ≥ 0} ½‖X − W·H‖², from B = X·Hᵀ and G = H·Hᵀ alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from histofactor.base.workers import map_blocks
from histofactor.factor.active_set import solve_rows
from histofactor.factor.constrained import Wish, check_wish, solve_wish
from histofactor.factor.problem import check_fit, gram, to_numpy, unit_concepts

if TYPE_CHECKING:
    import torch

    Array = TypeVar("Array", NDArray[np.floating[Any]], torch.Tensor)
Floats = NDArray[np.floating[Any]]

# Every matrix product sees blocks of this many rows, the last one padded with zeros: the BLAS library then takes the
# same path for every row, and a row's bits do not depend on the batch around it.
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class Certificate:
    """How good weights are, row by row.

    Attributes:
        kkt: (N,) ``kkt_violation``.
        residual: (N,) ``relative_residual``.
    """

    kkt: NDArray[np.float64]
    residual: NDArray[np.float32]


def project(X: Array, H: Array, *, tol: float = 1e-6, wish: Wish | None = None) -> Array:
    """Weights of fixed concepts: the exact minimiser W ≥ 0 of ½‖X − W·H‖².

    The problem is solved on concepts scaled to unit length, which changes neither the minimiser nor, up to rounding,
    its bits, but makes the tolerance mean the same for every concept (arXiv 2409.05697, variant "fixed concepts").

    Args:
        X: (N, C) features; NumPy array or torch tensor, any float dtype.
        H: (K, C) concepts ≥ 0, of the same kind as X.
        tol: KKT tolerance relative to the largest response of the row.
        wish: sparser weights, or weights that sum to one; see ``factor.constrained``.

    Returns:
        W (N, K) ≥ 0; NumPy in, NumPy out; torch in, torch out on the device of X. float64 for float64 features,
        else float32. A row does not depend on the rows around it. Inputs are not changed.

    Raises:
        OptionError: shapes do not fit, concepts are negative or not finite, or the wish cannot be granted.
        ArithmeticError: features are not finite.
    """
    wish = wish or Wish()
    check_wish(wish)
    if not isinstance(X, np.ndarray):
        return _project_tensor(X, H, tol, wish)
    dtype: type[np.floating[Any]] = np.float64 if X.dtype == np.float64 else np.float32
    check_fit(X, H)
    U, norms = unit_concepts(H.astype(dtype))
    G = gram(U)
    scale = np.where(norms > 0, norms, 1)
    W = np.empty((len(X), len(U)), dtype)
    directions = U.astype(np.float64).T  # in float32 some libraries round a row by its place in the block

    def solve_block(rows: slice) -> None:
        B = (_block(X[rows]) @ directions)[: rows.stop - rows.start].astype(dtype)
        W[rows] = solve_wish(B, G, norms, tol, wish) / scale

    map_blocks(solve_block, len(X), _BLOCK)
    return cast("Array", W)


def solve_gram(B: Floats, G: Floats, *, tol: float = 1e-6) -> Floats:
    """Minimise ½ wᵀGw − bᵀw over w ≥ 0 for every row b of B, exactly.

    Args:
        B: (N, K) responses x·hₖ, float32 or float64.
        G: (K, K) Gram matrix of the concepts.
        tol: largest remaining descent of a zero weight, relative to the row's largest |b|.

    Returns:
        W (N, K) ≥ 0 of the dtype of B.

    Raises:
        ArithmeticError: the responses are not finite, or a row did not converge.
    """
    W = np.empty(B.shape, B.dtype)
    G64 = np.ascontiguousarray(G, np.float64)

    def solve_block(rows: slice) -> None:
        W[rows] = solve_rows(B[rows], G64, tol)

    map_blocks(solve_block, len(B), _BLOCK)
    return W


def certify(X: Floats, H: Floats, W: Floats) -> Certificate:
    """Measure weights against the problem they should solve, in float64 and independently of any solver.

    Args:
        X: (N, C) features.
        H: (K, C) concepts ≥ 0.
        W: (N, K) weights, for example from ``project``.

    Raises:
        OptionError: shapes do not fit, or concepts are negative or not finite.
    """
    check_fit(X, H)
    U, norms = unit_concepts(H.astype(np.float64))
    G = gram(U)
    kkt, residual = np.empty(len(X)), np.empty(len(X), np.float32)

    def measure(rows: slice) -> None:
        x = X[rows].astype(np.float64)
        B, w = x @ U.T, W[rows] * norms
        kkt[rows] = kkt_violation(w, B, G)
        residual[rows] = relative_residual((x * x).sum(1), w, B, G)

    map_blocks(measure, len(X), _BLOCK)
    return Certificate(kkt, residual)


def kkt_violation(W: Floats, B: Floats, G: Floats) -> NDArray[np.float64]:
    """How far each row is from optimal: the certificate of exactness.

    With the negative gradient g = b − G·w, the conditions of Karush, Kuhn and Tucker are g = 0 where w > 0 and g ≤ 0
    where w = 0.

    Args:
        W: (N, K) weights.
        B: (N, K) responses.
        G: (K, K) Gram matrix.

    Returns:
        (N,) largest violation of each row, relative to its largest |b| (0 where b is 0).
    """
    g = B.astype(np.float64) - W.astype(np.float64) @ G
    worst = np.where(W > 0, np.abs(g), np.maximum(g, 0)).max(axis=1)
    scale = np.abs(B).max(axis=1).astype(np.float64)
    relative: NDArray[np.float64] = np.divide(worst, scale, out=np.zeros_like(worst), where=scale > 0)
    return relative


def relative_residual(sq_norms: Floats, W: Floats, B: Floats, G: Floats) -> NDArray[np.float32]:
    """Share of each feature that its concepts leave unexplained, ‖x − wH‖ / ‖x‖, without the features.

    Args:
        sq_norms: (N,) squared norms ‖x‖².
        W: (N, K) weights.
        B: (N, K) responses.
        G: (K, K) Gram matrix.

    Returns:
        (N,) values in [0, 1]; 0 where x is 0.
    """
    W64 = W.astype(np.float64)
    explained = np.einsum("nk,nk->n", W64, 2.0 * B - W64 @ G)
    total = np.asarray(sq_norms, np.float64)
    ratio = np.divide(total - explained, total, out=np.zeros_like(total), where=total > 0)
    residual: NDArray[np.float32] = np.sqrt(np.clip(ratio, 0.0, 1.0)).astype(np.float32)
    return residual


def _block(rows: Floats) -> NDArray[np.float64]:
    """The rows in float64, padded with zero rows to a full block."""
    if len(rows) == _BLOCK:
        return np.ascontiguousarray(rows, np.float64)
    full = np.zeros((_BLOCK, rows.shape[1]))
    full[: len(rows)] = rows
    return full


def _project_tensor(X: torch.Tensor, H: torch.Tensor, tol: float, wish: Wish) -> torch.Tensor:
    """Project where the tensor lies if that is a CUDA device, else in host memory."""
    import torch

    if X.device.type == "cuda" and wish == Wish():
        from histofactor.factor.torch_nnls import project_torch

        return project_torch(X, H, tol=tol)
    return torch.from_numpy(project(to_numpy(X), to_numpy(H), tol=tol, wish=wish)).to(X.device)
