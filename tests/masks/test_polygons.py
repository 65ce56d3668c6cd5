from itertools import pairwise

import numpy as np
import pytest
import rasterio.features
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_dilation, gaussian_filter, label

from histofactor.masks.polygons import Outlining, polygons, stream_polygons
from histofactor.records import LabelMap

maps = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3))
noise = st.builds(
    lambda seed, rows, columns, k: np.random.default_rng(seed).integers(0, k + 1, (rows, columns)).astype(np.uint8),
    st.integers(0, 10**6),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([1, 2, 3, 9]),
)
scales = st.floats(1, 5, allow_nan=False) | st.sampled_from([1.0, 1.5, 2.0, 2.5])
tilings = st.sampled_from([(2, 1), (4, 2), (5, 1), (12, 3), (64, 64)])
tolerances = st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0])
SPECIAL = {
    "one px": [[1]],
    "one px wide": [[1], [1], [2], [0], [1], [1]],
    "one px high": [[0, 1, 1, 2, 3, 0]],
    "checkerboard": (np.indices((7, 7)).sum(0) % 2 + 1).tolist(),
    "checkerboard on nothing": (np.indices((7, 7)).sum(0) % 2).tolist(),
    "rings in rings": [[max(abs(r - 5), abs(c - 5)) % 3 for c in range(11)] for r in range(11)],
    "a hole that touches the outside": [[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]],
    "two holes that touch": [[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 1]],
    "a ring of holes": [[1] * 5, [1, 1, 0, 1, 1], [1, 0, 1, 0, 1], [1, 1, 0, 1, 1], [1] * 5],
}


def label_map(labels, origin=(0, 0)):
    k = int(labels.max())
    return LabelMap(labels, None, origin, tuple(map(str, range(k))), ((0, 0, 0),) * k)


def tiled(labels, tiling, scale=(1.0, 1.0), tolerance_px=0.0, min_area_px=1, **given):
    options = Outlining(tolerance_px, min_area_px, *tiling)
    return list(stream_polygons(label_map(labels), scale, options=options, **given))


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


def assert_sound(pieces):
    """Valid, not empty, in whole px, with closed rings of at least 4 points."""
    for piece in pieces:
        assert piece.polygon.geom_type == "Polygon"
        assert piece.polygon.is_valid, shapely.is_valid_reason(piece.polygon)
        assert piece.polygon.area > 0
        coordinates = shapely.get_coordinates(piece.polygon)
        np.testing.assert_array_equal(coordinates, np.rint(coordinates))
        for ring in (piece.polygon.exterior, *piece.polygon.interiors):
            assert ring.is_closed
            assert len(ring.coords) >= 4


def overlap(pieces):
    """Area that is covered more than once within a piece of tissue."""
    tissues = {piece.tissue_piece: [] for piece in pieces}
    for piece in pieces:
        tissues[piece.tissue_piece].append(piece.polygon)
    return sum(shapely.area(shapes).sum() - shapely.union_all(shapes).area for shapes in tissues.values())


@given(maps | noise, scales, scales, st.tuples(st.integers(0, 7), st.integers(0, 7)))
def test_without_simplification_nothing_is_lost(labels, across, down, origin):
    pieces = polygons(label_map(labels, origin), (across, down), tolerance_px=0, min_area_px=1)
    expected = level0(labels, origin, (across, down))
    np.testing.assert_array_equal(burn(pieces, expected.shape), expected)


@given(maps | noise, tilings)
def test_tiles_lose_nothing_either(labels, tiling):
    pieces = tiled(labels, tiling)
    assert_sound(pieces)
    np.testing.assert_array_equal(burn(pieces, labels.shape), labels)
    assert sum(piece.area_px for piece in pieces) == (labels > 0).sum()


@given(maps | noise)
def test_there_is_one_piece_for_every_4_connected_piece(labels):
    pieces = polygons(label_map(labels), (1.0, 1.0), tolerance_px=0, min_area_px=1)
    expected = [
        (value, int(area))
        for value in range(1, labels.max() + 1)
        for area in np.bincount(label(labels == value)[0].ravel())[1:]
    ]
    assert sorted((piece.label, piece.area_px) for piece in pieces) == sorted(expected)
    assert all(piece.polygon.area == piece.area_px for piece in pieces)


@given(maps | noise, scales, scales, tolerances, tilings)
def test_polygons_are_sound_and_never_overlap(labels, across, down, tolerance_px, tiling):
    pieces = tiled(labels, tiling, (across, down), tolerance_px)
    assert_sound(pieces)
    assert overlap(pieces) == pytest.approx(0, abs=1e-6)
    assert sum(piece.area_px for piece in pieces) == (labels > 0).sum()


@given(maps | noise, st.floats(0.2, 1), tolerances)
def test_polygons_finer_than_level_0_are_sound(labels, scale, tolerance_px):
    assert_sound(polygons(label_map(labels), (scale, scale), tolerance_px=tolerance_px, min_area_px=1))


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize("tiling", [(64, 64), (3, 1)])
def test_special_maps(name, tiling):
    labels = np.array(SPECIAL[name], np.uint8)
    np.testing.assert_array_equal(burn(tiled(labels, tiling), labels.shape), labels)
    for tolerance_px in (0.0, 1.0, 4.0):
        pieces = tiled(labels, tiling, (1.7, 1.3), tolerance_px)
        assert_sound(pieces)
        assert overlap(pieces) == pytest.approx(0, abs=1e-6)


