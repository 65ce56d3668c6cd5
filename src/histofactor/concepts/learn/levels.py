"""Learn concepts from a sample of tokens: every K at once, nested by default."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.concepts.bank.coloring import colored
from histofactor.concepts.bank.hierarchy import nest
from histofactor.concepts.bank.record import new_bank, validate_bank
from histofactor.concepts.learn.kmeans import KMeansOptions, assign, kmeans, lloyd, unit_rows
from histofactor.errors import BankError, OptionError
from histofactor.factor.nnls import project
from histofactor.factor.online import OnlineNMF
from histofactor.records import ConceptBank, EncoderKey, Float, Leaves

ALGORITHMS = ("kmeans", "nmf")
MAX_K = 256  # for which there are colours
_FIRST = 4  # separate clusterings pass over this part of the sample first: a quarter
_NMF_BATCH = 16384  # rows that a factorization takes in at a time
_NMF_ROUNDS = 4  # rounds over the whole sample


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How concepts are learned from a sample.

    Attributes:
        algorithm: ``kmeans``, or ``nmf`` for the components of an ``OnlineNMF``, which are never nested.
        nested: every smaller K is made of unions of the clusters of the largest; else each K is a clustering of its
            own, as in arXiv 2409.05697.
        kmeans: seeds and passes; its seed is that of ``nmf`` too.
        signed: tokens may be negative, as centred ones are. Concepts are not: what is negative in a centroid becomes 0,
            and ``nmf`` takes tokens as if what is negative in them were 0.
    """

    algorithm: str = "kmeans"
    nested: bool = True
    kmeans: KMeansOptions = field(default_factory=KMeansOptions)
    signed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """Concepts of one K, the most frequent first.

    Attributes:
        vectors: (K, d) float32 ≥ 0.
        counts: (K,) tokens of every concept.
        labels: (N,) the concept of every token.
        inertia: Σ over tokens of the squared distance to their centroid; for ``nmf`` to their approximation.
        owners: (M,) for nested levels the concept that owns each concept of the largest K, else None.
    """

    vectors: Float
    counts: NDArray[np.int64]
    labels: NDArray[np.int32]
    inertia: float
    owners: NDArray[np.intp] | None = None


