"""Labels of a whole image on its own px."""

from types import SimpleNamespace

import numpy as np

from histofactor.evaluation.scores.labels import level0_labels


def segmentation(labels, size, l0_per_px):
    return SimpleNamespace(
        label_map=SimpleNamespace(labels=labels), slide=SimpleNamespace(size=size), l0_per_px=l0_per_px
    )


def test_labels_go_to_the_pixel_whose_centre_they_hold():
    labels = np.arange(6, dtype=np.uint16).reshape(2, 3)
    np.testing.assert_array_equal(level0_labels(segmentation(labels, (3, 2), (1.0, 1.0))), labels)
    doubled = level0_labels(segmentation(labels, (6, 4), (2.0, 2.0)))
    np.testing.assert_array_equal(doubled, np.kron(labels, np.ones((2, 2))))
    assert doubled.dtype == np.uint16
    # 7 px at 7/3 px a label: centres 0.5 … 6.5 fall into 0 0 1 1 1 2 2
    uneven = level0_labels(segmentation(labels, (7, 2), (7 / 3, 1.0)))
    np.testing.assert_array_equal(uneven[0], [0, 0, 1, 1, 1, 2, 2])
    finer = level0_labels(segmentation(np.arange(8).reshape(1, 8), (4, 1), (0.5, 1.0)))
    np.testing.assert_array_equal(finer, [[1, 3, 5, 7]])


def test_the_last_pixels_get_the_last_label_where_the_map_was_cut():
    labels = np.arange(3).reshape(1, 3)
    np.testing.assert_array_equal(level0_labels(segmentation(labels, (7, 1), (2.0, 1.0))), [[0, 0, 1, 1, 2, 2, 2]])
