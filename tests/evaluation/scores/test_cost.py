"""Scores against the number of labelled images, against a plain count."""

import numpy as np
import pytest

from histofactor.errors import OptionError
from histofactor.evaluation.scores import metrics
from histofactor.evaluation.scores.cost import labelled_images


def tables(images=12, labels=5, classes=3, seed=0):
    return np.random.default_rng(seed).integers(0, 50, (images, labels, classes))


def test_all_other_images_are_the_full_protocol():
    counts, patients = tables(images=4), list("abcd")
    counts = np.concatenate([counts, counts[:1]])  # every patient then has four images of others, or three
    points = labelled_images(counts[:4], patients)
    assert [point.images for point in points] == [1, 2]
    three = labelled_images(counts, [*patients, "e"], draws=1)
    assert [point.images for point in three] == [1, 2, 4]
    total = counts.sum(0)
    full = sum(metrics.apply_map(one, metrics.majority_map(total - one)) for one in counts)
    assert three[-1].mean_iou == pytest.approx(metrics.mean_iou(full))
    assert three[-1].low == three[-1].high == three[-1].mean_iou


def test_one_image_is_one_other_image():
    counts, patients = tables(images=2), ["a", "b"]
    (point,) = labelled_images(counts, patients, draws=3)
    maps = [metrics.majority_map(counts[1]), metrics.majority_map(counts[0])]
    assert point.mean_iou == pytest.approx(
        metrics.mean_iou(sum(metrics.apply_map(one, to) for one, to in zip(counts, maps, strict=True)))
    )


def test_more_labelled_images_do_not_hurt_where_labels_mean_something():
    counts = tables(images=16) + 200 * np.eye(3, dtype=int)[None, np.arange(5) % 3]
    points = labelled_images(counts, [f"p{i // 2}" for i in range(16)])
    assert points[-1].mean_iou >= points[0].mean_iou
    assert all(point.low - 1e-9 <= point.mean_iou <= point.high + 1e-9 for point in points)


def test_draws_are_seeded():
    patients = [f"p{i // 3}" for i in range(12)]
    first, again, other = (labelled_images(tables(), patients, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_one_patient_is_too_few():
    with pytest.raises(OptionError, match="patient"):
        labelled_images(tables(3), ["a"] * 3)