def train_levels(X: Float, ks: Sequence[int], options: TrainOptions | None = None) -> dict[int, Level]:
    """Learn concepts for every K in one go.

    The largest K is clustered. Nested levels are unions of its clusters by Ward's rule; separate clusterings start from
    those unions, which is near the end already, so all the smaller K together cost about as much as the largest alone.

    Args:
        X: (N, d) float32 ≥ 0 unless ``options.signed``, one row per token, in random order.
        ks: numbers of concepts.
        options: how.

    Returns:
        The levels by K, ascending.

    Raises:
        OptionError: ``ks`` is empty or holds something else than distinct integers from 1 to 256, or the algorithm is
            unknown.
        BankError: the features are not as stated, or have fewer distinct tokens than the largest K.
    """
    options = options or TrainOptions()
    _check(X, ks, options)
    ks = sorted(ks)
    if options.algorithm == "nmf":
        return {k: _factorize(np.maximum(X, 0) if options.signed else X, k, options.kmeans) for k in ks}
    if options.kmeans.spherical:
        X = unit_rows(X)
    (finest,) = _clusters(X, [kmeans(X, ks[-1], options.kmeans)])
    owners = nest(finest.vectors, finest.counts, ks)
    unions = {k: _union(finest, owners[k], X) for k in ks[:-1]}
    if unions and not options.nested:
        vectors = [union.vectors for union in unions.values()]
        for rows in (X[: len(X) // _FIRST + ks[-1]], X):
            vectors = [found for _, found in lloyd(rows, vectors, options.kmeans.passes, options.kmeans.spherical)]
        unions = dict(zip(unions, _clusters(X, vectors), strict=True))
    elif unions:
        finest = replace(finest, owners=np.arange(ks[-1]))
    return {**unions, ks[-1]: finest}


def label_tokens(X: Float, levels: Mapping[int, Level], options: TrainOptions) -> dict[int, NDArray[np.int32]]:
    """The concept of every token, by K, as it was learned: the nearest, or for ``nmf`` the one of largest weight.

    Args:
        X: (N, d) float32 ≥ 0.
        levels: from ``train_levels``.
        options: those they were learned with.

    Returns:
        (N,) labels by K.
    """
    if options.algorithm == "nmf":
        return {k: project(X, level.vectors).argmax(1).astype(np.int32) for k, level in levels.items()}
    if options.kmeans.spherical:
        X = unit_rows(X)
    finest = levels[max(levels)]
    if finest.owners is None:
        found = assign(X, *(level.vectors for level in levels.values()))
        return {k: one.labels for k, one in zip(levels, found, strict=True)}
    (leaves,) = assign(X, finest.vectors)
    return {k: level.owners.astype(np.int32)[leaves.labels] for k, level in levels.items() if level.owners is not None}


def banks_from_features(
    features: Float,
    ks: Sequence[int],
    encoder: EncoderKey,
    *,
    mpp: float | None = None,
    options: TrainOptions | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> list[ConceptBank]:
    """Learn a concept bank for every K from tokens in any order.

    Args:
        features: (N, d) float32, ≥ 0, one row per token.
        ks: numbers of concepts.
        encoder: which features these are.
        mpp: µm/px that they were taken at, or None if not known.
        options: how to learn.
        provenance: what the caller knows (images, licence, …), kept beside what is known here; JSON types only.

    Returns:
        One bank per K, ascending; concepts by falling number of tokens.

    Raises:
        OptionError, BankError: as ``train_levels``.
    """
    options = options or TrainOptions()
    order = np.random.default_rng(options.kmeans.seed).permutation(len(features))
    levels = train_levels(features[order], ks, options)
    return banks_from_levels(levels, encoder, mpp, {k: dict(provenance or {}) for k in levels})


def banks_from_levels(
    levels: Mapping[int, Level],
    encoder: EncoderKey,
    mpp: float | None,
    provenance: Mapping[int, Mapping[str, Any]],
    paint: Callable[[ConceptBank], ConceptBank] = colored,
) -> list[ConceptBank]:
    """Banks of learned levels, ascending, coloured; nested ones know their parents and their leaves.

    Args:
        levels: by K, ascending.
        encoder: which features they were learned on.
        mpp: µm/px of those features.
        provenance: what is known of every K.
        paint: gives a bank its colours; by default those by what is known of it.

    Raises:
        BankError: a concept is all zero.
    """
    banks, finest = [], levels[max(levels)]
    coarser: Level | None = None
    for k, level in levels.items():
        known = {"counts": level.counts.tolist(), "inertia": level.inertia, **provenance[k]}
        bank = paint(new_bank(level.vectors, encoder, mpp=mpp, provenance=known))
        if level.owners is not None and coarser is not None and coarser.owners is not None:
            first = np.unique(level.owners, return_index=True)[1]
            bank = replace(bank, parents=tuple(coarser.owners[first].tolist()))
        if level.owners is not None and level is not finest:
            bank = replace(bank, leaves=Leaves(finest.vectors, tuple(level.owners.tolist())))
        validate_bank(bank)
        banks.append(bank)
        coarser = level
    return banks


def _clusters(X: Float, centroids: Sequence[Float]) -> list[Level]:
    """One last assignment to centroids, of several clusterings."""
    levels = []
    for vectors, found in zip(centroids, assign(X, *centroids), strict=True):
        k = len(vectors)
        if not found.counts.all():
            raise _unfit(f"at least {k} distinct tokens", f"{len(X)} tokens, of which fewer than {k} distinct")
        order = np.argsort(-found.counts, kind="stable")
        rank = np.empty(k, np.int32)
        rank[order] = np.arange(k, dtype=np.int32)
        levels.append(Level(np.maximum(vectors[order], 0), found.counts[order], rank[found.labels], found.inertia))
    return levels


def _union(finest: Level, owners: NDArray[np.intp], X: Float) -> Level:
    """Unions of clusters: each one's mean, and what the inertia is then (that of the parts, and between them)."""
    k = int(owners.max()) + 1
    counts = np.bincount(owners, finest.counts, k)
    means = np.zeros((k, X.shape[1]))
    np.add.at(means, owners, finest.vectors * finest.counts[:, None].astype(np.float64))
    means /= counts[:, None]
    apart = ((finest.vectors - means[owners]) ** 2).sum(1)
    inertia = finest.inertia + float(apart @ finest.counts)
    labels = owners.astype(np.int32)[finest.labels]
    return Level(means.astype(np.float32), counts.astype(np.int64), labels, inertia, owners)


def _factorize(X: Float, k: int, how: KMeansOptions) -> Level:
    """Components of an online factorization that starts from centroids, the strongest in most tokens first."""
    model = OnlineNMF(k, components=kmeans(X, k, how))
    for _ in range(_NMF_ROUNDS):
        parts = [model.measure(X[start : start + _NMF_BATCH]) for start in range(0, len(X), _NMF_BATCH)]
        model = OnlineNMF(k, components=model.components).update(sum(parts[1:], parts[0]))
    labels = project(X, model.components).argmax(1)
    counts = np.bincount(labels, minlength=k)
    order = np.argsort(-counts, kind="stable")
    rank = np.empty(k, np.int32)
    rank[order] = np.arange(k, dtype=np.int32)
    return Level(model.components[order], counts[order], rank[labels], 2 * model.objective(X))


def check_algorithm(name: str) -> None:
    """Raise OptionError unless there is such a way to learn."""
    if name not in ALGORITHMS:
        raise OptionError(f"unknown algorithm {name!r}", expected=f"one of {', '.join(ALGORITHMS)}")


def check_ks(ks: Sequence[int]) -> None:
    """Raise OptionError unless these are numbers of concepts that banks may have."""
    if not ks or len(set(ks)) < len(ks) or not all(type(k) is int and 1 <= k <= MAX_K for k in ks):
        expected = f"distinct integers from 1 to {MAX_K}"
        raise OptionError("the numbers of concepts are not valid", expected=expected, got=f"{ks!r}")


def _check(X: Float, ks: Sequence[int], options: TrainOptions) -> None:
    check_ks(ks)
    check_algorithm(options.algorithm)
    if X.ndim != 2 or X.dtype != np.float32 or X.shape[1] == 0:
        raise _unfit("a float32 array (N, d)", f"{X.dtype} of shape {X.shape}")
    least = -np.finfo(np.float32).max if options.signed else 0
    if not (X.min(initial=0) >= least and X.max(initial=0) < np.inf):  # NaN fails both
        raise _unfit("finite features ≥ 0", "NaN, infinite or negative entries")
    if len(X) < max(ks):
        raise _unfit(f"at least {max(ks)} distinct tokens", f"{len(X)} tokens")


def _unfit(expected: str, got: str) -> BankError:
    mend = "give more or other images, or fewer concepts"
    return BankError("no concepts can be learned from these features", expected=expected, got=got, mend=mend)
