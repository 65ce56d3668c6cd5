import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import label

from histofactor.masks.arcs import assemble, number_pieces, piece_sums, trace

maps = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 3))


def number_slowly(labels, min_area):
    """Pieces numbered in the order of their first px."""
    alone, first = np.zeros(labels.shape, int), []
    for value in range(1, labels.max() + 1):
        numbered, count = label(labels == value)
        for i in range(1, count + 1):
            if (numbered == i).sum() >= min_area:
                first.append((np.flatnonzero(numbered.ravel() == i)[0], numbered == i))
    for number, (_, where) in enumerate(sorted(first, key=lambda found: found[0]), 1):
        alone[where] = number
    return alone


def boundary_edges(ids):
    """Edges between px of different numbers: (row, column, downwards)."""
    across = {(r, c, False) for r, c in zip(*np.nonzero(ids[:-1] != ids[1:]), strict=True)}
    down = {(r, c, True) for r, c in zip(*np.nonzero(ids[:, :-1] != ids[:, 1:]), strict=True)}
    return {(r, c - 1, d) for r, c, d in across} | {(r - 1, c, d) for r, c, d in down}


def edges_of(points):
    """Unit edges along a line of axis-parallel steps."""
    for (r0, c0), (r1, c1) in zip(points[:-1].tolist(), points[1:].tolist(), strict=True):
        assert (r0 == r1) != (c0 == c1)
        yield from ((r0, c, False) for c in range(min(c0, c1), max(c0, c1)))
        yield from ((r, c0, True) for r in range(min(r0, r1), max(r0, r1)))


@given(maps, st.integers(1, 4))
def test_pieces_are_numbered_in_reading_order_without_small_ones(labels, min_area):
    ids, label_of, area = number_pieces(labels, min_area)
    expected = number_slowly(labels, min_area)
    np.testing.assert_array_equal(ids, np.pad(expected, 1, constant_values=-1))
    np.testing.assert_array_equal(area[1:], np.bincount(expected.ravel(), minlength=len(area))[1:])
    np.testing.assert_array_equal(label_of[expected][expected > 0], labels[expected > 0])


def test_sums_are_those_of_the_px():
    labels = np.array([[1, 1, 2], [0, 2, 2]], np.uint8)
    values = np.array([[1, 2, 4], [8, 16, 32]], np.float32)
    ids, _, _ = number_pieces(labels, 1)
    np.testing.assert_array_equal(piece_sums(ids, values, 3), [8, 3, 52])


@given(maps)
def test_every_edge_of_a_boundary_lies_on_one_arc(labels):
    ids, _, _ = number_pieces(labels, 1)
    arcs = trace(ids)
    edges = [
        edge
        for a, b in zip(arcs.start[:-1], arcs.start[1:], strict=True)
        for edge in edges_of(arcs.points[a:b].astype(int))
    ]
    assert len(edges) == len(set(edges))
    assert set(edges) == boundary_edges(ids)


@given(maps)
def test_rings_pass_a_point_once_and_go_around_their_piece(labels):
    ids, _, area = number_pieces(labels, 1)
    corners, first, owner = assemble(*trace(ids)[:4])
    enclosed, outer = np.zeros(len(area)), []
    for a, b, number in zip(first[:-1], first[1:], owner, strict=True):
        ring = corners[a:b].astype(int)
        assert (ring[0] == ring[-1]).all()
        assert len(np.unique(ring[1:], axis=0)) == len(ring) - 1 >= 4
        y, x = ring.T
        signed = (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2
        enclosed[number] += signed
        if signed > 0:
            outer.append(number)
    np.testing.assert_array_equal(enclosed[1:], area[1:])
    np.testing.assert_array_equal(np.sort(outer), np.arange(1, len(area)))  # one outer ring each
