"""The label of tissue unlike the bank: after those of the concepts, and only where there is a label."""

import numpy as np
import pytest

from histofactor.masks.unlike import COLOR, NAME, legend, mark, on_px


@pytest.mark.parametrize(("k", "kind"), [(6, np.uint8), (254, np.uint8), (255, np.uint16), (65534, np.uint16)])
def test_the_label_fits_its_type(k, kind):
    labels = np.array([[0, 1], [k, k]], np.min_scalar_type(k))
    before = labels.copy()
    marked = mark(labels, np.array([[True, False], [True, False]]), k)
    assert marked.dtype == kind
    assert marked.tolist() == [[0, 1], [k + 1, k]]
    np.testing.assert_array_equal(labels, before)


def test_the_legend_ends_with_it():
    names, colors = ("a", "b"), ((1, 2, 3), (4, 5, 6))
    assert legend(names, colors, with_unlike=False) == (names, colors)
    assert legend(names, colors, with_unlike=True) == (("a", "b", NAME), (*colors, COLOR))


def test_a_token_covers_its_px():
    tokens = np.array([[True, False, True], [False, False, True]])
    np.testing.assert_array_equal(on_px(tokens, 4), np.kron(tokens, np.ones((4, 4), bool)))
