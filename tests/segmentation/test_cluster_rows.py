"""Tokens and tile means of one input, and where they are."""

import numpy as np
import pytest

from histofactor.errors import OptionError
from histofactor.segmentation.cluster_rows import cluster_rows_of
from histofactor.segmentation.encoding import Planned
from histofactor.segmentation.page import tissue_features
from histofactor.segmentation.plan import make_plan, subsample_windows
from histofactor.segmentation.setup import SegmentOptions, load_setup
from histofactor.slides.reader import open_slide


@pytest.fixture
def setting(tiny_encoder, tissue):
    setup = load_setup(tiny_encoder, options=SegmentOptions(views=1))
    with open_slide(tissue, source_mpp=1.0) as slide:
        yield slide, setup, make_plan(slide, setup)


def gathered(units):
    found = list(units.stream)
    return np.concatenate([part[0] for part in found]), np.concatenate([part[1] for part in found])


def test_tokens_are_all_tissue_tokens_in_reading_order(setting):
    slide, setup, plan = setting
    units = cluster_rows_of(Planned(slide, setup, plan), "token")
    indices, features = gathered(units)
    np.testing.assert_array_equal(indices, np.arange(units.n))
    np.testing.assert_array_equal(features, tissue_features(slide, setup))
    rows, columns = np.nonzero(plan.g_tissue)
    middle = units.places + units.side / 2
    np.testing.assert_allclose(middle, (np.stack([columns, rows], 1) + 0.5) * plan.frame.stride_px, atol=1e-3)


def norms_of(units):
    return np.concatenate([part[2] for part in units.stream])


def test_squared_norms_come_along(setting, monkeypatch):
    slide, setup, plan = setting
    norms = norms_of(cluster_rows_of(Planned(slide, setup, plan), "token"))
    own = (tissue_features(slide, setup) ** 2).sum(1)
    assert (norms > own * 0.999).all()  # of windows that disagree, the mean is shorter
    np.testing.assert_allclose(np.median(norms / own), 1, rtol=1e-4)
    monkeypatch.setattr("histofactor.segmentation.cluster_rows.TILE_PX", 10**4)
    assert norms_of(cluster_rows_of(Planned(slide, setup, plan), "tile")) == pytest.approx(norms.mean(), rel=1e-4)


def test_a_tile_is_the_mean_of_its_tissue(setting, monkeypatch):
    monkeypatch.setattr("histofactor.segmentation.cluster_rows.TILE_PX", 64)
    slide, setup, plan = setting
    units = cluster_rows_of(Planned(slide, setup, plan), "tile")
    indices, means = gathered(units)
    np.testing.assert_array_equal(indices, np.arange(units.n))
    assert units.side == 64
    grid = np.full((*plan.g_tissue.shape, setup.encoder.spec.dim), np.nan)
    grid[plan.g_tissue] = tissue_features(slide, setup)
    for (x, y), mean in zip(units.places.astype(int) // 8, means, strict=True):
        tile = grid[y : y + 8, x : x + 8].reshape(-1, grid.shape[2])
        own = tile[~np.isnan(tile[:, 0])]
        assert 2 * len(own) > 64
        np.testing.assert_allclose(mean, own.mean(0), rtol=1e-4)


def test_an_unknown_pool(setting):
    with pytest.raises(OptionError, match="token, tile"):
        cluster_rows_of(Planned(*setting), "slide")


def test_a_thin_plan_keeps_windows_and_the_tissue_they_see(setting):
    slide, setup, plan = setting
    few = subsample_windows(plan, setup, 3, np.random.default_rng(0))
    assert few.windows == 3 < plan.windows
    assert 0 < few.g_tissue.sum() < plan.g_tissue.sum()
    assert not (few.g_tissue & ~plan.g_tissue).any()
    indices, features = gathered(cluster_rows_of(Planned(slide, setup, few), "token"))
    whole = np.zeros((*plan.g_tissue.shape, features.shape[1]), np.float32)
    whole[plan.g_tissue] = tissue_features(slide, setup)
    assert len(indices) == few.g_tissue.sum()
    np.testing.assert_allclose(features, whole[few.g_tissue], atol=2e-4)  # up to the blending of what is not there
    assert subsample_windows(plan, setup, plan.windows, np.random.default_rng(0)) is plan
