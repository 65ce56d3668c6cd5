"""Train the embedded encoder: predict the teacher's denoised features of the clean image from a restained one."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from augment import degrade, restain
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from sources import TEACHER, at_mpp, check_hashes, read_sources
from teacher import Grid, Image, against_surround, as_tensor, initial_student, load_teacher, teach

from histofactor.encoders.embedded.network import STRIDE_PX, EmbeddedNetwork

MPPS = (0.8, 1.0, 1.3)
CROP_TOKENS = 48
EDGE_TOKENS = 6  # not judged: they saw the zero padding of the crop


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and what the student should say of it: (h·8, w·8, 3) RGB and (h, w, d)."""

    image: Image
    target: Grid


def make_pairs(root: Path) -> tuple[list[Pair], NDArray[np.float32], float]:
    """Targets of every image at every scale, the teacher's mean, and the unit of the targets."""
    teacher = load_teacher(root / TEACHER)
    images, features = [], []
    for source in read_sources(root):
        for mpp in MPPS:
            image = at_mpp(source, mpp)
            grid = teach(teacher, image)
            images.append(image[: grid.shape[0] * STRIDE_PX, : grid.shape[1] * STRIDE_PX])
            features.append(grid)
        print(f"targets: {source.name}", flush=True)
    mean = np.mean(np.concatenate([f.reshape(-1, f.shape[-1]) for f in features]), axis=0)
    targets = [against_surround(grid, mean) for grid in features]
    scale = float(np.sqrt(np.mean([np.mean(t**2) for t in targets])))
    return [Pair(i, t / scale) for i, t in zip(images, targets, strict=True)], mean, scale


def draw(pairs: list[Pair], rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """One crop: restained, degraded and turned, with the target of the clean crop turned alike."""
    weights = np.array([p.target.shape[0] * p.target.shape[1] for p in pairs], float)
    pair = pairs[rng.choice(len(pairs), p=weights / weights.sum())]
    rows, cols = (min(CROP_TOKENS, n) for n in pair.target.shape[:2])
    y = int(rng.integers(pair.target.shape[0] - rows + 1))
    x = int(rng.integers(pair.target.shape[1] - cols + 1))
    image = pair.image[y * STRIDE_PX : (y + rows) * STRIDE_PX, x * STRIDE_PX : (x + cols) * STRIDE_PX]
    if rng.random() < 0.85:
        image = degrade(restain(image, rng), rng)
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
    target = np.rot90(pair.target[y : y + rows, x : x + cols], turns)
    image = np.rot90(image, turns)
    if mirror:
        image, target = image[:, ::-1], target[:, ::-1]
    pixels = as_tensor(np.ascontiguousarray(image))
    return pixels, torch.from_numpy(np.ascontiguousarray(target)).permute(2, 0, 1)[None]


def loss_of(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Squared error before the ReLU, mostly where it matters, and 1 − cosine after it; mean over inner tokens."""
    inner = slice(EDGE_TOKENS, -EDGE_TOKENS)
    predicted, target = predicted[..., inner, inner], target[..., inner, inner]
    error = torch.nn.functional.smooth_l1_loss(predicted.relu(), target.relu())
    linear = torch.nn.functional.smooth_l1_loss(predicted, target)
    cosine = torch.nn.functional.cosine_similarity(predicted.relu(), target.relu(), dim=1).mean()
    return error + 0.5 * linear + (1 - cosine)


def train(student: EmbeddedNetwork, pairs: list[Pair], minutes: float, seed: int, out: Path) -> int:
    """AdamW with a cosine decay over ``minutes`` of wall time; writes ``out`` every minute. Returns the steps made."""
    rng = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(student.parameters(), lr=3e-4, weight_decay=1e-4)
    start, last, step, running = time.monotonic(), 0.0, 0, 0.0
    while (share := (time.monotonic() - start) / (60 * minutes)) < 1:
        rate = 3e-4 * min(1, (step + 1) / 50) * 0.5 * (1 + np.cos(np.pi * share))
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad()
        total = 0.0
        for _ in range(2):
            pixels, target = draw(pairs, rng)
            loss = loss_of(student(pixels), target) / 2
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()
        step += 1
        running = total if step == 1 else 0.98 * running + 0.02 * total
        if time.monotonic() - last > 60:
            last = time.monotonic()
            print(f"step {step}  {100 * share:.0f}%  loss {running:.4f}", flush=True)
            save(student, out)
    save(student, out)
    return step


def save(student: EmbeddedNetwork, out: Path) -> None:
    """Write the weights as fp16 safetensors, to a temporary name first."""
    temporary = out.with_suffix(".tmp")
    save_file({k: v.half().contiguous() for k, v in student.state_dict().items()}, temporary)
    temporary.chmod(0o644)
    temporary.replace(out)


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="folder with data/ and weights/")
    parser.add_argument("-o", "--out", type=Path, required=True, help="encoder.safetensors to write")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="weights to go on from; default the teacher's own")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    cv2.setNumThreads(1)
    check_hashes(arguments.root)
    pairs, mean, scale = make_pairs(arguments.root)
    student = initial_student(arguments.root / TEACHER, mean, scale)
    if arguments.start is not None:
        student.load_state_dict({name: value.float() for name, value in load_file(arguments.start).items()})
    save(student, arguments.out)
    steps = train(student, pairs, arguments.minutes, arguments.seed, arguments.out)
    print(f"{steps} steps, seed {arguments.seed}: {arguments.out}")


if __name__ == "__main__":
    main()
