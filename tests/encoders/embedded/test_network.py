"""The embedded network: geometry against plain definitions, and weights that are small, finite and useful."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from histofactor.encoders.build import load_encoder
from histofactor.encoders.embedded import network as module
from histofactor.encoders.embedded.network import DIM, HALO_PX, RADIUS_PX, STRIDE_PX, EmbeddedNetwork
from histofactor.encoders.encode import encode

WEIGHTS = Path(module.__file__).with_name(module.WEIGHTS_FILE)
SIDE = 2 * (HALO_PX // STRIDE_PX) + 1  # tokens: the middle one lies a halo from every side


@pytest.fixture(scope="module")
def network() -> EmbeddedNetwork:
    network = EmbeddedNetwork().eval()
    network.load_state_dict({k: v.float() for k, v in load_file(WEIGHTS).items()}, strict=True)
    return network.requires_grad_(False)


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_weights_are_small_and_finite():
    state = load_file(WEIGHTS)
    assert WEIGHTS.stat().st_size <= 4_000_000
    assert all(v.dtype == torch.float16 and torch.isfinite(v).all() for v in state.values())


@pytest.mark.parametrize(("height", "width"), [(8, 8), (64, 200), (136, 72)])
def test_one_token_a_block(network: EmbeddedNetwork, height: int, width: int):
    out = network(noise(height, width))
    assert out.shape == (1, DIM, height // STRIDE_PX, width // STRIDE_PX)
    assert torch.isfinite(out).all()


def test_the_quick_way_is_the_plain_one(network: EmbeddedNetwork):
    """Where nothing is trained, a CPU multiplies less."""
    pixels = noise(200, 136)
    plain = network(pixels)
    with torch.inference_mode():
        quick = network(pixels.contiguous(memory_format=torch.channels_last))
    assert not torch.equal(quick, plain)
    torch.testing.assert_close(quick, plain, rtol=0, atol=1e-4)


def test_shorter_numbers_take_the_plain_way(network: EmbeddedNetwork):
    pixels = noise(64, 64)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        short = network(pixels)
    assert short.dtype == torch.bfloat16
    plain = network(pixels)
    assert (short.float() - plain).norm() < 0.03 * plain.norm()


def test_only_convolutions(network: EmbeddedNetwork):
    leaves = {type(m) for m in network.modules() if not list(m.children())}
    assert leaves == {torch.nn.Conv2d}


def test_a_token_sees_its_radius_and_no_further(network: EmbeddedNetwork):
    pixels = noise(SIDE * STRIDE_PX, SIDE * STRIDE_PX).requires_grad_()
    middle = SIDE // 2
    network(pixels)[0, :, middle, middle].abs().sum().backward()
    seen = pixels.grad.abs().sum((0, 1)) > 0
    for axis in (0, 1):
        reached = np.flatnonzero(seen.any(axis).numpy())
        before, after = middle * STRIDE_PX - reached[0], reached[-1] + 1 - (middle + 1) * STRIDE_PX
        assert before == after == RADIUS_PX
    assert RADIUS_PX <= HALO_PX < RADIUS_PX + STRIDE_PX
    assert HALO_PX % STRIDE_PX == 0


def test_pixels_beyond_the_halo_change_nothing(network: EmbeddedNetwork):
    pixels = noise(320, 320)
    other = noise(320, 320, seed=1)
    kept = slice(HALO_PX, 320 - HALO_PX)
    other[..., 8:-8, 8:-8] = pixels[..., 8:-8, 8:-8]
    inner = slice((8 + HALO_PX) // STRIDE_PX, (320 - 8 - HALO_PX) // STRIDE_PX)
    torch.testing.assert_close(network(pixels)[..., inner, inner], network(other)[..., inner, inner], rtol=0, atol=1e-6)
    assert not torch.equal(network(pixels), network(other))
    # a window cut out of the image gives the tokens of the image, beyond its halo
    whole, cut = network(noise(400, 400)), network(noise(400, 400)[..., 40:360, 80:400])
    tokens = slice(kept.start // STRIDE_PX, kept.stop // STRIDE_PX)
    torch.testing.assert_close(
        whole[..., 5:45, 10:50][..., tokens, tokens], cut[..., tokens, tokens], rtol=0, atol=1e-4
    )


def test_a_shift_by_one_stride_shifts_the_tokens(network: EmbeddedNetwork):
    pixels = noise(320, 320)
    margin = HALO_PX // STRIDE_PX + 1
    a, b = network(pixels), network(torch.roll(pixels, (STRIDE_PX, -STRIDE_PX), (2, 3)))
    inner = slice(margin, -margin)
    torch.testing.assert_close(
        torch.roll(a, (1, -1), (2, 3))[..., inner, inner], b[..., inner, inner], rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_kernels_see_turned_tissue(network: EmbeddedNetwork, turns: int):
    """The layout of the network favours no direction: only its weights do."""
    turned = EmbeddedNetwork().eval()
    turned.load_state_dict(
        {k: torch.rot90(v, turns, (2, 3)) if v.ndim == 4 else v for k, v in network.state_dict().items()}
    )
    pixels = noise(64, 64)
    expected = torch.rot90(network(pixels), turns, (2, 3))
    torch.testing.assert_close(turned(torch.rot90(pixels, turns, (2, 3))), expected, rtol=0, atol=1e-4)


def test_tokens_change_little_where_they_begin_one_px_later(network: EmbeddedNetwork):
    pixels = torch.nn.functional.avg_pool2d(noise(323, 323), 4, 1)  # as sharp as a scan, not as white noise
    a, b = (network(part).relu() for part in (pixels[..., :-8, :-8], pixels[..., 1:-7, 1:-7]))
    inner = slice(HALO_PX // STRIDE_PX, -HALO_PX // STRIDE_PX)
    moved, spread = (a - b)[..., inner, inner].norm(), (a - a.mean((2, 3), keepdim=True))[..., inner, inner].norm()
    assert moved < 0.35 * spread


def test_the_surround_is_round_and_the_same_turned_and_mirrored(network: EmbeddedNetwork):
    kernel = network.contrast.weight[:, 0]
    assert torch.equal(kernel, kernel.flip(2))
    assert torch.equal(kernel, kernel.transpose(1, 2))
    y, x = torch.meshgrid(*[torch.arange(17) - 8.0] * 2, indexing="ij")
    beyond = torch.hypot(y, x) >= 8.5
    assert beyond.sum() > 40
    assert not kernel[:, beyond].any()
    assert kernel[:, ~beyond].any()


def test_tokens_are_centred_on_their_block():
    """With every spatial kernel flat, the response to pixels must be balanced about the block's centre."""
    network = EmbeddedNetwork().eval()
    for p in network.parameters():
        torch.nn.init.constant_(p, 1e-2 if p.ndim > 1 else 0.0)
    pixels = torch.full((1, 3, SIDE * STRIDE_PX, SIDE * STRIDE_PX), 0.5, requires_grad=True)
    middle = SIDE // 2
    network(pixels)[0, :, middle, middle].sum().backward()
    weight = pixels.grad.sum((0, 1)).double()
    at = torch.arange(SIDE * STRIDE_PX) + 0.5
    for axis in (0, 1):
        profile = weight.sum(1 - axis)
        assert abs((profile * at).sum() / profile.sum() - (middle + 0.5) * STRIDE_PX) < 0.01


