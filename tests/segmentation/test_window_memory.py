"""A second pass from memory gives the bits of the first, and of encoding again."""

import numpy as np
import pytest

from histofactor.base.clock import Watch
from histofactor.segmentation import encoding
from histofactor.segmentation.encoding import Blender, Planned, encode_features, encode_rows
from histofactor.segmentation.plan import make_plan
from histofactor.segmentation.reading import Pixels
from histofactor.segmentation.setup import prepare
from histofactor.segmentation.window_memory import FeatureMemory, HeldInput, WindowMemory, bytes_of_features
from histofactor.slides.phantom import phantom
from histofactor.slides.reader import open_slide


@pytest.fixture(scope="module")
def slide():
    with open_slide(phantom((420, 700), seed=3, mpp=1.0).image, source_mpp=1.0) as opened:
        yield opened


def responses(planned, segmenter):
    blender = Blender(planned.plan, segmenter.directions.shape[1], Watch().clock)
    return np.concatenate([part.B for part in blender.blend(encode_rows(planned, segmenter.directions, Watch()))])


def test_the_second_pass_encodes_nothing_and_is_the_same_bit_by_bit(slide, monkeypatch):
    segmenter = prepare(concepts="embedded")
    plan, memory = make_plan(slide, segmenter.setup), WindowMemory()
    alone = responses(Planned(slide, segmenter.setup, plan), segmenter)
    planned = Planned(slide, segmenter.setup, plan, memory)
    first = np.concatenate([part.B for part in encode_features(planned)])
    np.testing.assert_array_equal(
        first, np.concatenate([part.B for part in encode_features(Planned(slide, segmenter.setup, plan))])
    )
    monkeypatch.setattr(encoding, "encode", None)
    monkeypatch.setattr(encoding, "read_window", None)
    np.testing.assert_array_equal(responses(planned, segmenter), alone)


def test_what_cannot_be_read_is_remembered(slide, monkeypatch):
    segmenter = prepare(concepts="embedded")
    planned = Planned(slide, segmenter.setup, make_plan(slide, segmenter.setup), WindowMemory())
    real, lost = encoding.read_window, (64, 64, 128, 128)
    monkeypatch.setattr(encoding, "read_window", lambda *given: Pixels(real(*given).rgb, (lost,)))
    first = np.concatenate([part.unreadable for part in encode_features(planned)])
    monkeypatch.setattr(encoding, "read_window", None)
    second = np.concatenate([part.unreadable for part in encode_features(planned)])
    assert first.any()
    np.testing.assert_array_equal(first, second)


def test_the_bytes_of_a_plan_are_those_that_are_held(slide):
    segmenter = prepare(concepts="embedded")
    memory = WindowMemory()
    planned = Planned(slide, segmenter.setup, make_plan(slide, segmenter.setup), memory)
    held = 0
    real = memory.keep

    def counted(windows, batch):
        nonlocal held
        held += batch.features.values.nbytes
        real(windows, batch)

    memory.keep = counted
    list(encode_features(planned))
    assert bytes_of_features(planned.plan, segmenter.setup) == held > 0


def test_inputs_that_others_segment_are_let_go(slide, tmp_path):
    held = HeldInput(make_plan(slide, prepare(concepts="embedded").setup))
    memory, paths = FeatureMemory(), [tmp_path / name for name in "abc"]
    for path in paths:
        memory.hold(path, "content", held)
    memory.keep([tmp_path / "x" / ".." / "b", tmp_path / "other"])
    assert [memory.take(path, "content") for path in paths] == [None, held, None]
