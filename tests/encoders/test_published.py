"""Weights in a form of their own: low-rank updates are added as their library adds them."""

from dataclasses import replace

import pytest
import torch

from histofactor.encoders.networks import adapt, build_network
from histofactor.encoders.published import as_plain
from histofactor.encoders.registry import get
from histofactor.encoders.weights import load_state
from histofactor.records import WeightsSource


def shallow(name):
    spec = get(name)
    return replace(spec, source=replace(spec.source, arguments={**spec.source.arguments, "depth": 1}))


def filled(network):
    generator = torch.Generator().manual_seed(3)
    return {
        name: torch.randn(value.shape, generator=generator).to(value.dtype)
        for name, value in network.state_dict().items()
    }


def test_low_rank_updates_act_as_beside_the_weights():
    """W x + alpha / r B (A x), computed as peft does it, is what the merged weight gives."""
    W, bias, A, B, x = (torch.randn(*shape) for shape in ((6, 5), (6,), (2, 5), (6, 2), (5,)))
    state = {
        "a.base_layer.weight": W, "a.base_layer.bias": bias,
        "a.lora_A.default.weight": A, "a.lora_B.default.weight": B, "b.weight": x,
    }  # fmt: skip
    plain = as_plain(state, WeightsSource("timm", "x", lora_alpha=16.0))
    assert plain.keys() == {"a.weight", "a.bias", "b.weight"}
    torch.testing.assert_close(plain["a.weight"] @ x + plain["a.bias"], W @ x + bias + 16 / 2 * (B @ (A @ x)))


def test_the_file_of_crisp_fits():
    spec = shallow("crisp")
    network = build_network(spec)
    wanted = filled(network)
    published = {}
    for name, value in wanted.items():
        module, _, kind = name.rpartition(".")
        updated = module.endswith("attn.qkv")
        published[f"base_model.model.{module}.base_layer.{kind}" if updated else f"base_model.model.{name}"] = value
        if updated and kind == "weight":
            A, B = torch.randn(8, value.shape[1]), torch.randn(value.shape[0], 8)
            published[f"base_model.model.{module}.lora_A.default.weight"] = A
            published[f"base_model.model.{module}.lora_B.default.weight"] = B
            wanted[name] = value + 2 * (B @ A)
    load_state(network, adapt(network, published, spec), spec.name)
    for name, value in network.state_dict().items():
        assert torch.equal(value, wanted[name]), name


@pytest.mark.parametrize(
    ("name", "prefix", "rename", "beside"),
    [
        ("keep", "visual.", {".ls1.gamma": ".ls1.weight", ".ls2.gamma": ".ls2.weight"}, "visual_head.0.weight"),
        ("mettle", "backbone.", {}, "head.P"),
        ("crown", "", {".mlp.fc1.": ".mlp.w12.", ".mlp.fc2.": ".mlp.w3."}, "mask_token"),
        ("gigapath-flash", "", {}, "head.weight"),
        ("genbio-pathfm", "", {}, "mask_token"),
        ("prost40m", "", {}, "head.weight"),
    ],
)
def test_files_as_they_were_published_fit(name, prefix, rename, beside):
    spec = shallow(name)
    network = build_network(spec)
    wanted = filled(network)
    published = {beside: torch.zeros(2)}
    for key, value in wanted.items():
        theirs = key
        for ours, published_as in rename.items():
            theirs = theirs.replace(ours, published_as)
        published[prefix + theirs] = value
    load_state(network, adapt(network, published, spec), spec.name)
    for key, value in network.state_dict().items():
        assert torch.equal(value, wanted[key]), key
