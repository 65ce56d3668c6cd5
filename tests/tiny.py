"""An encoder that is small and random, and concepts of it."""

import numpy as np
import torch

from histofactor.concepts.bank.record import new_bank
from histofactor.encoders.build import Encoder
from histofactor.records import EncoderSpec, WeightsSource, WindowRule


def encoder():
    """A small random convolutional encoder whose tokens see 8 px beyond their block."""
    generator = torch.Generator().manual_seed(0)
    network = torch.nn.Conv2d(3, 12, 24, stride=8, padding=8)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    spec = EncoderSpec(
        name="tiny",
        source=WeightsSource("test", "Conv2d", revision="1"),
        patch_px=8,
        dim=12,
        prefix_tokens=0,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        mpp=1.0,
        window=WindowRule(128, 32, 16, fixed=False),
        layer="conv",
        transform="relu",
        licence="none",
        gated=False,
        facts="made for the tests",
    )
    return Encoder(spec, network.eval().requires_grad_(False), torch.device("cpu"))


def bank(of):
    """Six random concepts of the encoder."""
    vectors = np.random.default_rng(0).gamma(0.5, 1.0, (6, 12)).astype(np.float32)
    return new_bank(vectors, of.spec.key, mpp=1.0)
