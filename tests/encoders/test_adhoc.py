"""Rows for networks that the table does not have."""

import json

import numpy as np
import pytest
import torch

from histofactor.encoders.build import assemble, load_encoder
from histofactor.encoders.encode import encode
from histofactor.encoders.networks import build_network
from histofactor.encoders.registry import get
from histofactor.errors import EncoderError


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("timm:vit_tiny_patch16_224", (16, 192, 1, "blocks[-1]")),
        ("timm:vit_small_patch14_reg4_dinov2", (14, 384, 5, "blocks[-1]")),
        ("timm:resnet18", (32, 512, 0, "layer4")),
        ("timm:convnext_atto", (32, 320, 0, "stages[3]")),
    ],
)
def test_any_network_of_timm(name, facts):
    spec = get(name)
    assert (spec.patch_px, spec.dim, spec.prefix_tokens, spec.layer) == facts
    encoder = assemble(spec, build_network(spec))
    pixels = np.zeros((1, 4 * spec.patch_px, 6 * spec.patch_px, 3), np.uint8)
    assert encode(encoder, pixels).values.shape == (1, 4, 6, spec.dim)


def test_a_folder_of_transformers(tmp_path):
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    torch.manual_seed(0)
    config = Dinov2WithRegistersConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14
    )
    network = Dinov2WithRegistersModel(config).eval()
    network.save_pretrained(tmp_path)
    stated = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(stated))
    encoder = load_encoder(f"transformers:{tmp_path}", layer="blocks[-1]+norm", device="cpu")
    assert (encoder.spec.prefix_tokens, encoder.spec.std) == (5, (0.25, 0.25, 0.25))
    assert encoder.spec.key.revision.startswith("sha256:")
    pixels = np.random.default_rng(0).integers(0, 255, (1, 56, 56, 3), np.uint8)
    with torch.inference_mode():
        theirs = network((torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25).last_hidden_state[:, 5:]
    ours = encode(encoder, pixels).values
    torch.testing.assert_close(ours.reshape(1, 16, 32), torch.relu(theirs), atol=1e-5, rtol=1e-5)


def test_what_is_not_stated_is_said(tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "vit", "hidden_size": 32, "patch_size": 16, "image_size": 224})
    )
    assert "states none" in get(f"transformers:{tmp_path}").facts


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"model_type": "bert", "hidden_size": 8, "patch_size": 1, "image_size": 8}, "row of its own"),
        ({"model_type": "vit"}, "no vision transformer"),
        ([], "no vision transformer"),
    ],
)
def test_folders_of_something_else(tmp_path, config, told):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(EncoderError, match=told):
        get(f"transformers:{tmp_path}")


def test_a_name_that_timm_does_not_have():
    with pytest.raises(EncoderError, match="timm has no network"):
        get("timm:vit_small_patch99")
