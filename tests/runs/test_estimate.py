"""What a run would take: what is counted is exact, what is measured is plausible, and nothing is written."""

import numpy as np
import pytest
from PIL import Image

from histofactor.errors import OptionError
from histofactor.runs import estimate as module
from histofactor.runs.estimate import estimate
from histofactor.runs.outcome import Reporter
from histofactor.runs.request import ManyOptions
from histofactor.runs.source import Opening, Stated
from histofactor.runs.task import Request
from histofactor.runs.thrift import Thrift
from histofactor.segmentation.plan import make_plan
from histofactor.segmentation.setup import SegmentOptions, load_setup
from histofactor.segmentation.window_memory import bytes_of_features
from histofactor.slides.reader import open_slide


@pytest.fixture
def run(tiny_encoder, tiny_bank):
    def called(paths, concepts=tiny_bank, mpp=1.0, known=None, **more):
        how = SegmentOptions(views=1)
        options = ManyOptions(opening=Opening(source_mpp=mpp), known=known or {}, segment=how)
        request = Request(encoder=tiny_encoder, concepts=concepts, options=how, **more)
        return estimate(paths, request, options, Reporter())

    return called


@pytest.fixture
def images(tmp_path, tissue):
    Image.fromarray(tissue).save(tmp_path / "a.png")
    Image.fromarray(tissue[:150]).save(tmp_path / "b.png")
    (tmp_path / "bad.png").write_text("no image")
    return [tmp_path / name for name in ("a.png", "bad.png", "b.png")]


def test_what_is_counted_is_what_would_be_done(run, images, tmp_path, tiny_encoder):
    before = sorted(tmp_path.rglob("*"))
    found = run(images)
    assert sorted(tmp_path.rglob("*")) == before
    a, bad, b = found.inputs
    assert "bad.png" in bad.error
    assert (bad.windows, bad.seconds) == (0, 0)
    setup = load_setup(tiny_encoder, options=SegmentOptions(views=1))
    for path, one in zip(images[::2], (a, b), strict=True):
        with open_slide(path, source_mpp=1.0) as slide:
            plan = make_plan(slide, setup)
        assert (one.windows, one.mpp, one.size) == (plan.windows, 1.0, slide.info.size)
        assert one.tissue_mm2 == pytest.approx(plan.thumbnail.mean() * np.prod(one.size) / 1e6)
    assert found.views == 1
    assert found.learning_s == 0
    assert found.seconds == pytest.approx(a.seconds + b.seconds)
    assert 0 < found.window_s * (a.windows + b.windows) < found.seconds < 60


def test_learning_counts_where_concepts_are_to_be_learned(run, images, monkeypatch):
    monkeypatch.setattr(module, "_learning", lambda plans, setup, seed: module._Learning(3, 2000, 10**9))
    found = run(images, concepts=None)
    assert found.learning_s > 3 * found.window_s
    assert found.memory_bytes > 10**9
    assert found.disk_bytes > 2000 * 4 * 12


def test_small_inputs_are_held_and_large_ones_are_sampled(images, tiny_encoder, monkeypatch):
    setup = load_setup(tiny_encoder, options=SegmentOptions(views=1))
    with open_slide(images[0], source_mpp=1.0) as slide:
        plan = make_plan(slide, setup)
    learning = module._learning([plan], setup, 0)
    assert learning == module._Learning(0, int(plan.g_tissue.sum()), bytes_of_features(plan, setup))
    monkeypatch.setattr(module, "Thrift", lambda: Thrift(held_bytes=1))
    assert module._learning([plan], setup, 0) == module._Learning(plan.windows, int(plan.g_tissue.sum()), 0)


def test_what_a_table_says_counts(run, images):
    (one,) = run(images[:1], known={images[0]: Stated(mpp=0.5)}).inputs
    assert one.mpp == 0.5


def test_inputs_without_resolution_or_windows(run, tmp_path):
    Image.new("RGB", (64, 64), "white").save(tmp_path / "blank.png")
    found = run([tmp_path / "blank.png"], mpp=None)
    assert (found.inputs[0].tissue_mm2, found.inputs[0].windows, found.window_s) == (None, 0, 0)


def test_options_are_checked_as_for_segment(run, images):
    with pytest.raises(OptionError, match="k ≥ 1"):
        run(images, concepts=None, k=0)


def test_the_room_on_disk_is_that_of_a_run(run, segmented, tissue, tmp_path):
    large = np.tile(tissue, (4, 4, 1))
    Image.fromarray(large + np.random.default_rng(0).integers(0, 12, large.shape, np.uint8)).save(tmp_path / "a.png")
    told = run([tmp_path / "a.png"]).disk_bytes
    segmented([tmp_path / "a.png"], tmp_path / "out")
    written = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert 0.5 * written < told < 2 * written


def test_small_pieces_take_time_to_merge(images, tiny_encoder):
    with open_slide(images[0], source_mpp=1.0) as slide:
        plan = make_plan(slide, load_setup(tiny_encoder, options=SegmentOptions(views=1)))
    measured = module._Measured(1.0)
    extra = module._seconds(plan, measured, merges=True) - module._seconds(plan, measured, merges=False)
    assert extra == pytest.approx(0.3 * np.prod(plan.frame.t_size) / 1e6)
