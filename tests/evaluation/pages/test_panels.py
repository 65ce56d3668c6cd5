"""The best image comes first, the worst last, each with its truth and prediction."""

import zlib

import numpy as np
import pytest

from histofactor.evaluation.data.datasets import load_dataset, read_truth
from histofactor.evaluation.pages.panels import best_and_worst
from histofactor.evaluation.scores.protocol import count, score_tables
from histofactor.evaluation.scores.tally import Counted


@pytest.fixture
def counted(folder):
    """Labels that are right in a share of the px that falls from image to image."""
    dataset, found = load_dataset(folder), Counted("project", 2)
    for item, share in zip(dataset.items, (1.0, 0.9, 0.8, 0.7), strict=True):
        truth = read_truth(dataset, item)
        wrong = np.random.default_rng(0).random(truth.shape) >= share
        labels = np.where(wrong, 1 - truth.clip(min=0), truth.clip(min=0)).astype(np.uint16)
        found.tables.append(count(dataset, item, truth, labels, 3))
        found.labels.append(zlib.compress(labels.tobytes()))
    return dataset, found


def test_best_first(counted):
    dataset, found = counted
    scores = score_tables(dataset, np.stack(found.tables))
    panels = best_and_worst(dataset, found, scores.images)
    assert [panel.stem for panel in panels] == ["a1", "a2", "b1", "c1"]
    assert {(panel.method, panel.k) for panel in panels} == {("project", 2)}
    truth = read_truth(dataset, dataset.items[0])
    assert panels[0].rgb.shape == (*truth.shape, 3)
    np.testing.assert_array_equal(panels[0].truth, truth)
    np.testing.assert_array_equal(panels[0].predicted[truth >= 0], truth[truth >= 0])
    assert panels[-1].mean_iou == scores.images[-1].mean_iou


def test_a_fixed_split_shows_its_part(counted):
    dataset, found = counted
    scored = np.array([False, False, True, True])
    scores = score_tables(dataset, np.stack(found.tables), scored)
    assert [panel.stem for panel in best_and_worst(dataset, found, scores.images, scored)] == ["b1", "c1"]
