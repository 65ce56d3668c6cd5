"""How much faster and smaller is ``decode`` than the reference's tail, and does it give the same labels?

Weights of 64 concepts on 128 × 128 tokens to labels of 2048 × 2048 px (16 px a token) and 2000 × 2000 px (15.625 px a
token), against what F-SEG's reference package does: ``torch.nn.functional.interpolate`` to a full-resolution map per
concept, a transpose, and NumPy's argmax. The weights are smooth noise of which about one in nine is positive, as sparse
as projections are. Extra memory is what a call holds at its peak beyond the weights and the labels, measured in a
process of its own after a small call; the claim is at most 100 MB.

    python benchmarks/decode.py            prints a table and writes results/decode.csv
"""

from __future__ import annotations

import numpy as np
import torch
from common import extra_mb, in_fresh_process, median_seconds, report
from scipy.ndimage import gaussian_filter

from histofactor.masks.decode import decode

TOKENS, CONCEPTS, SIZES, CLAIM_MB = 128, 64, (2048, 2000), 100


def ours(weights: np.ndarray, px: int) -> np.ndarray:
    """Labels as histofactor makes them."""
    return decode(weights, (px, px))


def reference(weights: np.ndarray, px: int) -> np.ndarray:
    """Labels as the reference makes them."""
    maps = torch.tensor(weights.transpose(2, 0, 1)[None])
    upsampled = torch.nn.functional.interpolate(maps, (px, px), mode="bilinear")[0].numpy().transpose(1, 2, 0)
    return upsampled.argmax(axis=-1)


def measure_memory(side: str, weights: np.ndarray, px: int) -> float:
    """MB that a side takes beyond its input and output, in a process that has loaded and compiled all it needs."""
    call = {"ours": ours, "reference": reference}[side]
    call(weights[:16, :16], 64)
    return extra_mb(lambda: call(weights, px))


def main() -> None:
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(TOKENS, TOKENS, CONCEPTS)), (2, 2, 0))
    weights = np.maximum(noise / noise.std() - 1.2, 0).astype(np.float32)
    rows = []
    for px in SIZES:
        equal = float((ours(weights, px) == reference(weights, px)).mean())
        fast = median_seconds(lambda px=px: ours(weights, px), 25)
        slow = median_seconds(lambda px=px: reference(weights, px), 3)
        small, large = (in_fresh_process(measure_memory, side, weights, px) for side in ("ours", "reference"))
        held = "held" if small <= CLAIM_MB else "not held"
        rows.append((px, fast, slow, slow / fast, equal, small, large, f"{CLAIM_MB} MB {held}"))
    header = ("px", "ours s", "reference s", "times as fast", "equal labels", "ours MB", "reference MB", "claim")
    report("decode", header, rows, ("histofactor", "numpy", "numba", "torch"))


if __name__ == "__main__":
    main()
