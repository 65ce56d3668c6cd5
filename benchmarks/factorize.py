"""Is ``factorize`` at least ten times as fast as scikit-learn, at an objective that is no worse?

Features of a dozen fields of ``glas-dev`` under three encoders, each field alone and all in one call, for three numbers
of components. The peers are called as a user calls them: scikit-learn's ``NMF(n_components=k).fit_transform(X)``, and
torchnmf's ``nmf.NMF(X.shape, rank=k).fit(X, beta=2)``, which starts at random. Small products in many BLAS threads cost
scikit-learn time, so it is timed with single-threaded BLAS too. Calls alternate within each field, so that whatever
else the machine does meets all alike. A row holds the median over the fields of each time and of each ratio taken field
by field; "objective" is ½‖X − W·H‖² in float64, ours over the peer's. The objective has many local minima: the share
"of itself" is scikit-learn's objective from a second call over that from the first, worst of the fields.

    python benchmarks/factorize.py ../shared            prints a table and writes results/factorize.csv
"""

from __future__ import annotations

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
from embedded_on_glas import Encoded, architectures, teacher
from safetensors.torch import load_file
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from histofactor.encoders.build import Encoder, load_encoder
from histofactor.encoders.registry import get
from histofactor.evaluation.datasets import load_dataset
from histofactor.factor.nmf import factorize

FIELDS, KS, REPEATS = 12, (8, 20, 32), 5
HEADER = (
    "encoder", "features", "rows", "channels", "k", "ours s", "scikit-learn s", "scikit-learn 1 thread s", "torchnmf s",
    "times as fast", "times 1 thread", "times torchnmf", "slowest field", "objective", "worst objective", "of itself",
    "objective torchnmf",
)  # fmt: skip

Factors = tuple[np.ndarray, np.ndarray]


def resnet(shared: Path) -> Encoder:
    """ImageNet ResNet-50 v2 to stage 3: 1024 channels, 16 px a token at 1 µm/px."""
    network = architectures(shared).ResNet50V2Trunk()
    network.load_state_dict(load_file(shared / "weights/resnet50v2_imagenet_gluon_stage3.safetensors"), strict=True)
    network.eval().requires_grad_(False)
    row = replace(
        get("embedded"),
        name="resnet50v2",
        patch_px=16,
        dim=1024,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )
    return Encoder(row, lambda pixels: network(pixels)["s16"], torch.device("cpu"))


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
    """Seconds of ours, scikit-learn, scikit-learn on one thread and torchnmf; then their objectives."""
    ours_s, ours = median_seconds(lambda: factorize(X, k), REPEATS), factorize(X, k)
    peer_s, peer = timed(lambda: by_scikit_learn(X, k))
    with threadpool_limits(1):
        single_s, single = timed(lambda: by_scikit_learn(X, k))
    torch_s, torch_factors = timed(lambda: by_torchnmf(X, k))
    objectives = [objective(X, factors) for factors in (ours, peer, single, torch_factors)]
    return np.array([ours_s, peer_s, single_s, torch_s, *objectives])


def summarise(figures: np.ndarray) -> tuple[float, ...]:
    """Columns of the table after k, from the figures (fields, 8) of ``compare``."""
    seconds, objectives = figures[:, :4], figures[:, 4:]
    times = seconds[:, 1:] / seconds[:, :1]
    shares = objectives[:, :1] / objectives[:, 1:]
    return (
        *map(float, np.median(seconds, axis=0)),
        *map(float, np.median(times, axis=0)),
        float(times[:, 0].min()),
        float(np.median(shares[:, 0])),
        float(shares[:, 0].max()),
        float((objectives[:, 2] / objectives[:, 1]).max()),
        float(np.median(shares[:, 2])),
    )


def main() -> None:
    shared = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared")
    warnings.simplefilter("ignore", ConvergenceWarning)
    torch.manual_seed(0)
    dataset = load_dataset(shared / "data/glas-dev")
    sample = dataset.items[:: len(dataset.items) // FIELDS][:FIELDS]
    rows = []
    for encoder in (load_encoder("embedded"), teacher(shared), resnet(shared)):
        fields = Encoded(replace(dataset, items=sample), encoder).features
        for features, matrices in (("each field", fields), ("all fields", [np.concatenate(fields)])):
            for k in KS:
                compare(fields[0], k)  # compiles and loads what the calls need
                figures = np.stack([compare(X, k) for X in matrices])
                size = int(np.median([len(X) for X in matrices])), matrices[0].shape[1]
                rows.append((encoder.spec.name, features, *size, k, *summarise(figures)))
    report("factorize", HEADER, rows, ("histofactor", "numpy", "numba", "scikit-learn", "torch", "torchnmf"))


if __name__ == "__main__":
    main()
