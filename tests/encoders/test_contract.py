"""Every row of the registry, on a randomly initialised network of its true architecture at reduced depth.

A network that is code of its repository is stood in for by one with its token geometry, put together as that code is
said to be: a vision transformer in ``model``, and a config that tells its registers.
"""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch

from histofactor.encoders.build import assemble
from histofactor.encoders.encode import encode
from histofactor.encoders.layers import PARTS
from histofactor.encoders.networks import build_network
from histofactor.encoders.registry import get, list_encoders
from histofactor.encoders.window import at_window

ROWS = [spec.name for spec in list_encoders()]
HEADS = {"rudolfv-2": 24, "rudolfv-2-b": 12, "rudolfv-2-s": 6}
ADDED = [
    *("gigapath-flash", "rudolfv-2-s", "rudolfv-2-b", "mettle", "mascaret", "phaet", "mstar", "crisp", "crown"),
    *("genbio-pathfm", "prost40m", "keep", "conch", "musk"),
]
WINDOWS_PX = (224, 518, 756, 1022)
OF_EACH_KIND = [
    *("h-optimus-0", "h-optimus-1", "prov-gigapath", "uni2-h", "dinov3-small", "phikon", "midnight-12k", "hibou-b"),
    *("musk", "ctranspath", "genbio-pathfm", "rudolfv-2-s"),
]
OF_LIBRARIES = ["uni", "uni2-h", "dinov3-small", "phikon", "phikon-v2", "hibou-b", "musk", "genbio-pathfm"]


class Remote(torch.nn.Module):
    """What ``transformers.AutoModel`` makes of a repository's own code."""

    def __init__(self, spec, dim, heads, depth):
        super().__init__()
        registers = spec.prefix_tokens - 1
        self.config = SimpleNamespace(num_register_tokens=registers)
        shape = {"embed_dim": dim, "num_heads": heads, "depth": depth, "patch_size": spec.patch_px}
        self.model = timm.create_model(
            "vit_small_patch16_224", num_classes=0, reg_tokens=registers, dynamic_img_size=True, **shape
        )

    def forward(self, pixel_values):
        return SimpleNamespace(last_hidden_state=self.model.forward_features(pixel_values))


def with_arguments(spec, **arguments):
    return replace(spec, source=replace(spec.source, arguments={**spec.source.arguments, **arguments}))


def shallow(name, depth=2):
    """The row with fewer blocks: the geometry of its tokens stays."""
    spec = get(name)
    if spec.source.library == "transformers":
        return with_arguments(spec, num_hidden_layers=depth)
    if spec.source.architecture == "CTransPath":
        return with_arguments(spec, depths=(1, 1, 1, 1))
    return with_arguments(spec, depth=depth) if spec.prefix_tokens else spec


def build(spec, depth=2, dim=None, heads=None):
    """The network of a row, or what stands for it."""
    torch.manual_seed(0)
    if spec.source.remote_code:
        return Remote(spec, dim or spec.dim, heads or HEADS[spec.name], depth).eval()
    return build_network(spec).eval()


@cache
def built(name):
    spec = shallow(name)
    return spec, build(spec)


def side_of(spec):
    """A window that the network takes: its own where that is fixed, else a small one that is not square."""
    if spec.source.architecture == "CTransPath" or spec.source.remote_code:
        return (spec.window.size_px,) * 2
    if not spec.prefix_tokens:
        return 31 * spec.patch_px, 41 * spec.patch_px
    return 6 * spec.patch_px, 9 * spec.patch_px


@pytest.fixture(autouse=True)
def forget():
    """Keep one network in memory at a time."""
    yield
    if built.cache_info().currsize > 1:
        built.cache_clear()


@pytest.mark.parametrize("name", ROWS)
def test_contract(name):
    spec, network = built(name)
    encoder = assemble(spec, network)
    assert encoder.spec.layer == spec.layer
    assert encoder.spec.dim == spec.dim
    check_geometry(encoder, *side_of(spec))


@pytest.mark.parametrize("window_px", [224, 336])
@pytest.mark.parametrize("name", ADDED)
def test_contract_at_two_window_sizes(name, window_px):
    """At the true width; positions that a file has are those of the row's own window."""
    spec, network = built(name)
    spec = at_window(spec, window_px)
    assert spec.window.size_px == window_px
    check_geometry(assemble(spec, network), window_px, window_px)


