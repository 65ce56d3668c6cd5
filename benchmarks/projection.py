"""Is ``project`` as exact as scipy's nnls, and how much faster than the call the reference makes?

4,096 rows, end to end with the matrix product, against scikit-learn's coordinate descent as F-SEG's reference package
calls it (``non_negative_factorization(X, H=H, update_H=False, max_iter=10000)``), on the published banks. Features are
sparse mixtures of the concepts with noise. Agreement is the share of rows with the argmax of scipy's nnls in float64,
on 512 of the rows; KKT is the largest violation relative to the row's largest response, in float64.

    python benchmarks/projection.py ../shared            prints a table and writes results/projection.csv
"""

from __future__ import annotations

import csv
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import nnls
from sklearn.decomposition import non_negative_factorization
from sklearn.exceptions import ConvergenceWarning

from histofactor.concepts.legacy import read_legacy
from histofactor.factor.nnls import certify, project

ROWS, CHECKED, REPEATS = 4096, 512, 7
CASES = (("uni", 16), ("uni", 64), ("uni", 256), ("prov_gigapath", 128))


def mixtures(H: np.ndarray, seed: int = 0) -> np.ndarray:
    """Sparse mixtures of four concepts a row, with noise."""
    rng = np.random.default_rng(seed)
    W = np.zeros((ROWS, len(H)), np.float32)
    for row in W:
        row[rng.choice(len(H), 4, replace=False)] = rng.gamma(1.0, 1.0, 4)
    X = W @ H
    return np.maximum(X + 0.3 * X.std() * rng.normal(size=X.shape), 0).astype(np.float32)


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    """Median wall time of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main() -> None:
    shared = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared")
    warnings.simplefilter("ignore", ConvergenceWarning)
    rows = []
    for name, k in CASES:
        H = np.maximum(read_legacy(shared / f"banks/{name}.joblib")[k], 0)
        X = mixtures(H)
        W = project(X, H)
        ours = median_seconds(lambda X=X, H=H: project(X, H), REPEATS)
        peer = median_seconds(
            lambda X=X, H=H, k=k: non_negative_factorization(
                X=X, H=H.copy(), W=None, n_components=k, update_H=False, random_state=0, max_iter=10000
            ),
            1,
        )
        exact = np.array([nnls(H.T.astype(np.float64), x)[0] for x in X[:CHECKED].astype(np.float64)])
        agreement = float((exact.argmax(1) == W[:CHECKED].argmax(1)).mean())
        rows.append((name, k, ours, peer, peer / ours, agreement, float(certify(X, H, W).kkt.max()), os.cpu_count()))
    header = ("bank", "K", "ours s", "scikit-learn s", "times as fast", "argmax of scipy", "KKT", "cores")
    table = Table(*header, box=None)
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row))
    Console(width=120).print(table)
    out = Path(__file__).parent / "results/projection.csv"
    out.parent.mkdir(exist_ok=True)
    with out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([[f"{v:.5g}" if isinstance(v, float) else v for v in row] for row in rows])


if __name__ == "__main__":
    main()
