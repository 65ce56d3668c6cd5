"""An input of a collection: looked at, allotted its share, taken from."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from histofactor.base.clock import Watch
from histofactor.concepts.learn.sample import Sample
from histofactor.runs.sampling_tasks import LookTask, Sampled, SampleJob, TakeTask, Tasks
from histofactor.runs.source import Opening, Source, content_of
from histofactor.runs.thrift import Allotment
from histofactor.segmentation.sampling import Whose, WindowRule
from histofactor.segmentation.setup import SegmentOptions
from histofactor.slides.phantom import phantom

RULE = WindowRule(most=4)
JOB = SampleJob("embedded", None, SegmentOptions(), Opening())
ALL = Allotment(any=True, held=0)
WHOLE = replace(RULE, small_bytes=2**40)


@pytest.fixture
def path(tmp_path):
    Image.fromarray(phantom((300, 240), seed=1, mpp=1.0).image).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def job(tiny_encoder):
    return SampleJob(tiny_encoder, None, SegmentOptions(), Opening(source_mpp=1.0), segments=True)


@pytest.fixture
def at(job):
    return job.start({})


def look(task, at):
    return JOB.do(at, task, Watch())


take = look


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
    found = pickle.loads(pickle.dumps(take(given, at)))
    here = take(task(path, WHOLE), at)
    assert isinstance(found, Sampled)
    np.testing.assert_array_equal(found.taken.drawn.tokens, here.taken.drawn.tokens)
    np.testing.assert_array_equal(found.taken.drawn.keys, here.taken.drawn.keys)
    assert found.taken.seen == found.known["tokens"] >= len(found.taken.drawn.keys) > 100


def test_what_is_held_is_held_and_nothing_else(path, at):
    content = content_of(path)
    take(task(path, WHOLE), at)
    assert at.memory.take(path, content).windows is None
    take(task(path, WHOLE, Allotment(True, 10)), at)
    assert at.memory.take(path, content).windows is not None
    nothing = take(task(path, WHOLE, Allotment(False, 0)), at)
    assert (nothing.taken, nothing.known["windows"]) == (None, 0)
    assert at.memory.take(path, content) is None


def test_an_input_that_cannot_be_read_is_told_by_both(tmp_path, at):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    for outcome in (look(LookTask(Source("a"), bad, RULE), at), take(task(bad), at)):
        assert outcome.status == "failed"
        assert "bad.png" in outcome.error


def test_tissue_is_found_once(path, at, monkeypatch):
    look(LookTask(Source("a"), path, RULE), at)
    monkeypatch.setattr("histofactor.runs.sampling_tasks.make_plan", None)
    assert take(task(path), at).status == "done"
    assert not at.plans


def test_what_a_worker_keeps(job, tiny_encoder, path):
    shared = {}
    first, again = job.start(shared), job.start(shared)
    assert first.setup is again.setup
    assert first.plans is again.plans
    assert first.memory is again.memory is not None
    alone = SampleJob(tiny_encoder, None, SegmentOptions(views=1), Opening()).start(shared)
    assert alone.memory is None  # nothing is held of inputs that will not be segmented
    assert (alone.setup.views, first.setup.views) == (1, 4)


def test_a_job_travels_without_what_is_loaded_here(tiny_encoder):
    given = SampleJob("embedded", 0.5, SegmentOptions(views=1), Opening(), "tile", True, "loaded")
    there = pickle.loads(pickle.dumps(given))
    assert (there.encoder, there.mpp, there.pool, there.segments, there.here) == ("embedded", 0.5, "tile", True, None)
    lost = there.lost(LookTask(Source("a"), None, RULE), "its worker died")
    assert (lost.input, lost.status, lost.error) == ("a", "failed", "its worker died")


def test_tasks_are_made_as_they_begin():
    made = []
    tasks = Tasks([(Source("a"), "there"), (Source("b"), "here")], lambda source, path: made.append(path) or source)
    assert len(tasks) == 2
    assert not made
    assert tasks[1] == Source("b")
    assert made == ["here"]
