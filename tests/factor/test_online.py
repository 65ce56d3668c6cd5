"""Streams against the whole, rounds of many workers against one, and what a model refuses."""

import gc
import weakref
from functools import reduce
from operator import add

import numpy as np
import pytest
from PIL import Image
from scipy.optimize import minimize

from histofactor.errors import OptionError
from histofactor.factor.nmf import factorize
from histofactor.factor.nnls import project
from histofactor.factor.online import OnlineNMF, Statistics


def features(rows=2000, dim=40, rank=6, noise=0.2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.gamma(0.5, 1.0, (rows, rank)) @ np.random.default_rng(99).gamma(0.5, 1.0, (rank, dim))
    return np.maximum(X + noise * rng.normal(size=X.shape), 0).astype(np.float32)


def batches(X, size=250):
    return [X[i : i + size] for i in range(0, len(X), size)]


def stream(X, k=6):
    model = OnlineNMF(k)
    for batch in batches(X):
        model.partial_fit(batch)
    return model


def objective(X, H):
    return 0.5 * np.linalg.norm(X - project(X, H) @ H) ** 2


def assert_same(a: Statistics, b: Statistics):
    np.testing.assert_allclose(a.WtW, b.WtW, rtol=1e-12)
    np.testing.assert_allclose(a.WtX, b.WtX, rtol=1e-12)
    assert a.sq_norm == pytest.approx(b.sq_norm, rel=1e-12)
    assert a.rows == b.rows


@pytest.fixture
def start():
    return factorize(features(200, seed=5), 6, max_iter=3)[1]


def test_a_stream_comes_close_to_the_whole():
    X = features()
    _, H = factorize(X, 6)
    assert objective(X, stream(X).components) <= 1.01 * objective(X, H)


def test_a_stream_of_patches_of_tissue_comes_close_to_the_whole(shared):
    image = Image.open(shared / "data/example_3.jpg").convert("RGB").resize((320, 240), Image.Resampling.BOX)
    patches = np.asarray(image, np.float32).reshape(60, 4, 80, 4, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 48) / 255
    X = np.random.default_rng(0).permutation(patches)
    _, H = factorize(X, 4)
    assert objective(X, stream(X, 4).components) <= 1.02 * objective(X, H)


def test_objective_transform_and_bound():
    X = features()
    model = stream(X)
    W = model.transform(X)
    expected = 0.5 * np.linalg.norm(X - W @ model.components) ** 2
    assert model.objective(X) == pytest.approx(expected, rel=1e-4)
    assert expected * 0.9999 <= model.bound <= 1.05 * expected
    np.testing.assert_allclose(np.linalg.norm(model.components, axis=1), 1, atol=1e-6)
    assert model.statistics.rows == len(X)


def test_statistics_are_those_of_exact_weights(start):
    X = features(300)
    seen = OnlineNMF(6, components=start).measure(X)
    W = project(X, start.astype(np.float64)).astype(np.float64)
    np.testing.assert_allclose(seen.WtW, W.T @ W, rtol=1e-9)
    np.testing.assert_allclose(seen.WtX, W.T @ X, rtol=1e-9)


def test_components_fit_the_statistics_best(start):
    model = OnlineNMF(6, components=start)
    seen = model.measure(features(300))
    model.update(seen)
    bound = model.bound

    def surrogate(h):
        H = h.reshape(start.shape)
        slope = seen.WtW @ H - seen.WtX
        return 0.5 * np.vdot(slope - seen.WtX, H) + 0.5 * seen.sq_norm, slope.ravel()

    peer = minimize(surrogate, start.ravel(), jac=True, bounds=[(0, None)] * start.size, method="L-BFGS-B")
    assert bound <= peer.fun * (1 + 1e-9)


def test_a_round_does_not_depend_on_who_saw_what_when(start):
    parts = batches(features(), 97)
    alone = OnlineNMF(6, components=start)
    whole = alone.measure(features())
    rng = np.random.default_rng(1)
    for workers in (1, 2, 5):
        order = rng.permutation(len(parts))
        models = [OnlineNMF(6, components=start) for _ in range(workers)]
        sums = [reduce(add, (models[i].measure(parts[j]) for j in order[i::workers])) for i in rng.permutation(workers)]
        assert_same(reduce(add, sums), whole)
        model = OnlineNMF(6, components=start).update(reduce(add, sums))
        reference = OnlineNMF(6, components=start).update(whole)
        np.testing.assert_allclose(model.components, reference.components, atol=1e-6)


def test_no_round_raises_the_objective(start):
    X = features()
    values = [OnlineNMF(6, components=start).objective(X)]
    H = start
    for _ in range(4):
        model = OnlineNMF(6, components=H)
        H = model.update(model.measure(X)).components
        values.append(model.objective(X))
    assert (np.diff(values) <= 1e-6 * values[0]).all()
    assert values[-1] < 0.99 * values[0]


def test_merging_is_associative_and_commutative(start):
    a, b, c = (OnlineNMF(6, components=start).partial_fit(features(300, seed=seed)) for seed in (1, 2, 3))
    before = a.components
    left, right, other = a.merge(b).merge(c), a.merge(b.merge(c)), c.merge(b).merge(a)
    for model in (right, other):
        assert_same(left.statistics, model.statistics)
        np.testing.assert_allclose(left.components, model.components, atol=1e-6)
    np.testing.assert_array_equal(a.components, before)
    assert_same(left.statistics, a.statistics + b.statistics + c.statistics)


def test_merged_statistics_bound_the_objective_of_both():
    halves = features(1000, seed=1), features(1000, seed=2)
    merged = OnlineNMF(6).partial_fit(halves[0]).merge(OnlineNMF(6, seed=3).partial_fit(halves[1]))
    assert merged.bound >= sum(merged.objective(X) for X in halves) * (1 - 1e-6)


def test_an_unused_component_stays(start):
    H = np.vstack([start[:5], np.zeros((1, 40), np.float32)])
    model = OnlineNMF(6, components=H).partial_fit(features(300))
    assert (model.components[5] == 0).all()
    assert np.isfinite(model.components).all()


def test_memory_does_not_grow_with_the_stream():
    model, alive = OnlineNMF(6), []
    sizes = set()
    for seed in range(5):
        X = features(250, seed=seed)
        alive.append(weakref.ref(X))
        model.partial_fit(X)
        sizes.add(sum(a.nbytes for a in (model.components, model.statistics.WtW, model.statistics.WtX)))
    del X
    gc.collect()
    assert [ref() for ref in alive] == [None] * 5
    assert len(sizes) == 1


def test_an_empty_batch_changes_nothing(start):
    model = OnlineNMF(6, components=start).partial_fit(features(300))
    before = model.components
    model.partial_fit(np.zeros((0, 40), np.float32))
    np.testing.assert_allclose(model.components, before, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_bad_features(start, value):
    X = features(300)
    X[7, 3] = value
    for model in (OnlineNMF(6), OnlineNMF(6, components=start)):
        for call in (model.partial_fit, OnlineNMF(6, components=start).measure):
            with pytest.raises(OptionError, match="≥ 0"):
                call(X)


def test_a_refused_batch_leaves_the_model_as_it_was():
    model = stream(features())
    before = model.components, model.statistics.rows
    with pytest.raises(OptionError, match="41"):
        model.partial_fit(np.ones((5, 41), np.float32))
    np.testing.assert_array_equal(model.components, before[0])
    assert model.statistics.rows == before[1]


def test_shapes_that_do_not_fit(start):
    model = OnlineNMF(6, components=start)
    with pytest.raises(OptionError, match="k = 6"):
        OnlineNMF(6).partial_fit(features(5))
    with pytest.raises(OptionError, match="k = 0"):
        OnlineNMF(0)
    with pytest.raises(OptionError, match=r"5 × C.*\(6, 40\)"):
        OnlineNMF(5, components=start)
    with pytest.raises(OptionError, match="≥ 0"):
        OnlineNMF(6, components=-start)
    with pytest.raises(OptionError, match="N × 40"):
        model.transform(np.ones((3, 2), np.float32))
    narrow = OnlineNMF(6).partial_fit(features(50, dim=20))
    with pytest.raises(OptionError, match=r"\(6, 40\).*\(6, 20\)"):
        model.update(narrow.statistics)
    with pytest.raises(OptionError, match=r"\(6, 40\).*\(6, 20\)"):
        model.partial_fit(features(50)).merge(narrow)


def test_a_model_that_has_seen_nothing(start):
    for ask in (lambda m: m.components, lambda m: m.measure(features(9)), lambda m: m.merge(m), lambda m: m.bound):
        with pytest.raises(OptionError, match="partial_fit"):
            ask(OnlineNMF(6))
    with pytest.raises(OptionError, match="seen no features"):
        _ = OnlineNMF(6, components=start).statistics