def test_a_hole_is_an_inner_ring():
    labels = np.ones((5, 5), np.uint8)
    labels[2, 2] = 0
    (piece,) = polygons(label_map(labels, (10, 20)), (4.0, 4.0), tolerance_px=0, min_area_px=1)
    assert piece.polygon.bounds == (10, 20, 30, 40)
    assert [hole.bounds for hole in map(shapely.Polygon, piece.polygon.interiors)] == [(18, 28, 22, 32)]
    assert piece.polygon.exterior.is_ccw  # RFC 7946
    assert not piece.polygon.interiors[0].is_ccw


@pytest.mark.parametrize("tiling", [(4096, 64), (64, 16)])
def test_simplified_boundaries_stay_within_two_px_and_are_shared(tiling):
    labels = blobs(200, 6)
    pieces = tiled(labels, tiling, tolerance_px=1.0)
    boundary = np.any([np.roll(labels, s, a) != labels for s in (1, -1) for a in (0, 1)], axis=0)
    burnt = burn(pieces, labels.shape)
    assert not np.any((burnt != labels) & ~binary_dilation(boundary, iterations=2))
    assert (burnt != labels).mean() < 0.03
    assert overlap(pieces) == pytest.approx(0, abs=1e-6)
    exact = tiled(labels, tiling)
    corners = sum(shapely.get_num_coordinates(piece.polygon) for piece in exact)
    assert sum(shapely.get_num_coordinates(piece.polygon) for piece in pieces) < corners / 2


@pytest.mark.parametrize("tiling", [(4096, 64), (48, 16)])
def test_neighbours_meet_without_a_gap_however_coarse(tiling):
    labels = blobs(200, 6) + np.uint8(1)
    pieces = tiled(labels, tiling, (16.0, 16.0), tolerance_px=3.0)
    assert shapely.union_all([piece.polygon for piece in pieces]).equals(shapely.box(0, 0, 3200, 3200))


def test_only_tissue_wider_than_a_tile_is_cut():
    labels = np.zeros((24, 60), np.uint8)
    labels[2:9, 3:9] = 1  # across a multiple of the tile, but small
    labels[1:4, 20:50] = 2  # wider than a tile
    labels[16:22, 30:35] = 3
    pieces = tiled(labels, (8, 2))
    assert sorted((piece.label, piece.tissue_piece) for piece in pieces)[:1] == [(1, 2)]
    assert [piece.tissue_piece for piece in pieces] == sorted(piece.tissue_piece for piece in pieces)
    assert sum(piece.label == 1 for piece in pieces) == sum(piece.label == 3 for piece in pieces) == 1
    parts = [piece.polygon.bounds for piece in pieces if piece.label == 2]
    assert len(parts) == 4
    assert [left[2] for left in parts[:-1]] == [right[0] for right in parts[1:]]


def test_means_of_margins_are_those_of_the_px():
    labels, margin = blobs(60, 3), np.random.default_rng(1).random((60, 60), np.float32)
    pieces = tiled(labels, (4096, 64), margin=margin)
    expected = []
    for value in range(1, 5):
        numbered, count = label(labels == value)
        expected += [(value, margin[numbered == i].mean(dtype=float)) for i in range(1, count + 1)]
    found = sorted((piece.label, piece.mean_margin) for piece in pieces)
    np.testing.assert_allclose(found, sorted(expected), rtol=1e-6)
    assert all(piece.mean_margin is None for piece in tiled(labels, (4096, 64)))


class Watched:
    """Labels that lie elsewhere, and the largest number of px read at once."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.largest = values, values.shape, values.dtype, 0

    def __getitem__(self, index):
        window = self.values[index]
        self.largest = max(self.largest, window.size)
        return window.copy()


def test_maps_are_read_tile_by_tile():
    labels, margin = Watched(blobs(120, 4) + np.uint8(1)), Watched(np.ones((120, 120), np.float32))
    options = Outlining(tile_px=32, cell_px=8)
    lazy = list(stream_polygons(LabelMap(labels, None, (0, 0), (), ()), (2.0, 2.0), margin=margin, options=options))
    assert lazy == tiled(labels.values, (32, 8), (2.0, 2.0), 1.0, 64, margin=margin.values)
    assert len(lazy) > 16
    assert 0 < labels.largest <= 32 * 32
    assert 0 < margin.largest <= 32 * 32


def test_tiles_come_in_order_and_alike_every_time():
    labels = blobs(150, 4)
    first, second = (tiled(labels, (32, 8), (1.9, 1.9), 1.0) for _ in range(2))
    assert first == second
    assert [piece.polygon.wkb for piece in first] == [piece.polygon.wkb for piece in second]


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


def test_coordinates_count_from_the_origin():
    labels = np.array([[1, 2]], np.uint8)
    left, right = polygons(label_map(labels, (100, 7)), (2.5, 2.5), min_area_px=1)
    assert (left.polygon.bounds, right.polygon.bounds) == ((100, 7, 103, 10), (103, 7, 105, 10))


def test_a_straight_edge_over_many_stairs_becomes_one():
    labels = (np.add.outer(np.arange(64), np.arange(64)) < 64).astype(np.uint8)
    (piece,) = polygons(label_map(labels), (3.0, 3.0))
    assert len(piece.polygon.exterior.coords) <= 7
    assert all(a != b for a, b in pairwise(piece.polygon.exterior.coords))
