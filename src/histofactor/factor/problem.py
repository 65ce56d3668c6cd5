"""The problem of projection: features and concepts that fit, concepts of unit length, and their Gram matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from histofactor.errors import OptionError

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.floating[Any]]


def unit_concepts(H: Floats) -> tuple[Floats, Floats]:
    """Scale every concept to unit length; a zero concept stays zero.

    Args:
        H: (K, C) concepts.

    Returns:
        (U (K, C) with rows of norm 1 or 0, norms (K,)), of the dtype of H.
    """
    norms = np.linalg.norm(H.astype(np.float64), axis=1)
    scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    return (H * scale[:, None]).astype(H.dtype), norms.astype(H.dtype)


def gram(H: Floats) -> NDArray[np.float64]:
    """Gram matrix H·Hᵀ (K, K) in float64, of the concepts H (K, C) as rounded to their dtype."""
    exact = H.astype(np.float64)
    product: NDArray[np.float64] = exact @ exact.T
    return product


def check_fit(X: Floats, H: Floats) -> None:
    """Raise OptionError unless X (N, C) and H (K, C) fit and H is a valid set of concepts."""
    if X.ndim != 2 or H.ndim != 2 or X.shape[1] != H.shape[1] or len(H) == 0:
        raise OptionError(
            "features and concepts do not fit",
            expected="X (N, C) and H (K, C) with the same C and K ≥ 1",
            got=f"X {X.shape} and H {H.shape}",
        )
    if not np.isfinite(H).all() or (H < 0).any():
        raise OptionError(
            "concepts are not valid",
            expected="finite values ≥ 0",
            got="NaN, infinite or negative entries",
            mend="clip negative entries to 0, as the transform of the encoder does",
        )


def to_numpy(tensor: torch.Tensor) -> Floats:
    """A tensor's values in host memory; half precisions widen to float32, which is exact."""
    values = tensor.detach().cpu()
    if values.dtype.itemsize < 4:
        values = values.float()
    return cast("Floats", values.numpy())
