"""Bands of labels and weights, of random numbers."""

import numpy as np

from histofactor.masks.bands import Band
from histofactor.records import TokenMaps


def random_bands(rows, width, stride, seed=0):
    """Yield bands of so many rows each, with the maps of their tokens and weights of five concepts."""
    rng = np.random.default_rng(seed)
    for height in rows:
        tokens = (-(-height // stride), -(-width // stride))
        maps = (rng.random(tokens, np.float32) for _ in range(3))
        yield Band(
            rng.integers(0, 7, (height, width)).astype(np.uint8),
            rng.integers(0, 256, (height, width)).astype(np.float32) / 255,
            TokenMaps(stride, rng.integers(0, 7, tokens).astype(np.uint8), *maps),
            rng.random(tokens) < 0.2,
            rng.random((*tokens, 5), np.float32),
        )
