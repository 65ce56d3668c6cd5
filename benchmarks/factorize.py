"""Is ``factorize`` at least ten times as fast as scikit-learn, at an objective that is no worse?

Features of a dozen fields of ``glas-dev`` under three encoders, each field alone and all in one call, for three numbers
of components. The peers are called as a user calls them: scikit-learn's ``NMF(n_components=k).fit_transform(X)``, and
torchnmf's ``nmf.NMF(X.shape, rank=k).fit(X, beta=2)``, which starts at random. A row holds the median over the fields
of each time, and of each ratio taken field by field; "objective" is ½‖X − W·H‖² in float64, ours over the peer's. The
problem has many local minima: another seed moves either side's objective by some tenths of a percent.

The ratios are those on the machine's cores as a user has them. Small products in many threads cost the peers time, far
more so on a busy machine; ``taskset -c 0`` in front shows all sides on one core.

    python benchmarks/factorize.py ../shared       prints a table and writes results/factorize.csv
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torchnmf.nmf
from common import median_seconds, report
from embedded_on_glas import FeatureCache, resnet, teacher
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

from histofactor.encoders.build import load_encoder
from histofactor.encoders.registry import get
from histofactor.evaluation.data.datasets import load_dataset
from histofactor.factor.nmf import factorize
from histofactor.records import EncoderSpec

FIELDS, KS, REPEATS = 12, (8, 20, 32), 3
HEADER = (
    "encoder", "features", "rows", "channels", "k", "ours s", "scikit-learn s", "torchnmf s", "times as fast",
    "slowest field", "times torchnmf", "objective", "worst objective", "objective torchnmf", "cores used",
)  # fmt: skip

Factors = tuple[np.ndarray, np.ndarray]


def resnet_row() -> EncoderSpec:
    """ImageNet ResNet-50 v2 to stage 3, at 1 µm/px."""
    row = get("embedded")
    imagenet = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    return replace(row, name="resnet50v2", patch_px=16, dim=1024, **imagenet)


def by_scikit_learn(X: np.ndarray, k: int) -> Factors:
    model = NMF(n_components=k)
    return model.fit_transform(X), model.components_


def by_torchnmf(X: np.ndarray, k: int) -> Factors:
    model = torchnmf.nmf.NMF(X.shape, rank=k)
    model.fit(torch.from_numpy(X), beta=2)
    return model.H.detach().numpy(), model.W.detach().numpy().T


def timed(call: Callable[[], Factors]) -> tuple[float, Factors]:
    start = time.perf_counter()
    factors = call()
    return time.perf_counter() - start, factors


def objective(X: np.ndarray, factors: Factors) -> float:
    W, H = (factor.astype(np.float64) for factor in factors)
    return float(0.5 * np.linalg.norm(X - W @ H) ** 2)


def compare(X: np.ndarray, k: int) -> np.ndarray:
    """Seconds of ours, scikit-learn and torchnmf; then their objectives."""
    ours_s, ours = median_seconds(lambda: factorize(X, k), REPEATS), factorize(X, k)
    peer_s, peer = median_seconds(lambda: by_scikit_learn(X, k), REPEATS), by_scikit_learn(X, k)
    torch_s, torch_factors = timed(lambda: by_torchnmf(X, k))
    return np.array([ours_s, peer_s, torch_s, *(objective(X, factors) for factors in (ours, peer, torch_factors))])


def summarise(figures: np.ndarray) -> tuple[float, ...]:
    """Columns of the table after k, from the figures (fields, 6) of ``compare``."""
    seconds, objectives = figures[:, :3], figures[:, 3:]
    times = seconds[:, 1:] / seconds[:, :1]
    shares = objectives[:, :1] / objectives[:, 1:]
    columns = (*seconds.T, times[:, 0], times[:, 1], shares[:, 0], shares[:, 1])
    ours, peer, other, faster, faster_torch, share, share_torch = (float(np.median(column)) for column in columns)
    worst, slowest = float(shares[:, 0].max()), float(times[:, 0].min())
    return ours, peer, other, faster, slowest, faster_torch, share, worst, share_torch


def main() -> None:
    shared = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared")
    warnings.simplefilter("ignore", ConvergenceWarning)
    torch.manual_seed(0)
    dataset = load_dataset(shared / "data/glas-dev")
    sample = dataset.items[:: len(dataset.items) // FIELDS][:FIELDS]
    rows, cores = [], len(os.sched_getaffinity(0))
    for encoder in (load_encoder("embedded"), teacher(shared), resnet(shared, resnet_row())):
        fields = FeatureCache(replace(dataset, items=sample), encoder).features
        compare(fields[0], KS[0])  # compiles and loads what the calls need
        for features, matrices in (("each field", fields), ("all fields", [np.concatenate(fields)])):
            for k in KS:
                figures = np.stack([compare(X, k) for X in matrices])
                size = int(np.median([len(X) for X in matrices])), matrices[0].shape[1]
                rows.append((encoder.spec.name, features, *size, k, *summarise(figures), cores))
    report("factorize", HEADER, rows, ("histofactor", "numpy", "numba", "scikit-learn", "torch", "torchnmf"))


if __name__ == "__main__":
    main()
