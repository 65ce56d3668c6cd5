"""Tokens that stand out are found, and nothing else; they are mended from their neighbours."""

import numpy as np
import pytest
import torch

from histofactor.encoders.build import Inference, load_encoder
from histofactor.encoders.encode import encode
from histofactor.encoders.repair import outliers, repair


def field(seed=0, h=20, w=24):
    return torch.randn(2, 16, h, w, generator=torch.Generator().manual_seed(seed))


def test_planted_tokens_are_found_and_only_they():
    maps = field()
    places = [(0, 3, 4), (0, 3, 5), (1, 19, 23), (1, 0, 0)]
    for n, y, x in places:
        maps[n, :, y, x] *= 12
    assert {tuple(place) for place in outliers(maps).nonzero().tolist()} == set(places)


@pytest.mark.parametrize("scale", [1e-3, 1, 1e3])
def test_tissue_without_artefacts_stays_the_very_same(scale):
    maps = field(1) * scale
    maps[:, :, :10] *= 1.3  # two kinds of tissue
    assert not outliers(maps).any()
    assert repair(maps) is maps


def test_what_is_mended_is_the_mean_of_sound_neighbours():
    maps = field(2)
    maps[0, :, 7, 7] *= 20
    fixed = repair(maps)
    around = maps[0, :, 6:9, 6:9].flatten(1)
    expected = (around.sum(1) - maps[0, :, 7, 7]) / 8
    torch.testing.assert_close(fixed[0, :, 7, 7], expected, atol=1e-4, rtol=1e-4)
    others = torch.ones(20, 24, dtype=torch.bool)
    others[7, 7] = False
    assert torch.equal(fixed[0][:, others], maps[0][:, others])
    assert torch.equal(fixed[1], maps[1])


def test_a_block_of_artefacts_is_filled_from_its_rim():
    maps = field(3)
    maps[0, :, 5:8, 5:8] *= 30
    fixed = repair(maps)
    assert not outliers(fixed)[0, 5:8, 5:8].any()
    assert torch.isfinite(fixed).all()


def test_corners_are_mended_from_fewer():
    maps = field(4)
    maps[1, :, 0, 0] *= 20
    expected = (maps[1, :, 0, 1] + maps[1, :, 1, 0] + maps[1, :, 1, 1]) / 3
    torch.testing.assert_close(repair(maps)[1, :, 0, 0], expected, atol=1e-4, rtol=1e-4)


def test_an_encoder_repairs_where_it_is_asked_to():
    pixels = np.random.default_rng(0).integers(0, 255, (1, 128, 128, 3), np.uint8)
    plain, repaired = (
        load_encoder("embedded", device="cpu", inference=Inference(repair_tokens=on)) for on in (False, True)
    )
    assert repaired.repaired
    torch.testing.assert_close(encode(repaired, pixels).values, encode(plain, pixels).values)  # nothing stands out here
