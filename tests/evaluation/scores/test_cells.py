"""Cells hold the px that the label map would give them, and no others."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histofactor.evaluation.scores.cells import cells_of, first_px, sum_cells
from histofactor.evaluation.scores.labels import level0_labels
from histofactor.records import SlideInfo
from histofactor.slides.geometry.frame import make_frame


def frame_of(size, mpp=0.5, t_mpp=0.8, stride_px=4):
    return make_frame(SlideInfo(None, size, mpp, (1.0,), "array", ()), t_mpp, stride_px)


def cell_of_px(frame):
    """The number of every px's cell, as labels that are constant in cells would be brought to level 0."""
    (columns, rows), (width, height) = frame.g_size, frame.t_size
    tokens = np.arange(rows * columns).reshape(rows, columns)
    labels = np.kron(tokens, np.ones((frame.stride_px,) * 2, int))[:height, :width]
    slide = SimpleNamespace(size=frame.l0_size)
    return level0_labels(
        SimpleNamespace(label_map=SimpleNamespace(labels=labels), slide=slide, l0_per_px=frame.l0_per_px)
    )


@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.floats(0.2, 1.0),
    st.floats(0.2, 3.0),
    st.sampled_from([1, 3, 8]),
)
def test_sums_are_those_of_the_px_that_labels_would_be_brought_to(size, mpp, t_mpp, stride_px):
    frame = frame_of(size, mpp, t_mpp, stride_px)
    number, cells = cell_of_px(frame), frame.g_size[0] * frame.g_size[1]
    values = np.random.default_rng(0).integers(0, 9, size[::-1])
    px = sum_cells(np.ones(size[::-1], bool), frame, np.int64)
    np.testing.assert_array_equal(px, np.bincount(number.ravel(), minlength=cells))
    assert px.min() > 0
    np.testing.assert_array_equal(
        sum_cells(values, frame, np.int64), np.bincount(number.ravel(), values.ravel(), cells).astype(int)
    )
    rows, columns = first_px(frame)
    assert (rows[0], columns[0]) == (0, 0)


def cut(n_drawn=100, ignored=()):
    rng, frame = np.random.default_rng(1), frame_of((37, 22))
    shape = frame.g_size[::-1]
    rgb, truth = rng.integers(0, 256, (22, 37, 3), np.uint8), rng.integers(0, 3, (22, 37))
    number = cell_of_px(frame)
    truth[np.isin(number, ignored)] = -1
    X = rng.random((*shape, 5)).astype(np.float32)
    encoded = SimpleNamespace(
        plan=SimpleNamespace(frame=frame), parts=[SimpleNamespace(B=X[:2]), SimpleNamespace(B=X[2:])]
    )
    return rgb, truth, number, X.reshape(-1, 5), cells_of(rgb, truth, 3, encoded, n_drawn, np.random.default_rng(2))


def test_classes_and_colours_of_cells():
    rgb, truth, number, _, cells = cut(ignored=(3,))
    for cell in range(len(cells.counts)):
        inside = number == cell
        assert cells.counts[cell].tolist() == [int((truth[inside] == code).sum()) for code in range(3)]
        expected = -np.log((rgb[inside].astype(float) + 1) / 256).mean(axis=0)
        assert cells.densities[cell] == pytest.approx(expected, rel=1e-5)
    assert cells.counts[3].sum() == 0


def test_cells_are_drawn_once_each_among_those_that_count():
    *_, X, cells = cut(ignored=(0, 3))
    assert cells.drawn.tolist() == [cell for cell in range(len(X)) if cell not in {0, 3}]
    *_, X, few = cut(n_drawn=7)
    assert len({*few.drawn.tolist()}) == 7
    assert few.drawn.tolist() == sorted(few.drawn.tolist())
    np.testing.assert_array_equal(few.features, X[few.drawn].astype(np.float16))
    *_, none = cut(ignored=range(len(X)))
    assert none.features.shape == (0, 5)