@pytest.mark.parametrize("window_px", WINDOWS_PX)
@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_contract_at_every_window_size(name, window_px):
    """On one narrow block: the geometry of tokens does not hang on the width."""
    spec = at_window(narrow(name), window_px // get(name).patch_px * get(name).patch_px)
    side = spec.window.size_px
    encoder = assemble(spec, build(spec, depth=1, dim=48, heads=3))
    check_geometry(encoder, side, side, power=2)  # the attention of CTransPath spreads a little over 7 × 7 tokens
    assert 0.4 * side <= spec.window.overlap_px <= 0.6 * side


def narrow(name):
    spec = shallow(name, depth=1)
    width = {
        "timm": {"embed_dim": 48, "num_heads": 3},
        "transformers": {"hidden_size": 48, "num_attention_heads": 3, "intermediate_size": 96},
        "own": {"dim": 48, "heads": 3},
    }[spec.source.library]
    if spec.source.architecture == "CTransPath":
        return spec
    return replace(with_arguments(spec, **width), dim=144 if name == "genbio-pathfm" else 48)


def check_geometry(encoder, height, width, power=1):
    """Tokens lie where their patches lie, are finite, and are called what they are."""
    spec = encoder.spec
    rng = np.random.default_rng(0)
    pixels = rng.integers(100, 140, (1, height, width, 3), np.uint8)
    rows, columns = height // spec.patch_px, width // spec.patch_px
    features = encode(encoder, pixels)
    assert features.values.shape == (1, rows, columns, spec.dim)
    assert features.values.dtype == torch.float32
    assert torch.isfinite(features.values).all()
    assert (features.values >= 0).all()
    assert features.encoder == encoder.spec.key
    # a lit patch lights its own token more than any other; convolutions blur it, and there its centre must be right
    row, column = rows // 2, columns // 3
    lit = pixels.copy()
    step = spec.patch_px
    lit[:, row * step : (row + 1) * step, column * step : (column + 1) * step] = 255
    change = (raw(encoder, lit) - raw(encoder, pixels)).norm(dim=1)[0].double().numpy()
    if spec.prefix_tokens:
        assert np.unravel_index(change.argmax(), change.shape) == (row, column)
    else:
        change = change**power
        centre = [(change.sum(1 - axis) * np.arange(change.shape[axis])).sum() / change.sum() for axis in (0, 1)]
        np.testing.assert_allclose(centre, (row, column), atol=0.5)


@torch.inference_mode()
def raw(encoder, pixels):
    """The map before the transform."""
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (encoder.spec.mean, encoder.spec.std))
    return encoder.dense((images - mean) / std)


@pytest.mark.parametrize(
    "name", ["uni", "uni2-h", "dinov3-small", "phikon", "phikon-v2", "hibou-b", "musk", "genbio-pathfm"]
)
def test_tokens_are_those_of_the_library(name):
    spec, network = built(name)
    height, width = side_of(spec)
    torch.manual_seed(1)
    pixels = torch.randn(1, 3, height, width)
    with torch.inference_mode():
        if spec.source.library == "transformers":
            options = {"interpolate_pos_encoding": True} if name == "phikon" else {}
            theirs = network(pixels, **options).last_hidden_state
        else:
            theirs = getattr(network, "forward_features", network)(pixels)
        if name == "genbio-pathfm":  # red, green and blue, a batch each
            theirs = torch.cat(list(theirs), -1)[None]
        ours = assemble(spec, network, layer="blocks[-1]+norm").dense(pixels)
    grid = theirs[:, spec.prefix_tokens :].transpose(1, 2).reshape(ours.shape)
    torch.testing.assert_close(ours, grid, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_stages_are_those_of_the_library():
    spec, network = built("resnet50")
    pixels = torch.randn(1, 3, 96, 64)
    theirs = network.maxpool(network.act1(network.bn1(network.conv1(pixels))))
    theirs = network.layer3(network.layer2(network.layer1(theirs)))
    torch.testing.assert_close(assemble(spec, network).dense(pixels), theirs, atol=1e-5, rtol=1e-5)
    spec, network = built("ctranspath")
    pixels = torch.randn(1, 3, 224, 224)
    theirs = network.layers(network.patch_embed(pixels)).permute(0, 3, 1, 2)
    torch.testing.assert_close(assemble(spec, network).dense(pixels), theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["uni", "dinov3-small", "phikon", "hibou-b", "musk"])
def test_parts_of_attention(name):
    """The attention of a block, put together again from its queries, keys and values, gives its own output."""
    spec, network = built(name)
    height, width = side_of(spec)
    pixels = torch.randn(1, 3, height, width)
    maps = {part: assemble(spec, network, layer=f"blocks[0].{part}") for part in PARTS}
    with torch.inference_mode():
        found = {part: encoder.dense(pixels) for part, encoder in maps.items()}
    assert {encoder.spec.layer for encoder in maps.values()} == {f"blocks[0].{part}" for part in PARTS}
    assert all(
        value.shape == (1, spec.dim, height // spec.patch_px, width // spec.patch_px) for value in found.values()
    )
    block = (getattr(network, "blocks", None) or getattr(network, "layers", None) or network.encoder.layer)[0]
    seen = {}
    attention = getattr(block, "attn", None) or getattr(block, "attention", None) or block.self_attn
    handle = attention.register_forward_pre_hook(
        lambda module, inputs, options: seen.update(x=inputs[0] if inputs else next(iter(options.values()))),
        with_kwargs=True,
    )
    with torch.inference_mode():
        assemble(spec, network).dense(pixels)
        handle.remove()
        for place, part in enumerate(PARTS):
            if hasattr(attention, "qkv"):
                expected = attention.qkv(seen["x"]).chunk(3, -1)[place]
            else:
                expected = getattr(attention, f"{part[0]}_proj")(seen["x"])
            grid = expected[:, spec.prefix_tokens :].transpose(1, 2).reshape(found[part].shape)
            torch.testing.assert_close(found[part], grid, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["dinov2-small", "phikon", "virchow2"])
def test_another_size_and_shape(name):
    spec, network = built(name)
    encoder = assemble(spec, network)
    for rows, columns in ((3, 11), (20, 4)):
        pixels = np.zeros((2, rows * spec.patch_px, columns * spec.patch_px, 3), np.uint8)
        assert encode(encoder, pixels).values.shape == (2, rows, columns, spec.dim)
