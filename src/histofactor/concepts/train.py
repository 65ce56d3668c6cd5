"""Learn concepts: k-means over the tokens of many images, for every K."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sklearn
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from histofactor.concepts.bank import new_bank
from histofactor.errors import BankError, OptionError
from histofactor.records import ConceptBank, EncoderKey, Float


@dataclass(frozen=True, slots=True)
class Clusters:
    """K-means of one K, the most frequent cluster first.

    Attributes:
        centroids: (K, d) float32.
        counts: tokens of every cluster.
        inertia: sum over tokens of the squared distance to their centroid.
    """

    centroids: Float
    counts: tuple[int, ...]
    inertia: float


def cluster(features: Float, ks: Sequence[int], *, seed: int = 0) -> dict[int, Clusters]:
    """Cluster tokens by k-means (Lloyd, from k-means++ seeds: Arthur & Vassilvitskii, SODA 2007).

    Args:
        features: (N, d) float32, ≥ 0, one row per token.
        ks: numbers of clusters.
        seed: seed of the k-means++ draw.

    Returns:
        The clusters by K, ascending.

    Raises:
        OptionError: ``ks`` is empty or holds something else than distinct integers ≥ 1.
        BankError: the features are not as stated, or have fewer distinct tokens than the largest K.
    """
    if not ks or len(set(ks)) < len(ks) or not all(type(k) is int and k >= 1 for k in ks):
        raise OptionError("the numbers of concepts are not valid", expected="distinct integers ≥ 1", got=f"{ks!r}")
    if features.ndim != 2 or features.dtype != np.float32 or features.shape[1] == 0:
        raise _unfit("a float32 array (N, d)", f"{features.dtype} of shape {features.shape}")
    if not np.isfinite(features).all() or features.min(initial=0) < 0:
        raise _unfit("finite features ≥ 0", "NaN, infinite or negative entries")
    return {k: _cluster(features, k, seed) for k in sorted(ks)}


def banks_from_features(
    features: Float,
    ks: Sequence[int],
    encoder: EncoderKey,
    *,
    mpp: float | None = None,
    seed: int = 0,
    provenance: Mapping[str, Any] | None = None,
) -> list[ConceptBank]:
    """Learn a concept bank for every K.

    Args:
        features: (N, d) float32, ≥ 0, one row per token.
        ks: numbers of concepts.
        encoder: which features these are.
        mpp: µm/px that they were taken at, or None if not known.
        seed: seed of the clustering.
        provenance: what the caller knows (images, licence, …), kept beside what is known here; JSON types only.

    Returns:
        One bank per K, ascending; concepts by falling number of tokens.

    Raises:
        OptionError, BankError: as ``cluster``; BankError also where a concept would be all zero.
    """
    banks = []
    for clusters in cluster(features, ks, seed=seed).values():
        known = {
            "algorithm": f"k-means, scikit-learn {sklearn.__version__}",
            "seed": seed,
            "tokens": len(features),
            "counts": list(clusters.counts),
            "inertia": clusters.inertia,
        }
        banks.append(new_bank(clusters.centroids, encoder, mpp=mpp, provenance={**(provenance or {}), **known}))
    return banks


def _cluster(features: Float, k: int, seed: int) -> Clusters:
    too_few = f"{len(features)} tokens, of which fewer than {k} distinct"
    if len(features) < k:
        raise _unfit(f"at least {k} distinct tokens", too_few)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)  # fewer distinct tokens than clusters
            model = KMeans(k, n_init=1, random_state=seed).fit(features)
    except ConvergenceWarning as warning:
        raise _unfit(f"at least {k} distinct tokens", too_few) from warning
    counts = np.bincount(model.labels_, minlength=k)
    order = np.argsort(-counts, kind="stable")
    centroids = np.maximum(model.cluster_centers_[order], 0)  # rounding can leave -1e-9
    return Clusters(centroids.astype(np.float32), tuple(counts[order].tolist()), float(model.inertia_))


def _unfit(expected: str, got: str) -> BankError:
    mend = "give more or other images, or fewer concepts"
    return BankError("no concepts can be learned from these features", expected=expected, got=got, mend=mend)
