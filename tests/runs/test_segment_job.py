"""Segmenting as a job: it travels, what is loaded is kept, and another worker may help with an input."""

import pickle
from dataclasses import replace

import pytest
from PIL import Image

from histofactor.base.clock import Watch
from histofactor.recipe import digest
from histofactor.runs.place import Place
from histofactor.runs.segment_job import Aid, SegmentJob
from histofactor.runs.source import Opening
from histofactor.runs.status import read_status
from histofactor.runs.task import Request, Task, labels_recipe, outputs_recipe
from histofactor.segmentation import rows_ahead
from histofactor.segmentation.setup import SegmentOptions
from histofactor.slides.phantom import phantom


@pytest.fixture
def request_(tiny_encoder, tiny_bank):
    return Request(encoder=tiny_encoder, concepts=tiny_bank)


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "case 1.png"
    Image.fromarray(phantom((600, 160), seed=4, mpp=1.0).image).save(path)
    return Task(path, Place(tmp_path / "out", "case 1"), opening=Opening(source_mpp=1.0), run="first")


def test_a_job_goes_elsewhere_without_what_is_loaded_here(task, tiny_bank, request_):
    request = Request(encoder="embedded", concepts="embedded", k=8, options=SegmentOptions(views=1))
    here = request.load()
    job = SegmentJob(replace(request, concepts=here.bank, k=None), task.place.out, here)
    assert job.start({})[0] is here
    there = pickle.loads(pickle.dumps(job))
    assert (there.here, there.out) == (None, task.place.out)
    shared = {}
    segmenter, memory = there.start(shared)
    assert digest(labels_recipe(task, segmenter)) == digest(labels_recipe(task, here))
    assert outputs_recipe(task, segmenter) == outputs_recipe(task, here)
    again, remembered = there.start(shared)
    assert again.setup.encoder is segmenter.setup.encoder  # loaded once a worker
    assert remembered is memory
    assert there.do((segmenter, memory), replace(task, path=task.path), Watch()).status == "done"


def test_an_input_that_ended_its_worker_has_failed_for_all_to_see(task, request_):
    outcome = SegmentJob(request_, task.place.out).lost(task, "its worker ended")
    assert (outcome.input, outcome.status, outcome.error) == (str(task.path), "failed", "its worker ended")
    status = read_status(task.place.results)
    assert (status.outcome, status.run) == (outcome, "first")


def test_help_is_offered_where_it_may_be_taken(task, request_):
    job = SegmentJob(request_, task.place.out)
    assert job.aid(task) is None
    assert job.aid(replace(task, aided=True)) == Aid(replace(task, aided=True))
    assert Aid(task).name == task.name


def result_files(place):
    """Bytes of the results; what tells the time left out."""
    return {path.name: path.read_bytes() for path in sorted(place.results.iterdir()) if path.name != "status.json"}


def test_with_help_the_bytes_are_the_same(task, request_, monkeypatch):
    job = SegmentJob(request_, task.place.out)
    state = job.start({})
    assert job.do(state, task, Watch()).status == "done"
    helped = replace(task, aided=True, place=Place(task.place.out.with_name("helped"), task.place.name))
    real, told, taken = rows_ahead.RowsAhead.open, [], []

    def opened(rows):
        """Whoever segments has just begun: all is encoded for it."""
        real(rows)
        told.append(job.do(state, job.aid(helped), Watch()))

    original = rows_ahead.RowsAhead.get
    monkeypatch.setattr("histofactor.segmentation.rows_ahead.RowsAhead.open", opened)
    monkeypatch.setattr(
        "histofactor.segmentation.rows_ahead.RowsAhead.get",
        lambda rows, row: taken.append(original(rows, row) is not None) or original(rows, row),
    )
    assert job.do(state, helped, Watch()).status == "done"
    assert "rows of windows were encoded elsewhere" in told[0].notes[0]
    assert len(taken) >= 3
    assert all(taken)
    assert result_files(helped.place) == result_files(task.place)
    assert not helped.place.rows.parent.exists()


def test_help_that_comes_too_late_does_nothing(task, request_):
    job = SegmentJob(request_, task.place.out)
    found = job.do(job.start({}), Aid(task), Watch())
    assert (found.status, found.notes) == ("done", ())
    assert not task.place.out.exists()
