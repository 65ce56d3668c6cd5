"""Windows of another size: any that the network takes, and one clear message for the others."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from histofactor.encoders.build import assemble, row_of
from histofactor.encoders.networks import build_network
from histofactor.encoders.registry import get, list_encoders
from histofactor.encoders.window import at_window
from histofactor.errors import OptionError

ROWS = {spec.name: spec for spec in list_encoders()}


@pytest.mark.parametrize("name", ROWS)
def test_every_row_takes_windows_of_about_a_thousand_px(name):
    spec = ROWS[name]
    px = 1022 // spec.patch_px * spec.patch_px
    found = at_window(spec, px)
    assert found.window.size_px == px
    assert found.window.overlap_px % spec.patch_px == 0
    assert 2 * found.window.halo_px <= found.window.overlap_px < px
    assert found.key == spec.key  # the same features: a bank fits, and is told of the window
    assert replace(found, window=spec.window, source=spec.source) == spec


@given(st.sampled_from(sorted(ROWS)), st.integers(-50, 6000))
def test_a_size_is_taken_or_a_near_one_that_is_taken_is_named(name, window_px):
    spec = ROWS[name]
    least = spec.window.overlap_px if spec.window.halo_px else 0
    if window_px % spec.patch_px == 0 and least + 2 * spec.patch_px <= window_px <= 4096:
        assert at_window(spec, window_px).window.size_px == window_px
        return
    with pytest.raises(OptionError) as told:
        at_window(spec, window_px)
    assert told.value.got == f"--window {window_px}"
    near = int(told.value.mend.removeprefix("for example --window "))
    assert at_window(spec, near).window.size_px == near


def test_the_own_size_changes_nothing():
    for spec in ROWS.values():
        assert at_window(spec, spec.window.size_px) is spec
    assert row_of("uni") is get("uni")
    assert row_of("uni", 512).window.overlap_px == 256


def test_networks_of_one_size_say_so():
    spec = get("uni")
    tied = replace(spec, source=replace(spec.source, arguments={"img_size": 224}))
    with pytest.raises(OptionError, match="takes windows of one size; expected 224 px"):
        at_window(tied, 512)
    plugin = replace(spec, source=replace(spec.source, library="plugin"))
    with pytest.raises(OptionError, match="one size"):
        at_window(plugin, 512)
    assert at_window(replace(plugin, window=replace(spec.window, fixed=False)), 512).window.size_px == 512


def test_positions_of_h_optimus_are_as_they_were_at_its_own_size():
    """At 224 px nothing is interpolated: tokens are those of the network that takes no other size."""
    spec = get("h-optimus-0")
    narrow = {"embed_dim": 48, "num_heads": 3, "depth": 2}
    found = {}
    pixels = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    for dynamic in (True, False):
        torch.manual_seed(0)
        arguments = {**spec.source.arguments, **narrow, "dynamic_img_size": dynamic}
        row = replace(spec, dim=48, source=replace(spec.source, arguments=arguments))
        with torch.inference_mode():
            found[dynamic] = assemble(row, build_network(row)).dense(pixels)
    assert torch.equal(found[True], found[False])


def test_positions_of_musk_are_its_own_at_its_size_and_interpolated_at_others():
    spec = get("musk")
    row = replace(spec, dim=32, source=replace(spec.source, arguments={"depth": 1, "dim": 32, "heads": 2}))
    torch.manual_seed(0)
    network = build_network(row).eval()
    with torch.inference_mode():
        network.positions.zero_()
        network.positions[1:, 0] = torch.arange(24.0).repeat(24)  # how far to the right
        network.patch.weight.zero_()
        network.patch.bias.zero_()
        seen = {}
        handle = network.blocks[0].register_forward_pre_hook(lambda _module, inputs: seen.update(tokens=inputs[0]))
        for side in (384, 768):
            network(torch.zeros(1, 3, side, side))
            across = seen["tokens"][0, 1:, 0].reshape(side // 16, side // 16)
            assert torch.allclose(across, across[:1].expand_as(across), atol=1e-5)
            steps = across[0].diff()[4:-4]
            assert torch.allclose(steps, torch.full_like(steps, 384 / side), atol=1e-3)
        handle.remove()


def test_files_of_ctranspath_fit_windows_of_any_size():
    spec = get("ctranspath")
    shapes = [
        {name: value.shape for name, value in build_network(row).state_dict().items()}
        for row in (spec, at_window(spec, 448))
    ]
    assert shapes[0] == shapes[1]
