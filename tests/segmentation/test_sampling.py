"""How much of an input is encoded to learn from it."""

import numpy as np
import pytest

from histofactor.concepts.learn.sample import Sample
from histofactor.records import Region
from histofactor.segmentation.encoding import Planned
from histofactor.segmentation.page import tissue_features
from histofactor.segmentation.plan import make_plan
from histofactor.segmentation.sampling import (
    RunningMean,
    Whose,
    WindowRule,
    draw_windows,
    is_small,
    mean_of,
    put_tokens,
    take_tokens,
)
from histofactor.segmentation.setup import load_setup
from histofactor.segmentation.window_memory import WindowMemory, bytes_of_features
from histofactor.slides.blocks import read_blocks
from histofactor.slides.phantom import phantom
from histofactor.slides.reader import open_slide
from histofactor.slides.stain import measure_stain


@pytest.fixture(scope="module")
def setting(tiny_encoder):
    setup = load_setup(tiny_encoder)
    with open_slide(phantom((500, 700), seed=3, mpp=1.0).image, source_mpp=1.0) as slide:
        yield slide, setup, make_plan(slide, setup)


def test_a_share_of_the_windows_one_at_least(setting):
    _, setup, plan = setting
    windows = plan.windows // setup.views
    assert windows > 20

    def drawn(**rule):
        return draw_windows(plan, setup, WindowRule(**rule)).windows // setup.views

    assert drawn(most=0) == windows
    assert drawn(most=5) == 5
    assert drawn(share=0.25) == round(windows / 4)
    assert drawn(share=0.001) == 1
    assert drawn(share=0.5, most=3) == 3
    assert drawn(most=0, share=0.1) == round(windows / 10)


def test_a_small_input_is_encoded_whole(setting):
    _, setup, plan = setting
    needed = bytes_of_features(plan, setup)
    assert is_small(plan, setup, WindowRule(small_bytes=needed))
    assert not is_small(plan, setup, WindowRule(small_bytes=needed - 1))
    assert draw_windows(plan, setup, WindowRule(most=1, small_bytes=needed)) is plan


def test_which_windows_depends_on_the_seed_alone(setting):
    _, setup, plan = setting
    first, again, other = (draw_windows(plan, setup, WindowRule(most=4, seed=seed)).rows for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_tokens_and_their_mean(setting):
    slide, setup, plan = setting
    planned, sample = Planned(slide, setup, plan), Sample(10**5, setup.encoder.spec.dim)
    taken = take_tokens(planned, sample.quota, Whose("a"))
    put_tokens(sample, 7, taken)
    X = tissue_features(slide, setup)
    assert taken.seen == len(X) >= sample.size > 100
    assert set(sample.slides[: sample.size]) == {7}
    np.testing.assert_allclose(sample.means[7].value, X.mean(0, dtype=np.float64), rtol=1e-5)
    assert sample.means[7].mm2 == pytest.approx(len(X) * (plan.frame.stride_px / 1000) ** 2)
    found = mean_of(planned)  # bit by bit: what is learned is what is segmented
    np.testing.assert_array_equal(sample.means[7].value, found.value)
    assert sample.means[7].mm2 == found.mm2


def test_the_stain_of_tokens_is_that_under_them(setting):
    slide, setup, plan = setting
    sample = Sample(10**5, setup.encoder.spec.dim)
    taken = take_tokens(Planned(slide, setup, plan), sample.quota, Whose("a"))
    put_tokens(sample, 0, taken)
    stride, part = plan.frame.stride_px, slice(0, sample.size)
    width, height = (side // stride * stride for side in slide.info.size)
    rgb = read_blocks(slide, Region(0, 0, width, height, (width, height), 1.0))[0]
    measured = measure_stain(rgb, stride)
    columns, rows = np.round((sample.places[part] + taken.side / 2) / stride - 0.5).astype(int).T
    whole = (columns < measured.shape[1]) & (rows < measured.shape[0])  # others reach beyond the image
    np.testing.assert_allclose(sample.stains[part][whole], measured[rows[whole], columns[whole]], atol=1e-5)
    assert not np.isnan(sample.stains[part]).any()


def test_stain_is_the_same_where_features_are_at_hand_already(setting):
    slide, setup, plan = setting
    planned = Planned(slide, setup, plan, WindowMemory())
    first, again = (Sample(500, setup.encoder.spec.dim, 0) for _ in range(2))
    for sample in (first, again):
        put_tokens(sample, 0, take_tokens(planned, sample.quota, Whose("a")))
    assert not np.isnan(first.stains[: first.size]).any()
    np.testing.assert_array_equal(again.stains[: again.size], first.stains[: first.size])


def test_the_stain_of_a_tile_is_the_mean_of_its_tokens(setting):
    slide, setup, plan = setting
    sample = Sample(10**4, setup.encoder.spec.dim)
    put_tokens(sample, 0, take_tokens(Planned(slide, setup, plan), sample.quota, Whose("a"), pool="tile"))
    stains = sample.stains[: sample.size]
    assert sample.size > 1
    assert np.all(stains[:, 3] < 0.9)  # of glass, which tiles hold little of
    assert np.all(stains[:, :3] > 0)


def test_a_running_mean(setting):
    dim = setting[1].encoder.spec.dim
    parts, mean = (
        [np.random.default_rng(i).random((i + 1, dim), np.float32) for i in range(5)],
        RunningMean(Planned(*setting)),
    )
    for part in parts:
        mean.add(part)
    np.testing.assert_allclose(mean.found.value, np.concatenate(parts).mean(0), rtol=1e-6)


def test_no_tissue_has_no_mean(tiny_encoder):
    setup = load_setup(tiny_encoder)
    with open_slide(np.full((200, 200, 3), 240, np.uint8), source_mpp=1.0) as slide:
        assert mean_of(Planned(slide, setup, make_plan(slide, setup))) is None
