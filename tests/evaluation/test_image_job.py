"""Images that are counted apart give what a data set counted at once gives, whoever counts them."""

import json
import pickle

import numpy as np
import pytest

from histofactor.base.clock import Watch
from histofactor.errors import ImageError
from histofactor.evaluation.data.datasets import load_dataset
from histofactor.evaluation.image_job import ImageJob, ImageTask, together
from histofactor.evaluation.run import EvaluateOptions, evaluate
from histofactor.runs.execute.engine import Engine
from histofactor.runs.source import Opening
from histofactor.runs.task import Request
from histofactor.segmentation.setup import SegmentOptions

WAY = ("project", 8)


@pytest.fixture
def dataset(tissue_folder):
    return load_dataset(tissue_folder)


@pytest.fixture
def job(dataset):
    how = SegmentOptions(tissue=False, views=1)
    request = Request(encoder="embedded", concepts="embedded", k=8, options=how)
    return ImageJob(dataset, {WAY: request}, Opening(), {WAY: request.load()})


def test_images_add_up_in_their_order_whoever_counts_them(job, dataset):
    tasks = [ImageTask(item, place, place == 1) for place, item in enumerate(dataset.items)]
    here = [job.do(job.start({}), task, Watch()) for task in tasks]
    away = pickle.loads(pickle.dumps(job))
    assert away.here is None
    state = away.start({})
    there = [away.do(state, task, Watch()) for task in reversed(tasks)][::-1]
    counted, cells, kept = together(here)
    again, cells_again, kept_again = together(there)
    tables = np.stack(counted[WAY].tables)
    np.testing.assert_array_equal(tables, np.stack(again[WAY].tables))
    assert tables.shape == (4, 9, len(dataset.classes))
    assert [int(table.sum()) for table in tables] == [int(one.counts.sum()) for one in cells]
    assert counted[WAY].labels == again[WAY].labels
    for one, other in zip(cells, cells_again, strict=True):
        np.testing.assert_array_equal(one.drawn, other.drawn)
    assert kept.keys() == {WAY}
    np.testing.assert_array_equal(kept[WAY], kept_again[WAY])


def test_an_image_that_ended_its_worker_ends_the_evaluation(job, dataset):
    task = ImageTask(dataset.items[2], 2, False)
    assert (task.name, task.path) == (dataset.items[2].stem, dataset.items[2].image)
    with pytest.raises(ImageError, match="its worker ended; leave the image out"):
        job.lost(task, "its worker ended")


def test_workers_of_ray_score_as_one_process_does(ray_cluster, dataset, folder, tmp_path):
    ray = Engine(name="ray", address=ray_cluster.address, workers=2)
    for name, engine in (("one", Engine()), ("two", ray)):
        options = EvaluateOptions(ks=(8,), fast=True, stability=1, engine=engine)
        done = []
        evaluate(folder, tmp_path / name, concepts="embedded", options=options, on_image=done.append)
        assert sorted(done) == sorted(item.stem for item in dataset.items)
    one, two = (json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("one", "two"))
    assert one == two
