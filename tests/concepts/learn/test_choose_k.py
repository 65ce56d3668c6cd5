"""How many concepts: a known number of phenotypes is found, and the numbers are what they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from histofactor.concepts.learn.choose_k import (
    Choice,
    KReport,
    _agreement,
    _elbow,
    _recommend,
    compare_ks,
    in_sight_of,
    stated,
)
from histofactor.concepts.learn.kmeans import KMeansOptions
from histofactor.concepts.learn.levels import TrainOptions, train_levels
from histofactor.factor.nnls import project

KS = [2, 4, 8, 16, 32]


@pytest.fixture(scope="module")
def phenotypes():
    """Eight clear phenotypes on ten slides."""
    rng = np.random.default_rng(0)
    centres = 10 * np.eye(8, 12) + rng.random((8, 12))
    X = centres[rng.integers(8, size=4000)] + rng.gamma(1.0, 0.4, (4000, 12))
    return X.astype(np.float32), rng.integers(10, size=4000)


@pytest.mark.parametrize("options", [TrainOptions(), TrainOptions(nested=False), TrainOptions("nmf")])
def test_the_number_of_phenotypes_is_recommended(phenotypes, options):
    X, slides = phenotypes
    found = compare_ks(X, slides, train_levels(X, KS, options), options)
    assert [row.k for row in found.rows] == KS
    assert found.recommended == found.elbow == 8
    assert found.rows[2].stability > 0.99
    assert found.rows[4].stability < 0.9
    for name in ("inertia", "residual"):
        values = [getattr(row, name) for row in found.rows]
        assert values == sorted(values, reverse=True)
        assert 0 < values[-1] < values[0] < 1


@pytest.mark.parametrize("k", [1, 2, 64, 200])
def test_agreement_is_the_adjusted_rand_index_of_sklearn(k):
    rng = np.random.default_rng(k)
    a = rng.integers(k, size=500).astype(np.int32)
    b = np.where(rng.random(500) < 0.7, a, rng.integers(k, size=500)).astype(np.int32)
    assert _agreement(a, b, k) == pytest.approx(adjusted_rand_score(a, b), abs=1e-12)
    assert _agreement(a, a, k) == 1.0


def test_inertia_is_the_share_of_the_variance(phenotypes):
    X, slides = phenotypes
    levels = train_levels(X, [4, 8])
    found = compare_ks(X, slides, levels, TrainOptions())
    within = ((X - levels[8].vectors[levels[8].labels]) ** 2).sum()
    assert found.rows[1].inertia == pytest.approx(within / ((X - X.mean(0)) ** 2).sum(), rel=1e-3)


def test_inertia_of_directions_is_the_share_of_theirs(phenotypes):
    X, slides = phenotypes
    options = TrainOptions(nested=False, kmeans=KMeansOptions(spherical=True))
    levels = train_levels(X, [4, 8], options)
    found = compare_ks(X, slides, levels, options)
    U = X / np.linalg.norm(X, axis=1, keepdims=True)
    within = ((U - levels[8].vectors[levels[8].labels]) ** 2).sum()
    assert found.rows[1].inertia == pytest.approx(within / ((U - U.mean(0)) ** 2).sum(), rel=1e-3)


def test_the_residual_is_that_of_slides_that_were_held_out(phenotypes):
    X, slides = phenotypes
    X = X.copy()
    X[slides == 3] = X[slides == 3][:, ::-1]  # one slide is of another tissue
    levels = train_levels(X, [4, 8])
    residuals = set()
    for seed in range(4):
        options = TrainOptions(kmeans=type(TrainOptions().kmeans)(seed=seed))
        residuals.add(round(compare_ks(X, slides, levels, options).rows[1].residual, 1))
    W = project(X, levels[8].vectors)
    own = np.linalg.norm(X - W @ levels[8].vectors, axis=1) / np.linalg.norm(X, axis=1)
    assert max(residuals) >= own.mean()


@pytest.mark.parametrize("few", [False, True])
def test_the_limit_includes_how_much_views_disagree(phenotypes, few):
    X, slides = phenotypes
    slides = slides * 0 if few else slides
    levels, sq_norms = train_levels(X, [8, 16]), (X**2).sum(1)
    assert all(row.residual_limit is None for row in compare_ks(X, slides, levels, TrainOptions()).rows)
    agreed, apart = (
        [row.residual_limit for row in compare_ks(X, slides, levels, TrainOptions(), norms).rows]
        for norms in (sq_norms, 4 * sq_norms)
    )
    for index, k in enumerate((8, 16)):
        W = project(X, levels[k].vectors)
        residual = np.linalg.norm(X - W @ levels[k].vectors, axis=1) / np.linalg.norm(X, axis=1)
        assert np.quantile(residual, 0.9) < agreed[index] < 1
        assert agreed[index] == pytest.approx(np.quantile(residual, 0.99), rel=0.1)
        assert apart[index] == pytest.approx(np.sqrt(1 - (1 - agreed[index] ** 2) / 4), abs=1e-3)


def test_a_sample_too_small_to_halve(phenotypes):
    X, slides = phenotypes
    assert compare_ks(X[:200], slides[:200], train_levels(X[:200], [2, 64]), TrainOptions()) is None


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=7), st.lists(st.floats(0, 1), min_size=7, max_size=7))
def test_what_is_recommended_is_one_of_them(inertias, stabilities):
    pairs = zip(sorted(inertias, reverse=True), stabilities, strict=False)
    rows = [KReport(2**i, inertia, stability, 0.5) for i, (inertia, stability) in enumerate(pairs)]
    elbow = _elbow(rows)
    assert elbow in {row.k for row in rows}
    assert _recommend(rows, elbow) in {row.k for row in rows if row.k <= elbow}


@pytest.mark.parametrize(
    ("small", "recommended"),
    [((0.0, 0.1, 0.15), 16), ((0.0, 0.1, 0.16), 8), ((0.0, 0.3, 0.1), 16), ((0.2, 0.2, 0.2), 4), ((), 16)],
)
def test_maps_of_crumbs_are_not_recommended(small, recommended):
    choice = Choice(tuple(KReport(k, 1 / k, 0.9, 0.1) for k in (4, 8, 16, 32)), 16, 16)
    found = in_sight_of(choice, dict(zip((4, 8, 16), small, strict=False)))
    assert found.recommended == recommended
    assert [row.small for row in found.rows] == [*small, *[None] * (4 - len(small))]
    told = stated(found)
    assert [row["small"] for row in told["rows"]] == [row.small for row in found.rows]
    assert (told["elbow"], told["recommended"]) == (16, recommended)
    assert stated(None) is None
