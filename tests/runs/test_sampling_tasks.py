"""An input of a collection: looked at, allotted its share, taken from."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from histofactor.base.clock import Watch
from histofactor.concepts.learn.sample import Sample
from histofactor.runs.sampling_tasks import (
    Allotment,
    Looked,
    LookTask,
    Sampled,
    TakeTask,
    Thrift,
    Workplace,
    allot,
    look,
    take,
)
from histofactor.runs.source import Opening, Source, content_of
from histofactor.segmentation.sampling import Whose, WindowRule
from histofactor.segmentation.setup import load_setup
from histofactor.segmentation.window_memory import FeatureMemory
from histofactor.slides.phantom import phantom

RULE = WindowRule(most=4)
ALL = Allotment(any=True, held=0)
WHOLE = replace(RULE, small_bytes=2**40)


def looked(windows, drawn, feature_bytes=0, *, at_hand=False):
    return Looked("a", "done", windows=windows, drawn=drawn, feature_bytes=feature_bytes, at_hand=at_hand)


@pytest.fixture
def path(tmp_path):
    Image.fromarray(phantom((300, 240), seed=1, mpp=1.0).image).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def at(tiny_encoder):
    return Workplace(load_setup(tiny_encoder), Opening(source_mpp=1.0), memory=FeatureMemory())


def task(path, rule=RULE, allotted=ALL, sample=None):
    quota = (sample or Sample(500, 12)).quota
    return TakeTask(Source("a", content=content_of(path)), path, rule, allotted, Whose("a"), quota)


def test_a_look_tells_what_there_is(path, at):
    found = look(LookTask(Source("a"), path, RULE), at)
    assert (found.status, found.input, found.at_hand, found.feature_bytes) == ("done", "a", False, 0)
    assert found.windows > found.drawn == 4 * at.setup.views
    small = look(LookTask(Source("a"), path, WHOLE), at)
    assert small.windows == small.drawn == found.windows
    assert small.feature_bytes > 0
    assert pickle.loads(pickle.dumps(small)) == small  # it travels between processes of one run


def test_what_was_taken_travels_and_is_what_a_sample_takes(path, at):
    given = pickle.loads(pickle.dumps(task(path, WHOLE)))
    found = pickle.loads(pickle.dumps(take(given, at, Watch())))
    here = take(task(path, WHOLE), at, Watch())
    assert isinstance(found, Sampled)
    np.testing.assert_array_equal(found.taken.drawn.tokens, here.taken.drawn.tokens)
    np.testing.assert_array_equal(found.taken.drawn.keys, here.taken.drawn.keys)
    assert found.taken.seen == found.known["tokens"] >= len(found.taken.drawn.keys) > 100


def test_what_is_held_is_held_and_nothing_else(path, at):
    content = content_of(path)
    take(task(path, WHOLE), at, Watch())
    assert at.memory.take(path, content).windows is None
    take(task(path, WHOLE, Allotment(True, 10)), at, Watch())
    assert at.memory.take(path, content).windows is not None
    nothing = take(task(path, WHOLE, Allotment(False, 0)), at, Watch())
    assert (nothing.taken, nothing.known["windows"]) == (None, 0)
    assert at.memory.take(path, content) is None


def test_an_input_that_cannot_be_read_is_told_by_both(tmp_path, at):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    for outcome in (look(LookTask(Source("a"), bad, RULE), at), take(task(bad), at, Watch())):
        assert outcome.status == "failed"
        assert "bad.png" in outcome.error


def test_tissue_is_found_once(path, at, monkeypatch):
    look(LookTask(Source("a"), path, RULE), at)
    monkeypatch.setattr("histofactor.runs.sampling_tasks.make_plan", None)
    assert take(task(path), at, Watch()).status == "done"
    assert not at.plans


def test_small_inputs_are_held_as_far_as_they_fit():
    thrift = Thrift(held_bytes=25, share=1.0)
    found = allot([looked(4, 4, 10), looked(4, 4, 20), looked(4, 4, 15), looked(9, 9, at_hand=True)], thrift)
    assert found == [Allotment(True, 10), Allotment(True, 0), Allotment(True, 15), Allotment(True, 1)]


def test_an_input_without_tissue_gives_nothing():
    assert allot([looked(0, 0)], Thrift()) == [Allotment(False, 0)]


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=60),
    st.floats(0.01, 1.0),
    st.integers(1, 20),
)
def test_no_more_than_the_share_is_encoded_for_learning_alone(windows, share, fewest):
    inputs = [looked(n, max(1, round(share * n))) for n in windows]
    found = allot(inputs, Thrift(share=share, fewest=fewest))
    spent = sum(one.drawn for one, allotted in zip(inputs, found, strict=True) if allotted.any)
    used = sum(allotted.any for allotted in found)
    assert used >= min(fewest, len(inputs))
    if used > fewest:
        assert spent <= share * sum(windows)
    assert found == allot(inputs, Thrift(share=share, fewest=fewest))
