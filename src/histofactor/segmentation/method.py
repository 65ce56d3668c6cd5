"""The methods of the paper (arXiv 2409.05697), from blended responses to weights.

project    fixed concepts of unit norm, exact projection
raw        fixed concepts of their own norms, exact projection, as the paper's package does it
factorize  factorization of the image, every component assigned to its nearest concept by cosine
cluster    nearest concept of every token, no factorization; for concepts that are unions, the nearest of their leaves
single     factorization of the image alone, no bank
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.concepts.bank.record import new_bank
from histofactor.errors import EncoderError, OptionError
from histofactor.factor.nmf import factorize
from histofactor.factor.nnls import gram, relative_residual, solve_gram, unit_concepts
from histofactor.records import ConceptBank, EncoderKey

Float = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tissue tokens of one input.

    Attributes:
        B: (n, r) responses to the directions of the method; the features themselves where it has none.
        sq_norms: (n,) mean squared norms of the features.
        encoder: which features they are.
        mpp: µm per working px, or None.
    """

    B: Float
    sq_norms: Float
    encoder: EncoderKey
    mpp: float | None


@dataclass(frozen=True, slots=True)
class Factorization:
    """How an image's own components are found: ``components`` of them, from ``seed``."""

    components: int = 20
    seed: int = 0


Solved = tuple[Float, Float, ConceptBank]  # weights (n, K or leaves) ≥ 0, residual (n,), the concepts they belong to


def directions(method: str, bank: ConceptBank | None) -> NDArray[np.floating[Any]] | None:
    """What the features are multiplied with before blending, (d, r); None keeps the features."""
    if method == "project" and bank is not None:
        return unit_concepts(bank.vectors)[0].T
    if method == "raw" and bank is not None:
        return bank.vectors.T
    if method == "cluster" and bank is not None:
        return _centroids(bank).T
    return None


def owners(method: str, bank: ConceptBank | None) -> tuple[int, ...] | None:
    """The concept that each column of weights belongs to, where ``cluster`` weighs the leaves of unions; else None.

    The cell of a union is the union of cells, which is not the cell of its mean. The other methods take the mean of a
    union for a concept like any other, as the paper does.
    """
    return bank.leaves.owners if method == "cluster" and bank is not None and bank.leaves is not None else None


def by_owner(W: Float, owned: tuple[int, ...] | None) -> Float:
    """Weights (…, M) of leaves to weights (…, K) of the concepts that own them: that of the nearest leaf."""
    if owned is None:
        return W
    leaves = np.array(owned)
    return np.stack([W[..., leaves == concept].max(-1) for concept in range(int(leaves.max()) + 1)], -1)


def _centroids(bank: ConceptBank) -> Float:
    return bank.vectors if bank.leaves is None else bank.leaves.vectors


def weigh(method: str, tokens: Tokens, bank: ConceptBank | None, how: Factorization) -> Solved:
    """Weights of the concepts for every token.

    Args:
        method: one of ``METHODS``.
        tokens: the tokens, whose responses belong to ``directions(method, bank)``.
        bank: the concepts; ``single`` needs none.
        how: for ``factorize`` and ``single``.

    Raises:
        EncoderError: the features are not finite.
        OptionError: the method is unknown or lacks its bank, or the image has too few tokens.
    """
    if method not in METHODS:
        raise OptionError(f"unknown method {method!r}", expected=f"one of {', '.join(METHODS)}")
    if bank is None and method != "single":
        raise OptionError(f"method {method!r} needs concepts", mend="give a bank, or use method 'single'")
    if not np.isfinite(tokens.B).all():
        raise EncoderError(
            "the features are not finite",
            expected="finite values",
            got="NaN or infinity",
            mend="check the weights file of the encoder",
        )
    return METHODS[method](tokens, bank, how)


def _project(tokens: Tokens, bank: ConceptBank, how: Factorization) -> Solved:
    """Exact projection on unit-norm concepts, so that the weights of two concepts compare."""
    return _solve(tokens, unit_concepts(bank.vectors)[0], bank)


def _raw(tokens: Tokens, bank: ConceptBank, how: Factorization) -> Solved:
    """Exact projection on the concepts as they are: the longer a concept, the smaller its weights."""
    return _solve(tokens, bank.vectors, bank)


def _solve(tokens: Tokens, H: Float, bank: ConceptBank) -> Solved:
    G = gram(H)
    W = solve_gram(tokens.B, G)
    return W.astype(np.float32), relative_residual(tokens.sq_norms, W, tokens.B, G), bank


def _cluster(tokens: Tokens, bank: ConceptBank, how: Factorization) -> Solved:
    """Nearest concept: argmin ‖x − h‖² is argmax x·h − ½‖h‖², which is linear in x and so can be blended.

    A constant per token moves the scores to ≥ 0; bilinear upsampling keeps it the same for all concepts of a px, so
    every px gets the concept nearest to its upsampled feature.
    """
    scores = tokens.B - 0.5 * (_centroids(bank).astype(np.float64) ** 2).sum(1)
    distance = np.maximum(tokens.sq_norms - 2.0 * scores.max(1), 0)
    relative = np.divide(distance, tokens.sq_norms, out=np.zeros_like(distance), where=tokens.sq_norms > 0)
    W = scores - scores.min(1, keepdims=True)
    return W.astype(np.float32), np.sqrt(np.minimum(relative, 1)).astype(np.float32), bank


def _factorize(tokens: Tokens, bank: ConceptBank, how: Factorization) -> Solved:
    """The image's own components, each handed to the concept with the most similar direction."""
    W, residual, own = _single(tokens, bank, replace(how, components=min(how.components, *tokens.B.shape)))
    nearest = (own.vectors @ unit_concepts(bank.vectors)[0].T).argmax(1)
    assigned = np.zeros((len(W), len(bank.vectors)), np.float32)
    for component, concept in enumerate(nearest):
        assigned[:, concept] += W[:, component]
    return assigned, residual, bank


def _single(tokens: Tokens, bank: ConceptBank | None, how: Factorization) -> Solved:
    """Factorization of the image alone; its components become a bank of their own."""
    X = tokens.B
    W, H = factorize(X, how.components, seed=how.seed)
    kept = H.any(axis=1)  # a component that died out explains nothing
    W, H = W[:, kept], H[kept]
    residual = relative_residual((X.astype(np.float64) ** 2).sum(1), W, X @ H.T, gram(H))
    provenance = {"method": "single", "components": how.components, "seed": how.seed}
    return W, residual, new_bank(H, tokens.encoder, mpp=tokens.mpp, provenance=provenance)


STREAMED = frozenset(
    {"project", "raw", "cluster"}
)  # each token is weighed on its own, so an input can be worked in bands
METHODS: dict[str, Callable[[Tokens, Any, Factorization], Solved]] = {
    "project": _project,
    "raw": _raw,
    "factorize": _factorize,
    "cluster": _cluster,
    "single": _single,
}
