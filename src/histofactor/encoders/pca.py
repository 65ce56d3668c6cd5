"""What an encoder sees in a picture, as colours: the first three principal components of its tokens."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from histofactor.encoders.check import raw
from histofactor.encoders.encoder import Encoder
from histofactor.records import WindowRule
from histofactor.slides.geometry.frame import Frame
from histofactor.slides.geometry.windows import plan_windows, token_overlap

_RANGE = (1.0, 99.0)  # percentiles of a component that become black and white


def pca_map(encoder: Encoder, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The tokens of a picture as colours: red, green and blue are their first three principal components.

    Tokens of overlapping windows are averaged. Every component points to where its largest entry is positive.

    Args:
        encoder: with its weights.
        picture: (height, width, 3) RGB at the encoder's µm/px.

    Returns:
        (h, w, 3) RGB, a px a token.
    """
    tokens = _tokens(encoder, picture)
    height, width, dim = tokens.shape
    flat = torch.from_numpy(tokens.reshape(-1, dim))
    flat = flat - flat.mean(0)
    count = min(3, *flat.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _, _, axes = torch.pca_lowrank(flat, count, center=False)
    signs = torch.sign(axes.gather(0, axes.abs().argmax(0)[None]))
    scores = (flat @ (axes * signs)).numpy()
    low, high = np.percentile(scores, _RANGE, axis=0)
    shares = np.zeros((height * width, 3))
    shares[:, :count] = np.clip((scores - low) / np.maximum(high - low, 1e-12), 0, 1)
    colors: NDArray[np.uint8] = np.rint(255 * shares).astype(np.uint8).reshape(height, width, 3)
    return colors


def _tokens(encoder: Encoder, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Tokens (h, w, d) before the transform, averaged over windows; those in the halo of a window do not count."""
    spec, (height, width) = encoder.spec, picture.shape[:2]
    patch, rule = spec.patch_px, spec.window
    grid = (-(-width // patch), -(-height // patch))
    frame = Frame((width, height), (width, height), spec.mpp, patch, grid)
    total = np.zeros((grid[1], grid[0], spec.dim), np.float32)
    count = np.zeros((grid[1], grid[0], 1), np.float32)
    for window in plan_windows(frame, rule, patch):
        (rows, columns), inside = token_overlap(frame, window)
        maps = raw(encoder, _cut(picture, window.x, window.y, window.size)[None])[0].permute(1, 2, 0).cpu().numpy()
        weight = _weight(maps.shape[:2], rule, patch)[inside]
        total[rows, columns] += weight * maps[inside]
        count[rows, columns] += weight
    total /= np.maximum(count, 1)
    return total


def _cut(picture: NDArray[np.uint8], x: int, y: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A window of a picture, whose border goes on beyond it."""
    rows = np.clip(np.arange(y, y + size[1]), 0, picture.shape[0] - 1)
    columns = np.clip(np.arange(x, x + size[0]), 0, picture.shape[1] - 1)
    cut: NDArray[np.uint8] = picture[rows[:, None], columns]
    return cut


def _weight(grid: tuple[int, int], rule: WindowRule, patch_px: int) -> NDArray[np.float32]:
    """1 for every token of a window (h, w, 1) that counts, 0 for those in its halo."""
    halo = rule.halo_px // patch_px
    weight = np.zeros((*grid, 1), np.float32)
    weight[halo : grid[0] - halo, halo : grid[1] - halo] = 1
    return weight
