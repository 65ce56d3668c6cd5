import time

import numpy as np
import pytest
import rasterio.features
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_dilation, gaussian_filter, label

from histofactor.masks.polygons import polygons
from histofactor.records import LabelMap

maps = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3))
scales = st.floats(1, 5, allow_nan=False) | st.sampled_from([1.0, 1.5, 2.0, 2.5])


def label_map(labels, origin=(0, 0)):
    k = int(labels.max())
    return LabelMap(labels, None, origin, tuple(map(str, range(k))), ((0, 0, 0),) * k)


def blobs(side, smooth, k=5, seed=0):
    rng = np.random.default_rng(seed)
    fields = [gaussian_filter(rng.normal(size=(side, side)), smooth) for _ in range(k)]
    return np.argmax(fields, axis=0).astype(np.uint8)


def burn(pieces, shape):
    burnt = [(piece.polygon, piece.label) for piece in pieces]
    return rasterio.features.rasterize(burnt, shape, dtype=np.uint16) if burnt else np.zeros(shape, np.uint16)


def level0(labels, origin, l0_per_px):
    """The label map drawn in level-0 px, one px block at a time."""
    x = [int(np.floor(origin[0] + i * l0_per_px[0] + 0.5)) for i in range(labels.shape[1] + 1)]
    y = [int(np.floor(origin[1] + i * l0_per_px[1] + 0.5)) for i in range(labels.shape[0] + 1)]
    drawn = np.zeros((y[-1], x[-1]), np.uint16)
    for row, col in np.ndindex(labels.shape):
        drawn[y[row] : y[row + 1], x[col] : x[col + 1]] = labels[row, col]
    return drawn


@given(maps, scales, scales, st.tuples(st.integers(0, 7), st.integers(0, 7)))
def test_without_simplification_nothing_is_lost(labels, across, down, origin):
    pieces = polygons(label_map(labels, origin), (across, down), tolerance_px=0, min_area_px=1)
    expected = level0(labels, origin, (across, down))
    np.testing.assert_array_equal(burn(pieces, expected.shape), expected)


@given(maps)
def test_there_is_one_piece_for_every_4_connected_piece(labels):
    pieces = polygons(label_map(labels), (1.0, 1.0), tolerance_px=0, min_area_px=1)
    expected = [
        (value, int(area)) for value in (1, 2, 3) for area in np.bincount(label(labels == value)[0].ravel())[1:]
    ]
    assert sorted((piece.label, piece.area_px) for piece in pieces) == sorted(expected)
    assert all(piece.polygon.area == piece.area_px for piece in pieces)
    assert len({piece.pixel for piece in pieces}) == len(pieces)
    for piece in pieces:
        row, col = piece.pixel
        assert labels[row, col] == piece.label
        assert piece.polygon.contains(shapely.Point(col + 0.5, row + 0.5))


@given(maps, st.floats(0.3, 5), st.sampled_from([0.0, 1.0, 2.0]))
def test_polygons_are_valid_closed_and_in_whole_px(labels, scale, tolerance_px):
    pieces = polygons(label_map(labels), (scale, scale), tolerance_px=tolerance_px, min_area_px=1)
    for piece in pieces:
        assert piece.polygon.is_valid
        assert piece.polygon.area > 0
        coordinates = shapely.get_coordinates(piece.polygon)
        np.testing.assert_array_equal(coordinates, np.rint(coordinates))
        assert all(ring.is_closed for ring in (piece.polygon.exterior, *piece.polygon.interiors))


def test_a_hole_is_an_inner_ring():
    labels = np.ones((5, 5), np.uint8)
    labels[2, 2] = 0
    (piece,) = polygons(label_map(labels, (10, 20)), (4.0, 4.0), tolerance_px=0, min_area_px=1)
    assert piece.polygon.bounds == (10, 20, 30, 40)
    assert [hole.bounds for hole in map(shapely.Polygon, piece.polygon.interiors)] == [(18, 28, 22, 32)]


def test_simplified_boundaries_stay_within_two_px_and_are_shared():
    labels = blobs(200, 6)
    pieces = polygons(label_map(labels), (1.0, 1.0), min_area_px=1)
    boundary = np.any([np.roll(labels, s, a) != labels for s in (1, -1) for a in (0, 1)], axis=0)
    burnt = burn(pieces, labels.shape)
    assert not np.any((burnt != labels) & ~binary_dilation(boundary, iterations=2))
    assert (burnt != labels).mean() < 0.03
    shapes = [piece.polygon for piece in pieces]
    together = shapely.union_all(shapes).area
    assert sum(map(shapely.area, shapes)) - together < 0.002 * together  # no overlap but that of rounding
    exact = polygons(label_map(labels), (1.0, 1.0), tolerance_px=0, min_area_px=1)
    corners = sum(shapely.get_num_coordinates(piece.polygon) for piece in exact)
    assert sum(map(shapely.get_num_coordinates, shapes)) < corners / 2


def test_neighbours_meet_without_a_gap_however_coarse():
    labels = blobs(200, 6) + np.uint8(1)
    pieces = polygons(label_map(labels), (16.0, 16.0), tolerance_px=3.0, min_area_px=1)
    covered = shapely.union_all([piece.polygon for piece in pieces])
    assert covered.area > 0.99 * 3200**2
    assert sum(shapely.Polygon(hole).area for hole in covered.interiors) < 1e-4 * 3200**2


@pytest.mark.parametrize(("min_area_px", "kept"), [(4, [4, 9]), (5, [9]), (10, [])])
def test_small_pieces_are_left_out(min_area_px, kept):
    labels = np.zeros((9, 9), np.uint8)
    labels[1:3, 1:3], labels[5:8, 5:8] = 1, 2
    pieces = polygons(label_map(labels), (1.0, 1.0), min_area_px=min_area_px)
    assert sorted(piece.area_px for piece in pieces) == kept


def test_labels_beyond_a_byte_are_kept():
    labels = np.full((8, 8), 300, np.uint16)
    (piece,) = polygons(label_map(labels), (1.0, 1.0))
    assert piece.label == 300


def test_thousands_of_pieces_take_seconds():
    labels = blobs(1024, 6, k=8)
    start = time.process_time()
    pieces = polygons(label_map(labels), (2.0, 2.0), min_area_px=1)
    assert len(pieces) > 4000
    assert time.process_time() - start < 15  # about 2 s; the bound allows for slow machines
