"""Networks of pairs are those of their libraries, put together as their makers do."""

import json

import pytest
import torch

from histofactor.encoders.networks import import_transformers
from histofactor.encoders.pair_networks import KINDS
from small_pairs import SIDE_PX, clip_folder, keep_folder


@pytest.fixture(scope="module", params=["clip", "keep"])
def built(request, tmp_path_factory):
    """A network of either kind, and its config."""
    make = {"clip": clip_folder, "keep": keep_folder}[request.param]
    config = json.loads((make(tmp_path_factory.mktemp("pair") / "x") / "config.json").read_text())
    return KINDS[request.param](import_transformers("x"), config).eval(), request.param


@torch.inference_mode()
def test_both_encoders_lead_into_one_space(built):
    network, kind = built
    tokens = {"input_ids": torch.tensor([[0, 3, 1]]), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
    assert network.of_images(torch.zeros(2, 3, SIDE_PX, SIDE_PX)).shape == (2, 24)
    assert network.of_texts(tokens).shape == (1, 24)
    assert (network.side_px, network.longest) == (SIDE_PX, {"clip": 16, "keep": 32}[kind])
    assert network.end == {"clip": 1, "keep": None}[kind]
