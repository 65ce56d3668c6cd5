"""What a GPU makes of the parts: encoders, projection, decoding, each beside the bare work that it cannot do without.

- Encoders of four shapes (ViT-S, L, H and g) with random weights, in the number format of their rows and as many
  windows at a time as ``windows_at_once`` says: tokens a second from 8-bit RGB to features, and the share of the peak
  that a large product of matrices reaches in the same format. The operations of a ViT are counted, not measured: two
  for every weight of its blocks and token, and 4·n·d a block and token for attention over n tokens.
- ``project`` of a million tokens of 1024 channels on 64 concepts, beside the product X·Hᵀ alone: as ``projection_gpu``.
- ``decode`` of 1000 × 1000 tokens of 64 concepts to 8000 × 8000 px, beside PyTorch's ``interpolate`` and ``argmax``
  of one band of 500 px at a time.

It ends within eight minutes; without a GPU it says so, and measures nothing. ``--small`` runs it on whatever is there,
to see that it works.

    python benchmarks/gpu.py        writes results/gpu.csv
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch
from common import report

from histofactor.encoders.batch import windows_at_once
from histofactor.encoders.build import assemble
from histofactor.encoders.encode import encode
from histofactor.encoders.encoder import FORMATS, Inference, run_as
from histofactor.encoders.networks import build_network
from histofactor.encoders.registry import get
from histofactor.factor.torch_nnls import project_torch
from histofactor.masks.torch_decode import decode_torch

ENCODERS = ("dinov2-small", "uni", "virchow", "h-optimus-0")
BUDGET_S = 480
REPEATS = 5
Row = tuple[str, float, float, float, str]


def seconds(work: Callable[[], object]) -> float:
    """Median time of a call after one that is not counted."""
    times = []
    for _ in range(REPEATS + 1):
        _wait()
        start = time.perf_counter()
        work()
        _wait()
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak(dtype: torch.dtype, device: torch.device, side: int) -> float:
    """Operations a second of a large product of matrices."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / seconds(lambda: a @ b)


def encoder_row(name: str, device: torch.device, small: bool) -> Row:
    """Tokens a second, what the peak would allow, and the share of it that is reached."""
    spec = get(name)
    if small:
        spec = replace(spec, source=replace(spec.source, arguments={**spec.source.arguments, "depth": 1}))
    torch.manual_seed(0)
    network = build_network(spec)
    encoder = run_as(assemble(spec, network, device=device), Inference())
    side = spec.window.size_px // spec.patch_px * spec.patch_px
    n = 1 if small else windows_at_once(encoder, (side, side))
    pixels = np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    took = seconds(lambda: encode(encoder, pixels))
    tokens = (side // spec.patch_px) ** 2 + spec.prefix_tokens
    blocks, width = len(network.blocks), network.embed_dim
    weights = sum(one.numel() for one in network.blocks.parameters())
    operations = n * tokens * (2 * weights + blocks * 4 * tokens * width)
    dtype = FORMATS[encoder.precision] or torch.float32
    best = operations / peak(dtype, device, 512 if small else 8192)
    found = n * tokens / np.array([took, best])
    what = f"{name}, {n} windows of {side} px, {encoder.precision}: tokens a second"
    return what, float(found[0]), float(found[1]), float(found[0] / found[1]), "share of peak"


def project_row(device: torch.device, small: bool) -> Row:
    """Seconds of the whole projection and of the product that it begins with."""
    n, d, k = (10_000, 64, 16) if small else (1_000_000, 1024, 64)
    torch.manual_seed(0)
    H = torch.rand(k, d, device=device) ** 4
    W = torch.rand(n, k, device=device) ** 8
    X = (W @ H).add_(0.02 * torch.randn(n, d, device=device)).clamp_(min=0)
    del W
    whole, product = seconds(lambda: project_torch(X, H)), seconds(lambda: X @ H.T)
    return f"project, {n} tokens of {d} on {k}: seconds", whole, product, whole / product, "times the product"


def decode_row(device: torch.device, small: bool) -> Row:
    """Seconds of decoding, and of what PyTorch alone would do."""
    tokens, px, band = (50, 400, 50) if small else (1000, 8000, 500)
    weights = torch.rand(tokens, tokens, 64, device=device) ** 8

    def bare() -> None:
        maps, rows = weights.permute(2, 0, 1)[None], tokens * band // px
        for top in range(0, tokens, rows):
            part = maps[:, :, top : top + rows]
            torch.nn.functional.interpolate(part, (band, px), mode="bilinear").argmax(dim=1)

    whole, alone = seconds(lambda: decode_torch(weights, (px, px))), seconds(bare)
    return (
        f"decode, {tokens}² tokens of 64 to {px}² px: seconds",
        whole,
        alone,
        whole / alone,
        "times interpolate, argmax",
    )


def main() -> None:
    """Measure what fits into the time, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true")
    small = parser.parse_args().small
    if not torch.cuda.is_available() and not small:
        print("No CUDA device here: nothing was measured.")
        return
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    parts = [lambda: project_row(device, small), lambda: decode_row(device, small)]
    parts += [lambda name=name: encoder_row(name, device, small) for name in ENCODERS]
    start, rows = time.perf_counter(), []
    for part in parts:
        if time.perf_counter() - start > 0.8 * BUDGET_S:
            print("the time is up: the rest was not measured")
            break
        with torch.inference_mode(), torch.cuda.device(device) if device.type == "cuda" else nullcontext():
            rows.append(part())
        print(*rows[-1], flush=True)
        torch.cuda.empty_cache()
    if not small:
        report("gpu", ("what", "here", "bare", "ratio", "of"), rows, ("torch", "timm"))


if __name__ == "__main__":
    main()
