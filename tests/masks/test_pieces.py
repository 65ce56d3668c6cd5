"""Pieces as scikit-image labels them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label

from histofactor.masks.pieces import piece_areas


@given(arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 3)))
def test_areas_are_those_of_scikit_image(labels):
    pieces = label(labels, background=0, connectivity=1)
    assert sorted(piece_areas(labels)) == sorted(np.bincount(pieces.ravel())[1:])


def test_corners_do_not_connect_and_label_0_is_no_piece():
    assert piece_areas(np.array([[1, 0], [0, 1]], np.uint8)).tolist() == [1, 1]
    assert piece_areas(np.zeros((3, 3), np.uint16)).tolist() == []
    assert piece_areas(np.array([[300, 300], [2, 300]], np.uint16)).tolist() == [1, 3]
