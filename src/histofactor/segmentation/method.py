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

from histofactor.concepts.bank.nesting import parts_of
from histofactor.concepts.bank.record import new_bank
from histofactor.errors import EncoderError, OptionError
from histofactor.factor.nmf import factorize
from histofactor.factor.nnls import relative_residual, solve_gram
from histofactor.factor.problem import gram, unit_concepts
from histofactor.records import ConceptBank, EncoderKey, Float


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
Directions = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Method:
    """One way from blended responses to weights.

    Attributes:
        name: as on the command line.
        needs_bank: whether concepts are given to it; else it finds its own.
        streamed: whether each token is weighed on its own, so that an input can be worked in bands; else it needs all
            tokens of an input at once.
        directions: from a bank to what features are multiplied with before blending, (d, r); None keeps the features.
        weigh: from tokens, bank and ``Factorization`` to weights.
        owners: from a bank to the concept that each column of weights belongs to, where they are those of leaves of
            unions; else None.
        combine: weights (…, members) of the members of a group to that of the group (…).
    """

    name: str
    needs_bank: bool
    streamed: bool
    directions: Callable[[ConceptBank], Directions | None]
    weigh: Callable[[Tokens, Any, Factorization], Solved]
    owners: Callable[[ConceptBank], tuple[int, ...] | None]
    combine: Callable[[Float], Float]


def method_of(name: str) -> Method:
    """The method of a name.

    Raises:
        OptionError: there is none.
    """
    if name not in METHODS:
        raise OptionError(f"unknown method {name!r}", expected=f"one of {', '.join(METHODS)}")
    return METHODS[name]


def _centroids(bank: ConceptBank) -> Float:
    return bank.vectors if bank.leaves is None else bank.leaves.vectors


def weigh(method: Method, tokens: Tokens, bank: ConceptBank | None, how: Factorization) -> Solved:
    """Weights of the concepts for every token.

    Args:
        method: how.
        tokens: the tokens, whose responses belong to the directions of the method.
        bank: the concepts, where the method needs them.
        how: for methods that factorize the input.

    Raises:
        EncoderError: the features are not finite.
        OptionError: the method lacks its bank, or the image has too few tokens.
    """
    if bank is None and method.needs_bank:
        raise OptionError(f"method {method.name!r} needs concepts", mend="give a bank, or use method 'single'")
    if not np.isfinite(tokens.B).all():
        raise EncoderError(
            "the features are not finite",
            expected="finite values",
            got="NaN or infinity",
            mend="check the weights file of the encoder",
        )
    return method.weigh(tokens, bank, how)


def _project(tokens: Tokens, bank: ConceptBank, how: Factorization) -> Solved:
    """Exact projection on unit-norm concepts, so that the weights of two concepts compare."""
    return _solve(tokens, unit_concepts(parts_of(bank).vectors)[0], bank)


def _raw(tokens: Tokens, bank: ConceptBank, how: Factorization) -> Solved:
    """Exact projection on the concepts as they are: the longer a concept, the smaller its weights."""
    return _solve(tokens, parts_of(bank).vectors, bank)


def _solve(tokens: Tokens, H: Float, bank: ConceptBank) -> Solved:
    G = gram(H)
    W = solve_gram(tokens.B, G)
    return _added(W, bank).astype(np.float32), relative_residual(tokens.sq_norms, W, tokens.B, G), bank


def _added(W: NDArray[np.floating[Any]], bank: ConceptBank) -> NDArray[np.floating[Any]]:
    """Weights (n, parts) to those of concepts (n, K): those of the parts of a mixture add up."""
    if bank.parts is None:
        return W
    owners = np.array(bank.parts.owners)
    return np.stack([total(W[:, owners == concept]) for concept in range(len(bank.vectors))], axis=1)


def _cluster(tokens: Tokens, bank: ConceptBank, how: Factorization) -> Solved:
    """Nearest concept: argmin ‖x − h‖² is argmax x·h − ½‖h‖², which is linear in x and so can be blended.

    A constant per token moves the scores to ≥ 0; bilinear upsampling keeps it the same for all concepts of a px, so
    every px gets the concept nearest to its upsampled feature. Where all concepts are equally near, as the only
    one of a bank is, all have the weight 1: a token without weights would belong to none.
    """
    scores = tokens.B - 0.5 * (_centroids(bank).astype(np.float64) ** 2).sum(1)
    distance = np.maximum(tokens.sq_norms - 2.0 * scores.max(1), 0)
    relative = np.divide(distance, tokens.sq_norms, out=np.zeros_like(distance), where=tokens.sq_norms > 0)
    W = (scores - scores.min(1, keepdims=True)).astype(np.float32)
    W[~W.any(1)] = 1
    return W, np.sqrt(np.minimum(relative, 1)).astype(np.float32), bank


def _factorize(tokens: Tokens, bank: ConceptBank, how: Factorization) -> Solved:
    """The image's own components, each handed to the concept with the most similar direction."""
    W, residual, own = _single(tokens, bank, replace(how, components=min(how.components, *tokens.B.shape)))
    parts = parts_of(bank)
    nearest = np.array(parts.owners)[(own.vectors @ unit_concepts(parts.vectors)[0].T).argmax(1)]
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


def _unit_directions(bank: ConceptBank) -> Directions:
    return unit_concepts(parts_of(bank).vectors)[0].T


def _own_directions(bank: ConceptBank) -> Directions:
    return parts_of(bank).vectors.T


def _centroid_directions(bank: ConceptBank) -> Directions:
    return _centroids(bank).T


def _no_directions(bank: ConceptBank) -> None:
    return None


def _no_owners(bank: ConceptBank) -> None:
    """The mean of a union is a concept like any other, as in the paper."""
    return


def _owners_of_leaves(bank: ConceptBank) -> tuple[int, ...] | None:
    """The cell of a union is the union of cells, which is not the cell of its mean."""
    return None if bank.leaves is None else bank.leaves.owners


def total(weights: Float) -> Float:
    """Weights of a non-negative mixture add up."""
    summed: Float = weights.sum(-1)
    return summed


def nearest(weights: Float) -> Float:
    """Where weights tell how near concepts are, the nearest member stands for its group."""
    largest: Float = weights.max(-1)
    return largest


METHODS = {
    method.name: method
    for method in (
        Method("project", True, True, _unit_directions, _project, _no_owners, total),
        Method("raw", True, True, _own_directions, _raw, _no_owners, total),
        Method("factorize", True, False, _no_directions, _factorize, _no_owners, total),
        Method("cluster", True, True, _centroid_directions, _cluster, _owners_of_leaves, nearest),
        Method("single", False, False, _no_directions, _single, _no_owners, total),
    )
}