def tissue(nuclei: int, ink: tuple[float, float, float], seed: int = 0) -> torch.Tensor:
    """Round nuclei on a flat ground, (1, 3, 320, 320) in [-1, 1]; ``ink`` is the optical density of the nuclei."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:320, :320]
    density = np.tile([0.08, 0.35, 0.15], (320, 320, 1))
    for cx, cy in rng.uniform(0, 320, (nuclei, 2)):
        density[(x - cx) ** 2 + (y - cy) ** 2 < 9] = ink
    return torch.from_numpy(np.exp(-density) * 2 - 1).permute(2, 0, 1)[None].float()


def test_tissue_matters_more_than_stain(network: EmbeddedNetwork):
    inner = slice(HALO_PX // STRIDE_PX, -HALO_PX // STRIDE_PX)

    def token(nuclei: int, ink: tuple[float, float, float]) -> torch.Tensor:
        return network(tissue(nuclei, ink)).relu()[..., inner, inner].mean((0, 2, 3))

    strong, pale = (0.95, 1.0, 0.45), (0.75, 0.8, 0.35)
    restained = (token(900, strong) - token(900, pale)).norm()
    retissued = (token(900, strong) - token(60, strong)).norm()
    assert restained < 0.5 * retissued


@pytest.mark.parametrize("shape", [(1, 256, 256), (3, 128, 192), (1, 248, 512)])
def test_features_do_not_hang_on_how_many_threads_there_are(shape):
    """Workers of one run have different shares of a machine, and their results are the same bytes."""
    encoder, threads = load_encoder("embedded"), torch.get_num_threads()
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    made = []
    try:
        for n in (1, 2, 3, 4):
            torch.set_num_threads(n)
            made.append(encode(encoder, pixels).values.clone())
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, made[0]) for one in made)
