"""Pixels to features to responses."""

import numpy as np
import torch

from histofactor.encoders.encode import encode, respond


def batch(n=2, side=64, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (n, side, side, 3), np.uint8)


def test_normalisation_and_transform(tiny_encoder):
    pixels = batch()
    normalized = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    expected = torch.relu(tiny_encoder.dense(normalized)).permute(0, 2, 3, 1)
    torch.testing.assert_close(encode(tiny_encoder, pixels).values, expected)


def test_read_only_pixels_are_fine_and_kept(tiny_encoder):
    pixels = batch()
    pixels.flags.writeable = False
    before = pixels.copy()
    encode(tiny_encoder, pixels)
    np.testing.assert_array_equal(pixels, before)


def test_responses(tiny_encoder):
    features = encode(tiny_encoder, batch())
    X = features.values.numpy()
    directions = np.random.default_rng(0).random((12, 5))
    B, sq_norms = respond(features, directions)
    np.testing.assert_allclose(B, X @ directions, rtol=1e-5)
    np.testing.assert_allclose(sq_norms, (X**2).sum(-1), rtol=1e-5)
    whole, _ = respond(features, None)
    np.testing.assert_array_equal(whole, X)
