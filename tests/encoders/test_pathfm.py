"""GenBio-PathFM: three colours on their own, and rotary positions as in DINOv3."""

import pytest
import torch
from timm.layers.pos_embed_sincos import RotaryEmbeddingDinoV3

from histofactor.encoders.pathfm import PathFM

SMALL = {"depth": 2, "dim": 48, "heads": 3}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return PathFM(**SMALL).eval()


@torch.inference_mode()
def test_colours_are_encoded_on_their_own_and_put_side_by_side(network):
    pixels = torch.randn(2, 3, 48, 32)
    tokens = network.side_by_side(network(pixels))
    assert tokens.shape == (2, 5 + 6, 3 * 48)
    for image in range(2):
        for color in range(3):
            alone = network(pixels[image : image + 1, color : color + 1])
            torch.testing.assert_close(tokens[image, :, 48 * color : 48 * (color + 1)], alone[0], atol=1e-5, rtol=1e-5)


def test_angles_are_those_of_dinov3_but_for_bfloat16(network):
    theirs = RotaryEmbeddingDinoV3(16, temperature=100.0).get_embed([5, 7])
    sin, cos = network.rope_embed(5, 7)
    ours = torch.cat([sin, cos], -1).float()
    assert (ours - theirs.reshape(ours.shape)).abs().max() < 0.1  # of angles up to 2 pi with 8 bits
    assert sin.dtype == torch.bfloat16


def test_the_true_network_has_the_parameters_that_its_paper_counts():
    with torch.device("meta"):
        network = PathFM()
    assert sum(one.numel() for one in network.parameters()) == pytest.approx(1.13e9, rel=0.01)
    assert network.blocks[0].mlp.w1.weight.shape == (4096, 1536)
