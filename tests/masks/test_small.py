"""Small pieces against a slow way: whole maps, one piece after another, by components of one label at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.measure import label as components_of_skimage

from histofactor.masks.small import _components, merge_small, piece_areas

maps = arrays(np.uint8, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.integers(0, 3))


def pieces_of(labels):
    """(area, label, mask) of every piece of a label above 0."""
    for value in np.unique(labels[labels > 0]):
        parts, n = ndimage.label(labels == value)
        for part in range(1, n + 1):
            mask = parts == part
            yield int(mask.sum()), int(value), mask


def borders(labels, mask):
    """Sides of px that a piece shares with each label above 0."""
    found = {}
    for axis in (0, 1):
        for step in (1, -1):
            there = np.roll(mask, step, axis)
            edge = [slice(None)] * 2
            edge[axis] = 0 if step == 1 else -1
            there[tuple(edge)] = False
            for value in labels[there & ~mask]:
                found[int(value)] = found.get(int(value), 0) + 1
    found.pop(0, None)
    return found


def slowly(labels, min_px):
    labels = labels.copy()
    while True:
        small = sorted((piece for piece in pieces_of(labels) if piece[0] < min_px), key=lambda piece: piece[:2])
        for _, _, mask in small:
            if found := borders(labels, mask):
                labels[mask] = min(found, key=lambda value: (-found[value], value))
                break
        else:
            return labels


@given(maps)
def test_pieces_of_a_band_are_those_of_skimage_in_reading_order(labels):
    assert np.array_equal(_components(labels), components_of_skimage(labels, background=-1, connectivity=1) - 1)


class OnDisk:
    """A map that is read by slices alone."""

    def __init__(self, labels):
        self._labels, self.shape, self.dtype = labels, labels.shape, labels.dtype

    def __getitem__(self, index):
        return self._labels[index]


@given(maps, st.integers(1, 12), st.integers(1, 15))
def test_as_one_after_another_whatever_the_bands(labels, min_px, rows):
    expected = slowly(labels, min_px)
    np.testing.assert_array_equal(merge_small(labels, min_px), expected)
    streamed = merge_small(OnDisk(labels), min_px, rows)
    assert (streamed.shape, streamed.dtype) == (labels.shape, labels.dtype)
    np.testing.assert_array_equal(streamed[:], expected)
    top, left = labels.shape[0] // 3, labels.shape[1] // 2
    np.testing.assert_array_equal(streamed[top::2, left:], expected[top::2, left:])
    assert streamed[top:top].shape == (0, labels.shape[1])


@given(maps, st.integers(1, 12))
def test_turned_and_mirrored_maps_are_merged_alike(labels, min_px):
    expected = merge_small(labels, min_px)
    for change in (np.fliplr, np.flipud, np.rot90, np.transpose):
        np.testing.assert_array_equal(merge_small(np.ascontiguousarray(change(labels)), min_px), change(expected))


@given(maps, st.integers(1, 12))
def test_what_is_small_is_alone_and_no_tissue_stays(labels, min_px):
    merged = merge_small(labels, min_px)
    np.testing.assert_array_equal(merged == 0, labels == 0)
    for area, _, mask in pieces_of(merged):
        assert area >= min_px or not borders(merged, mask)
    np.testing.assert_array_equal(merge_small(merged, min_px), merged)


def test_the_longest_border_wins_then_the_lower_label():
    labels = np.array([[1, 1, 2], [1, 3, 2], [1, 1, 2]], np.uint8)
    np.testing.assert_array_equal(merge_small(labels, 2)[1], [1, 1, 2])
    np.testing.assert_array_equal(merge_small(np.array([[2, 2, 3, 1, 1]], np.uint8), 2), [[2, 2, 1, 1, 1]])
    np.testing.assert_array_equal(merge_small(np.array([[1, 0], [0, 2]], np.uint8), 9), [[1, 0], [0, 2]])


@pytest.mark.parametrize("rows", [3, 64, 1000])
def test_a_large_map(rows):
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.normal(size=(6, 200, 160)), (0, 3, 3)).argmax(0).astype(np.uint16)
    labels = np.where(rng.random(smooth.shape) < 0.03, rng.integers(0, 6, smooth.shape), smooth).astype(np.uint16)
    merged = merge_small(OnDisk(labels), 40, rows)[:]
    assert merged.dtype == np.uint16
    assert sum(area < 40 for area, *_ in pieces_of(labels)) > 400
    assert all(area >= 40 or not borders(merged, mask) for area, _, mask in pieces_of(merged))


@given(maps)
def test_areas_are_those_of_scikit_image(labels):
    pieces = components_of_skimage(labels, background=0, connectivity=1)
    assert sorted(piece_areas(labels)) == sorted(np.bincount(pieces.ravel())[1:])


def test_corners_do_not_connect_and_label_0_is_no_piece():
    assert piece_areas(np.array([[1, 0], [0, 1]], np.uint8)).tolist() == [1, 1]
    assert piece_areas(np.zeros((3, 3), np.uint16)).tolist() == []
    assert piece_areas(np.array([[300, 300], [2, 300]], np.uint16)).tolist() == [1, 3]
