"""What an encoder sees, as colours: exact on tokens whose components are known."""

from dataclasses import replace

import numpy as np
import torch

from histofactor.encoders.encoder import Encoder
from histofactor.encoders.pca import pca_map
from histofactor.records import WindowRule


def mean_encoder(tiny_encoder, rule):
    """Tokens are the mean colours of their patches, and nothing else."""

    def dense(pixels):
        return torch.nn.functional.avg_pool2d(pixels, 8)

    spec = replace(tiny_encoder.spec, dim=3, patch_px=8, window=rule, mean=(0, 0, 0), std=(1, 1, 1))
    return Encoder(spec, dense, torch.device("cpu"))


def test_components_are_those_of_an_exact_decomposition(tiny_encoder):
    picture = np.random.default_rng(0).integers(0, 255, (104, 200, 3), np.uint8)
    for rule in (WindowRule(64, 32), WindowRule(64, 32, 16, fixed=False)):
        colors = pca_map(mean_encoder(tiny_encoder, rule), picture)
        tokens = picture.reshape(13, 8, 25, 8, 3).mean((1, 3)).reshape(-1, 3) / 255
        tokens = tokens - tokens.mean(0)
        axes = np.linalg.svd(tokens, full_matrices=False)[2]
        axes = axes * np.sign(np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1))
        scores = tokens @ axes.T
        low, high = np.percentile(scores, (1, 99), axis=0)
        expected = np.rint(255 * np.clip((scores - low) / (high - low), 0, 1)).reshape(13, 25, 3)
        assert colors.shape == (13, 25, 3)
        assert np.abs(colors - expected).max() <= 1


def test_two_halves_are_two_colours(tiny_encoder):
    picture = np.zeros((64, 128, 3), np.uint8)
    picture[:, 64:] = (200, 30, 30)
    colors = pca_map(mean_encoder(tiny_encoder, WindowRule(64, 32)), picture)
    assert (colors[:, :8, 0] == colors[0, 0, 0]).all()
    assert (colors[:, 8:, 0] == 255 - colors[0, 0, 0]).all()
