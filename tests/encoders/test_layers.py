"""Layers by name: what there is, and that nothing after them is computed."""

from dataclasses import replace

import pytest
import torch

from histofactor.encoders.build import assemble
from histofactor.encoders.layers import compile_blocks, prefix_of
from histofactor.encoders.networks import build_network
from histofactor.encoders.registry import get
from histofactor.errors import EncoderError, OptionError

PIXELS = torch.randn(1, 3, 64, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def uni():
    spec = get("uni")
    spec = replace(spec, source=replace(spec.source, arguments={**spec.source.arguments, "depth": 3}))
    torch.manual_seed(0)
    return spec, build_network(spec).eval()


def test_blocks_after_the_layer_are_not_computed(uni):
    spec, network = uni
    ran = []
    handles = [
        block.register_forward_hook(lambda module, inputs, output, index=index: ran.append(index))
        for index, block in enumerate(network.blocks)
    ]
    with torch.inference_mode():
        assemble(spec, network, layer="blocks[1]").dense(PIXELS)
    for handle in handles:
        handle.remove()
    assert ran == [0, 1]


@torch.inference_mode()
def test_a_layer_is_what_timm_gives_there(uni):
    spec, network = uni
    for layer, index in (("blocks[0]", 0), ("blocks[-2]", 1), ("blocks[-1]", 2)):
        (theirs,) = network.forward_intermediates(
            PIXELS, indices=[index], output_fmt="NCHW", intermediates_only=True, norm=False
        )
        torch.testing.assert_close(assemble(spec, network, layer=layer).dense(PIXELS), theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layer", ["blocks[3]", "blocks[0].value", "blocks[0].keys+norm", "blocks[-2]+norm", "layer3"])
def test_layers_that_are_not_there(uni, layer):
    with pytest.raises(OptionError, match="layer"):
        assemble(*uni, layer=layer)


def test_a_stage_that_is_not_there():
    spec = get("resnet50")
    with pytest.raises(OptionError, match=r"layer1, layer2, layer3, layer4"):
        assemble(spec, build_network(spec), layer="layer5")


def test_tokens_that_do_not_fill_the_grid_are_refused(uni):
    spec, network = uni
    encoder = assemble(spec, network)
    wrong = assemble(replace(spec, patch_px=32), network)
    with pytest.raises(EncoderError, match="1 \\+ 2 × 1"):
        wrong.dense(PIXELS)
    assert encoder.dense(PIXELS).shape == (1, 1024, 4, 3)


def test_prefixes_are_read_from_the_network(uni):
    assert prefix_of(uni[1]) == 1
    spec = get("hibou-b")
    few = replace(spec.source, arguments={**spec.source.arguments, "num_hidden_layers": 1})
    assert prefix_of(build_network(replace(spec, source=few))) == 5
    assert prefix_of(torch.nn.Identity()) == 0


@torch.inference_mode()
def test_compiled_blocks_give_the_same_tokens(uni):
    spec, _ = uni
    torch.manual_seed(0)
    network = build_network(spec).eval()
    plain = assemble(spec, network).dense(PIXELS)
    compile_blocks(network, backend="eager")
    torch.testing.assert_close(assemble(spec, network).dense(PIXELS), plain)
