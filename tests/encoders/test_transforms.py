"""Every transform gives non-negative features of the width that the encoder's row says."""

import numpy as np
import pytest
import torch

from histofactor.encoders.build import load_encoder, with_transform
from histofactor.encoders.encode import encode
from histofactor.encoders.transforms import TRANSFORMS
from histofactor.errors import OptionError

PIXELS = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), np.uint8)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_contract(tiny_encoder, name):
    encoder = with_transform(tiny_encoder, name)
    features = encode(encoder, PIXELS)
    assert (features.values >= 0).all()
    assert features.values.shape == (2, 8, 8, encoder.spec.dim)
    assert features.encoder.transform == name
    assert with_transform(encoder, "relu").spec == tiny_encoder.spec


def test_split_loses_nothing(tiny_encoder):
    split = encode(with_transform(tiny_encoder, "split"), PIXELS).values
    plus, minus = split[..., :12], split[..., 12:]
    torch.testing.assert_close(plus, encode(tiny_encoder, PIXELS).values)
    assert (plus * minus == 0).all()
    raw = tiny_encoder.dense(torch.from_numpy(PIXELS).permute(0, 3, 1, 2).float().div(255).sub(0.5).div(0.25))
    torch.testing.assert_close(plus - minus, raw.permute(0, 2, 3, 1))


def test_an_unknown_transform():
    with pytest.raises(OptionError, match="one of relu, shift, split"):
        load_encoder("embedded", transform="abs")


def test_joint_encoders_keep_their_own():
    with pytest.raises(OptionError, match="joint encoder"):
        load_encoder("embedded,embedded", transform="split")


def test_roots_are_unit_vectors_whose_squares_are_shares(tiny_encoder):
    split, root = (encode(with_transform(tiny_encoder, name), PIXELS).values for name in ("split", "split-root"))
    torch.testing.assert_close(root.square().sum(-1), torch.ones(root.shape[:-1]))
    torch.testing.assert_close(root.square() * split.sum(-1, keepdim=True), split)


def test_the_root_of_a_token_without_features_is_zero():
    assert (TRANSFORMS["root"](torch.full((1, 3, 2, 2), -1.0)) == 0).all()


@pytest.mark.parametrize("before", TRANSFORMS)
@pytest.mark.parametrize("after", TRANSFORMS)
def test_channels_follow_the_transform(tiny_encoder, before, after):
    encoder = with_transform(with_transform(tiny_encoder, before), after)
    assert encode(encoder, PIXELS).values.shape[-1] == encoder.spec.dim
