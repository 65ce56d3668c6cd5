"""How much faster is ``decode`` than the reference's tail, and does it give the same labels?

Weights of 64 concepts on 128 × 128 tokens to labels of 2048 × 2048 px, against what F-SEG's reference package does:
``torch.nn.functional.interpolate`` to a full-resolution map per concept, a transpose, and NumPy's argmax. The weights
are smooth noise of which about one in nine is positive, as sparse as projections are.

    python benchmarks/decode.py            prints a table and writes results/decode.csv
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.ndimage import gaussian_filter

from histofactor.masks.decode import decode

TOKENS, CONCEPTS, PX, REPEATS = 128, 64, 2048, 5


def reference(weights: np.ndarray) -> np.ndarray:
    """Labels as the reference makes them."""
    maps = torch.tensor(weights.transpose(2, 0, 1)[None])
    upsampled = torch.nn.functional.interpolate(maps, (PX, PX), mode="bilinear")[0].numpy().transpose(1, 2, 0)
    return upsampled.argmax(axis=-1)


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    """Median wall time of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main() -> None:
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(TOKENS, TOKENS, CONCEPTS)), (2, 2, 0))
    weights = np.maximum(noise / noise.std() - 1.2, 0).astype(np.float32)
    equal = float((decode(weights, (PX, PX)) == reference(weights)).mean())
    ours = median_seconds(lambda: decode(weights, (PX, PX)), REPEATS)
    peer = median_seconds(lambda: reference(weights), REPEATS)
    header = ("ours s", "reference s", "times as fast", "equal labels", "cores")
    row = (ours, peer, peer / ours, equal, os.cpu_count())
    table = Table(*header, box=None)
    table.add_row(*(f"{value:.6g}" if isinstance(value, float) else str(value) for value in row))
    Console(width=120).print(table)
    out = Path(__file__).parent / "results/decode.csv"
    out.parent.mkdir(exist_ok=True)
    with out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in row])


if __name__ == "__main__":
    main()
