"""Is ``project`` as exact as scipy's nnls, and how much faster than it and than the call the reference makes?

End to end with the matrix product, against scikit-learn's coordinate descent as F-SEG's reference package calls it
(``non_negative_factorization(X, H=H, update_H=False, max_iter=10000)``) on the same rows, and against scipy's nnls row
by row in float64 on 512 of the rows. Two kinds of features: sparse mixtures of the published concepts with noise, and
tokens of real fields of ``glas-dev`` under three encoders on concepts that k-means learns from them.

The columns "×" say how many times as fast, in rows a second. Agreement is the share of the 512 rows with the argmax of
scipy's nnls; KKT is the largest violation relative to the row's largest response, in float64.

    python benchmarks/projection.py ../shared            prints a table and writes results/projection.csv
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import median_seconds, mixtures, report
from embedded_on_glas import FeatureCache, resnet, teacher
from scipy.optimize import nnls
from sklearn.decomposition import non_negative_factorization
from sklearn.exceptions import ConvergenceWarning

from histofactor.concepts.learn.levels import train_levels
from histofactor.concepts.legacy import read_legacy
from histofactor.encoders.build import load_encoder
from histofactor.encoders.registry import get
from histofactor.evaluation.data.datasets import load_dataset
from histofactor.factor.nnls import certify, project

ROWS, CHECKED, REPEATS = 4096, 512, 15
PUBLISHED = (("uni", 16), ("uni", 64), ("uni", 256), ("prov_gigapath", 128))
REAL_KS, EVERY = (16, 64), 10  # every tenth field


def cases(shared: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, features (4096, C) and concepts (K, C) of every case."""
    for name, k in PUBLISHED:
        H = np.maximum(read_legacy(shared / f"banks/{name}.joblib")[k], 0)
        yield f"mixtures of {name}", mixtures(H, ROWS), H
    dataset = load_dataset(shared / "data/glas-dev")
    dataset = replace(dataset, items=dataset.items[::EVERY])
    for encoder in (
        load_encoder("embedded"),
        teacher(shared),
        resnet(shared, replace(get("resnet50"), name="resnet50v2")),
    ):
        tokens = np.concatenate(FeatureCache(dataset, encoder).features)
        X = np.random.default_rng(0).permutation(tokens)[:ROWS]
        for level in train_levels(X, REAL_KS).values():
            yield f"glas-dev, {encoder.spec.name}", X, level.vectors


def scipy_rows(X: np.ndarray, H: np.ndarray) -> np.ndarray:
    """Weights by scipy, a row at a time."""
    Ht = H.T.astype(np.float64)
    return np.array([nnls(Ht, x)[0] for x in X.astype(np.float64)])


def measure(X: np.ndarray, H: np.ndarray) -> tuple[float, ...]:
    """The figures of one case, in the order of the header."""
    W = project(X, H)
    ours = median_seconds(lambda: project(X, H), REPEATS) / len(X)
    reference = {"n_components": len(H), "update_H": False, "random_state": 0, "max_iter": 10000}
    sklearn = median_seconds(lambda: non_negative_factorization(X, W=None, H=H.copy(), **reference), 1) / len(X)
    start = time.perf_counter()
    exact = scipy_rows(X[:CHECKED], H)
    scipy = (time.perf_counter() - start) / CHECKED
    agreement = float((exact.argmax(1) == W[:CHECKED].argmax(1)).mean())
    kkt = float(certify(X, H, W).kkt.max())
    return 1e6 * ours, 1e6 * sklearn, 1e6 * scipy, sklearn / ours, scipy / ours, agreement, kkt


def main() -> None:
    shared = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared")
    warnings.simplefilter("ignore", ConvergenceWarning)
    rows = [(name, X.shape[1], len(H), *measure(X, H)) for name, X, H in cases(shared)]
    peers = ("scikit-learn", "scipy nnls")
    header = ("features", "C", "K", "µs a row", *(f"{peer} µs" for peer in peers))
    header += ("× scikit-learn", "× scipy", "argmax of scipy", "KKT")
    report("projection", header, rows, ("histofactor", "numpy", "numba", "scipy", "scikit-learn"))


if __name__ == "__main__":
    main()
