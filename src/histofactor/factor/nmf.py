"""Factorization of one image or several: X ≈ W·H with W, H ≥ 0.

On an encoder's features this is deep feature factorization (Collins et al., ECCV 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from histofactor.base.workers import map_blocks
from histofactor.errors import OptionError
from histofactor.factor.descent import descend, plain
from histofactor.factor.start import leading_subspace, singular_start
from histofactor.records import Float

_SKETCH_ROWS, _SKETCH_ROWS_PER_COMPONENT, _STRIDE = 1024, 32, 8  # a sketch has one in eight rows, or more
_WIDE, _RANK = 10, 4  # features of at least 10k rows and columns are sketched by 4k directions
_OVERSAMPLING = 4  # directions of a start beside those of the components, where there is no such sketch

Floats = NDArray[np.floating[Any]]


@overload
def factorize(X: Floats, k: int, *, seed: int = 0, tol: float = 6e-4, max_iter: int = 500) -> tuple[Float, Float]: ...
@overload
def factorize(
    X: Sequence[Floats], k: int, *, seed: int = 0, tol: float = 6e-4, max_iter: int = 500
) -> tuple[list[Float], Float]: ...


def factorize(
    X: Floats | Sequence[Floats], k: int, *, seed: int = 0, tol: float = 6e-4, max_iter: int = 500
) -> tuple[Float | list[Float], Float]:
    """Minimise ½‖X − W·H‖² over W ≥ 0 and H ≥ 0, for one image or for several that share H.

    Alternates hierarchical least squares on W and H, both on Gram products, from a non-negative singular value
    start (Boutsidis and Gallopoulos, Pattern Recognition 41, 2008); H is extrapolated and restarts when the objective
    rises (Ang and Gillis, Neural Computation 31, 2019). Most steps are made on a sketch, every so-manieth row of many
    and the leading singular components of wide features, and the last few on the features themselves. Deterministic
    for a seed, on any number of cores.

    Args:
        X: (N, C) features ≥ 0; or a sequence of images (N_i, C), factorized together (co-segmentation).
        k: number of components, 1 ≤ k ≤ min(N, C), where N counts the rows of all images.
        seed: seed of the start.
        tol: stop when a step lowers the objective by no more than this share of what as many free numbers would
            explain of mere noise, which is k·(N + C) / (N·C) of the objective.
        max_iter: largest number of alternations.

    Returns:
        (W (N, k), H (k, C)), float32, the rows of H of unit length. For a sequence, W is a list of (N_i, k).

    Raises:
        OptionError: k does not fit X, images differ in C, X is negative or not finite, or the seed is negative.
    """
    if seed < 0:
        raise OptionError("the seed is out of range", expected="0 or more", got=str(seed))
    images = [X] if isinstance(X, np.ndarray) else list(X)
    _check(images, k)
    A = np.ascontiguousarray(images[0] if len(images) == 1 else np.concatenate(images), np.float32)
    # One slice: what happens between the blocks runs on single-threaded BLAS too, the same on any number of cores.
    ((W, H),) = map_blocks(lambda _: _fit(A, k, seed, tol, max_iter), 1, 1)
    if isinstance(X, np.ndarray):
        return W, H
    return np.split(W, np.cumsum([len(image) for image in images])[:-1]), H


def _fit(A: Float, k: int, seed: int, tol: float, max_iter: int) -> tuple[Float, Float]:
    """Start and descend on a sketch of the features, then descend on the features themselves; see ``factorize``."""
    tol *= k * (1 / len(A) + 1 / A.shape[1])  # of the objective
    stride = min(max(1, len(A) // max(_SKETCH_ROWS, _SKETCH_ROWS_PER_COMPONENT * k)), _STRIDE)
    sketch = np.ascontiguousarray(A[::stride])
    wide = _WIDE * k <= min(sketch.shape)
    V, Z = leading_subspace(sketch, _RANK * k if wide else min(k + _OVERSAMPLING, *sketch.shape))
    W, Ht = singular_start(Z, V, k, float(sketch.mean()), seed)
    features, steps = plain(A), 0
    if wide or stride > 1:
        outline = features if stride == 1 else plain(sketch)
        steps = descend(outline._replace(Z=Z, V=V) if wide else outline, W, Ht, tol, max_iter // 2)
    W = np.repeat(W, stride, axis=0)[: len(A)]  # a row outside the sketch starts as the one before it in the sketch
    descend(features, W, Ht, tol, max_iter - steps)
    norms = np.linalg.norm(Ht, axis=0)
    return W * norms, np.ascontiguousarray((Ht / np.where(norms > 0, norms, 1)).T)


def _check(images: list[Floats], k: int) -> None:
    """Raise OptionError unless the images are valid feature matrices with room for k components."""
    shapes = [image.shape for image in images]
    if not images or any(len(shape) != 2 or shape[1] != shapes[0][1] for shape in shapes):
        raise OptionError("cannot factorize", expected="features X (N, C), all of the same C", got=f"X {shapes}")
    size = sum(shape[0] for shape in shapes), shapes[0][1]
    if not 1 <= k <= min(size):
        raise OptionError(
            "cannot factorize",
            expected="X (N, C) with 1 ≤ k ≤ min(N, C)",
            got=f"X {size}, k = {k}",
            mend="ask for fewer components, or give a larger image",
        )
    if not all(image.min(initial=0) >= 0 and image.max(initial=0) < np.inf for image in images):
        raise OptionError("cannot factorize", expected="finite features ≥ 0", got="negative, NaN or infinite features")
