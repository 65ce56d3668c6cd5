"""Joint encoders: sums of responses and Grams, on one grid."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from histofactor.concepts.bank.record import new_bank
from histofactor.encoders.build import load_encoder
from histofactor.encoders.embedded.network import DIM
from histofactor.encoders.encode import encode
from histofactor.encoders.encoder import Encoder, Inference, run_as
from histofactor.encoders.joint import join
from histofactor.errors import EncoderError, OptionError
from histofactor.records import WindowRule
from histofactor.segmentation.page import segment


@pytest.fixture
def coarse(tiny_encoder):
    """Another encoder of the same µm/px, with a patch of 12 px, a width of 5 and another normalisation."""
    torch.manual_seed(1)
    network = torch.nn.Conv2d(3, 5, 12, stride=12).requires_grad_(False)
    spec = replace(
        tiny_encoder.spec, name="coarse", patch_px=12, dim=5, mean=(0.2, 0.3, 0.4), window=WindowRule(96, 48)
    )
    return Encoder(spec, network, tiny_encoder.device)


def test_one_encoder_twice_gives_its_own_weights(tiny_encoder, tiny_bank, tissue):
    twice = join([tiny_encoder, tiny_encoder])
    vectors = np.hstack([tiny_bank.vectors, tiny_bank.vectors]) / np.float32(np.sqrt(2))
    bank = new_bank(vectors, twice.spec.key, mpp=1.0)
    alone = segment(tissue, encoder=tiny_encoder, concepts=tiny_bank, source_mpp=1.0)
    joined = segment(tissue, encoder=twice, concepts=bank, source_mpp=1.0)
    np.testing.assert_allclose(joined.weights.values, alone.weights.values, atol=1e-4)
    np.testing.assert_array_equal(joined.label_map.labels, alone.label_map.labels)


def test_features_stand_side_by_side(tiny_encoder, coarse):
    joint = join([tiny_encoder, coarse])
    pixels = np.random.default_rng(0).integers(0, 255, (1, 96, 72, 3), np.uint8)
    values = encode(joint, pixels).values
    assert values.shape == (1, 12, 9, 17)
    own = encode(tiny_encoder, pixels).values / np.sqrt(2)
    torch.testing.assert_close(values[..., :12], own)
    other = encode(coarse, pixels).values.mean((0, 1, 2)) / np.sqrt(2)
    torch.testing.assert_close(values[..., 12:].mean((0, 1, 2)), other, rtol=0.1, atol=0.01)


def test_the_row_says_what_was_joined(tiny_encoder, coarse):
    spec = join([tiny_encoder, coarse]).spec
    assert spec.key.name == "tiny,coarse"
    assert spec.key.revision == "1,1"
    assert spec.key.layer == "conv,conv"
    assert spec.dim == 17
    assert spec.window.size_px % 24 == spec.window.overlap_px % 24 == spec.window.halo_px % 24 == 0
    assert spec.window.size_px > spec.window.overlap_px >= 2 * spec.window.halo_px >= 32
    assert spec.window.fixed


def test_a_joint_encoder_segments(tiny_encoder, coarse, tissue):
    joint = join([tiny_encoder, coarse])
    vectors = np.random.default_rng(0).gamma(0.5, 1.0, (6, 17)).astype(np.float32)
    result = segment(tissue, encoder=joint, concepts=new_bank(vectors, joint.spec.key), source_mpp=1.0)
    assert len(np.unique(result.label_map.labels)) > 2


def test_loaded_by_name():
    joint = load_encoder("embedded,embedded", device="cpu")
    assert joint.spec.dim == 2 * DIM
    assert joint.spec.name == "embedded,embedded"


def outlying(encoder):
    """The same encoder with a token whose norm stands out, in every window."""

    def dense(pixels):
        maps = encoder.dense(pixels).clone()
        maps[:, :, 2, 3] *= 50
        return maps

    return replace(encoder, dense=dense)


@pytest.mark.parametrize(
    "inference",
    [
        Inference(repair_tokens=True),
        Inference(precision="bfloat16"),
        Inference(precision="bfloat16", repair_tokens=True),
    ],
)
def test_parts_of_a_joint_encoder_run_as_they_are_asked_to(tiny_encoder, coarse, inference):
    pixels = np.random.default_rng(0).integers(0, 255, (1, 96, 96, 3), np.uint8)
    parts = [outlying(tiny_encoder), outlying(coarse)]
    asked = [run_as(part, inference) for part in parts]
    joint = encode(join(asked), pixels).values
    own = encode(asked[0], pixels).values / np.sqrt(2)
    torch.testing.assert_close(joint[..., :12], own)
    assert not torch.allclose(joint, encode(join(parts), pixels).values, atol=1e-6, rtol=0)


def test_a_joint_encoder_that_is_loaded_tells_how_it_runs():
    joint = load_encoder(
        "embedded,embedded", device="cpu", inference=Inference(precision="bfloat16", repair_tokens=True)
    )
    assert (joint.precision, joint.repaired) == ("bfloat16", True)
    plain = load_encoder("embedded,embedded", device="cpu")
    assert (plain.precision, plain.repaired) == ("float32", False)
    pixels = np.random.default_rng(0).integers(0, 255, (1, 128, 128, 3), np.uint8)
    alone = load_encoder("embedded", device="cpu", inference=Inference(precision="bfloat16", repair_tokens=True))
    values = encode(joint, pixels).values
    torch.testing.assert_close(values[..., :DIM], encode(alone, pixels).values / np.sqrt(2))
    assert not torch.equal(values, encode(plain, pixels).values)


def test_formats_that_differ_are_both_told(tiny_encoder, coarse):
    joint = join([run_as(tiny_encoder, Inference(precision="bfloat16")), coarse])
    assert joint.precision == "bfloat16,float32"


def test_encoders_that_cannot_be_joined(tiny_encoder, coarse):
    finer = replace(coarse, spec=replace(coarse.spec, mpp=0.5))
    with pytest.raises(OptionError, match="cannot be joined"):
        join([tiny_encoder, finer])
    with pytest.raises(OptionError, match="joint encoder"):
        load_encoder("embedded,embedded", layer="code")
    with pytest.raises(EncoderError, match="unknown encoder 'nobody'"):
        load_encoder("embedded,nobody")
