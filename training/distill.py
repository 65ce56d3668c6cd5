"""Train the embedded encoder: predict the teachers' denoised features of the clean image from a restained one."""

from __future__ import annotations

import argparse
import copy
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from augment import degrade, restain
from sources import check_hashes
from student import early, late, late_parameters, make_round, save, start_from
from targets import Pair, make_pairs
from torch.nn import functional

from histofactor.encoders.embedded.network import MEAN, STD, STRIDE_PX, EmbeddedNetwork

CROP_TOKENS = 56
EDGE_TOKENS = 8  # not judged: they saw the zero padding of the crop
BATCH, POOL = 4, 1_400  # crops a step, and crops that are drawn from: one of them is made anew before every step
RATE, DECAY = 1e-3, 1e-4
KEPT = 0.998  # of the running mean of the weights, a step


@dataclass(frozen=True, slots=True)
class Crop:
    """What the untrained layers make of a crop, and what should come of it, both fp16; NaN where nothing is asked."""

    seen: torch.Tensor
    target: torch.Tensor


def draw(pairs: list[Pair], network: EmbeddedNetwork, rng: np.random.Generator) -> Crop:
    """One crop: restained, degraded and turned, with the target of the clean crop turned alike."""
    areas = np.array([pair.target.shape[0] * pair.target.shape[1] for pair in pairs], float)
    pair = pairs[rng.choice(len(pairs), p=areas / areas.sum())]
    rows, cols = (min(CROP_TOKENS, n) for n in pair.target.shape[:2])
    y, x = (int(rng.integers(n - m + 1)) for n, m in zip(pair.target.shape[:2], (rows, cols), strict=True))
    image = pair.image[y * STRIDE_PX : (y + rows) * STRIDE_PX, x * STRIDE_PX : (x + cols) * STRIDE_PX]
    target = pair.target[y : y + rows, x : x + cols].copy()
    for edge in (slice(EDGE_TOKENS), slice(-EDGE_TOKENS, None)):
        target[edge], target[:, edge] = np.nan, np.nan
    if rng.random() < 0.85:
        image = degrade(restain(image, rng), rng)
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    image, target = np.rot90(image, turns), np.rot90(target, turns)
    if mirrored:
        image, target = image[:, ::-1], target[:, ::-1]
    pixels = (torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255 - MEAN[0]) / STD[0]
    with torch.no_grad():
        seen = early(network, pixels.contiguous(memory_format=torch.channels_last))
    missing = [(0, CROP_TOKENS - n) for n in target.shape[:2]]
    scale = seen.shape[2] // target.shape[0]
    seen = functional.pad(seen, (0, scale * missing[1][1], 0, scale * missing[0][1]))
    whole = np.pad(target, (*missing, (0, 0)), constant_values=np.nan)
    return Crop(seen.half(), torch.from_numpy(whole).permute(2, 0, 1)[None])


def loss_of(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Huber's loss and 1 − cosine, means over the tokens that are judged; (n, d, h, w)."""
    judged = ~torch.isnan(target[:, 0])
    said, asked = (grid.permute(0, 2, 3, 1)[judged] for grid in (predicted, target))
    return functional.smooth_l1_loss(said, asked, beta=0.5) + 1 - functional.cosine_similarity(said, asked).mean()


def train(network: EmbeddedNetwork, pairs: list[Pair], minutes: float, seed: int, out: Path) -> int:
    """AdamW with a cosine decay; the mean weights go to ``out`` every minute. Returns the steps made."""
    rng = np.random.default_rng(seed)
    pool = [draw(pairs, network, rng) for _ in range(16 * BATCH)]
    optimiser = torch.optim.AdamW(late_parameters(network), lr=RATE, weight_decay=DECAY)
    mean = copy.deepcopy(network)
    start, last, step, running = time.monotonic(), 0.0, 0, 0.0
    while (share := (time.monotonic() - start) / (60 * minutes)) < 1:
        new = draw(pairs, network, rng)
        if len(pool) < POOL:
            pool.append(new)
        else:
            pool[rng.integers(POOL)] = new
        crops = [pool[i] for i in rng.integers(len(pool), size=BATCH)]
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 100) * 0.5 * (1 + np.cos(np.pi * share))
        optimiser.zero_grad()
        seen = torch.cat([crop.seen for crop in crops]).float().contiguous(memory_format=torch.channels_last)
        loss = loss_of(late(network, seen), torch.cat([crop.target for crop in crops]).float())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(late_parameters(network), 1.0)
        optimiser.step()
        make_round(network)
        step += 1
        with torch.no_grad():
            for kept, now in zip(mean.parameters(), network.parameters(), strict=True):
                kept.lerp_(now, 1 - min(KEPT, 1 - 1 / (step + 1)))
        running = loss.item() if step == 1 else 0.98 * running + 0.02 * loss.item()
        if time.monotonic() - last > 60:
            last = time.monotonic()
            print(f"step {step}  {100 * share:.0f}%  loss {running:.4f}", flush=True)
            save(mean, out)
    save(mean, out)
    return step


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="folder with data/ and weights/")
    parser.add_argument(
        "start", type=Path, help="encoder.safetensors to go on from, of this revision or of the one before"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="encoder.safetensors to write")
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    cv2.setNumThreads(1)
    check_hashes(arguments.root)
    pairs = make_pairs(arguments.root)
    network = start_from(arguments.start)
    save(network, arguments.out)
    steps = train(network, pairs, arguments.minutes, arguments.seed, arguments.out)
    print(f"{steps} steps, seed {arguments.seed}: {arguments.out}")


if __name__ == "__main__":
    main()
