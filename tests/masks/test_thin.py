import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from histofactor.masks.arcs import number_pieces, trace
from histofactor.masks.thin import thin

maps = st.builds(
    lambda seed, side, k: np.random.default_rng(seed).integers(0, k + 1, (side, side)).astype(np.uint8),
    st.integers(0, 10**6),
    st.integers(1, 24),
    st.sampled_from([1, 2, 4]),
)


def lattice(labels, per_px=1.0):
    y, x = (np.floor(np.arange(side + 1) * per_px + 0.5).astype(np.int64) for side in labels.shape)
    return y, x


def lines(arcs, y, x):
    return [
        shapely.LineString(np.column_stack([x[arcs.points[a:b, 1]], y[arcs.points[a:b, 0]]]))
        for a, b in zip(arcs.start[:-1], arcs.start[1:], strict=True)
    ]


@given(maps, st.floats(1, 3), st.sampled_from([1, 2, 8, 100]))
def test_arcs_meet_at_junctions_alone(labels, per_px, limit):
    y, x = lattice(labels, per_px)
    arcs = thin(trace(number_pieces(labels, 1)[0]), limit, y, x)
    drawn = lines(arcs, y, x)
    assert all(line.is_simple for line in drawn)
    ends = {line.coords[0] for line in drawn} | {line.coords[-1] for line in drawn}
    tree = shapely.STRtree(drawn)
    for i, j in tree.query(drawn, predicate="intersects").T:
        if i < j:
            shared = drawn[i].intersection(drawn[j])
            assert shared.length == 0
            assert {tuple(point) for point in shapely.get_coordinates(shared)} <= ends


@given(maps, st.sampled_from([2, 8]))
def test_ends_and_outer_arcs_stay(labels, limit):
    before = trace(number_pieces(labels, 1)[0])
    after = thin(before, limit, *lattice(labels))
    for k in range(len(before.start) - 1):
        old, new = (arcs.points[arcs.start[k] : arcs.start[k + 1]] for arcs in (before, after))
        assert {tuple(point) for point in new.tolist()} <= {tuple(point) for point in old.tolist()}
        if before.ends[2 * k] < 0:
            assert (new[0] == new[-1]).all()
            assert len(new) >= min(len(old), 5)
        else:
            np.testing.assert_array_equal(new[[0, -1]], old[[0, -1]])
        if min(before.piece[2 * k : 2 * k + 2]) < 0:
            np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize(("limit", "points"), [(1, 15), (2, 3)])
def test_only_triangles_up_to_the_limit_are_cut(limit, points):
    labels = np.full((8, 15), 2, np.uint8)
    for row in range(8):
        labels[row, : 2 * row + 1] = 1  # stairs two px wide: triangles of 1 px²
    arcs = thin(trace(number_pieces(labels, 1)[0]), limit, *lattice(labels))
    inner = [k for k in range(len(arcs.start) - 1) if min(arcs.piece[2 * k : 2 * k + 2]) > 0]
    assert [arcs.start[k + 1] - arcs.start[k] for k in inner] == [points]


def test_a_px_in_the_way_keeps_a_bulge():
    labels = np.ones((9, 9), np.uint8)
    labels[2:7, 2:7] = 2
    labels[3, 3] = 3
    arcs = thin(trace(number_pieces(labels, 1)[0]), 1000, *lattice(labels))
    outer, px = (shapely.Polygon(line) for line in lines(arcs, *lattice(labels)) if line.length < 36)
    assert outer.contains(px)


def test_nothing_to_thin_is_fine():
    nothing = trace(np.full((3, 3), -1, np.int32))
    assert thin(nothing, 2, *lattice(np.zeros((1, 1)))) is nothing
