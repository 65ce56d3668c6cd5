"""Is encoding as fast as a bare loop over the same network?

Four networks with random weights, at the window sizes of their rows: ours is ``encode`` in full (8-bit RGB in, features
above 0 out, checked), theirs the least that gives the same map: normalise, timm's ``forward_intermediates`` to the same
block (or transformers' own forward), ReLU. Same batch, same threads, in turn; the median of five ratios.

    python benchmarks/encoding.py            prints a table and writes results/encoding.csv
    python benchmarks/encoding.py cuda       the same on a GPU, float32 on both sides: results/encoding_cuda.csv
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from common import report

from histofactor.encoders.build import Encoder, assemble
from histofactor.encoders.encode import encode
from histofactor.encoders.networks import build_network
from histofactor.encoders.registry import get

CASES = {"dinov2-small": 1, "uni": 4, "phikon": 4, "resnet50": 1}  # windows a batch
REPEATS = 5


def bare(encoder: Encoder, network: torch.nn.Module) -> Callable[[np.ndarray], torch.Tensor]:
    """The least that gives the same features."""
    spec = encoder.spec
    device = encoder.device
    mean, std = (torch.tensor(values, device=device).view(3, 1, 1) for values in (spec.mean, spec.std))

    @torch.inference_mode()
    def run(pixels: np.ndarray) -> torch.Tensor:
        images = (torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 255 - mean) / std
        if spec.source.library == "transformers":
            tokens = network(images, interpolate_pos_encoding=True).last_hidden_state
            return torch.relu(tokens)
        index = len(network.blocks) - 1 if spec.prefix_tokens else 3
        (features,) = network.forward_intermediates(
            images, indices=[index], norm=False, stop_early=True, output_fmt="NCHW", intermediates_only=True
        )
        return torch.relu(features)

    return run


def seconds(call: Callable[[], object]) -> float:
    """Wall time of a call; a GPU is waited for."""
    started = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def measure(name: str, windows: int, device: str) -> tuple:
    """One row of the table."""
    spec = get(name)
    spec = replace(spec, window=replace(spec.window, size_px=min(spec.window.size_px, 518)))
    torch.manual_seed(0)
    network = build_network(spec)
    encoder = assemble(spec, network, device=torch.device(device))
    side = spec.window.size_px // spec.patch_px * spec.patch_px
    pixels = np.random.default_rng(0).integers(0, 255, (windows, side, side, 3), np.uint8)
    both = (lambda: encode(encoder, pixels)), partial(bare(encoder, network), pixels)
    times = np.array([[seconds(call) for call in both] for _ in range(REPEATS + 1)])[1:]  # the first one warms up
    ours_s, theirs_s = np.median(times, axis=0)
    ratio = float(np.median(times[:, 0] / times[:, 1]))
    tokens = windows * (side // spec.patch_px) ** 2
    return name, windows, side, float(ours_s), float(theirs_s), ratio, tokens / float(ours_s)


def main() -> None:
    """Time both sides in turn and print."""
    device = sys.argv[1] if len(sys.argv) > 1 else "cpu"
    rows = [measure(name, windows * (1 if device == "cpu" else 16), device) for name, windows in CASES.items()]
    header = ("encoder", "windows", "px", "ours s", "bare loop s", "ours / bare", "tokens/s")
    report("encoding" if device == "cpu" else f"encoding_{device}", header, rows, ("torch", "timm", "transformers"))


if __name__ == "__main__":
    main()
