"""Tokens: their strongest concepts, margins and residuals."""

import numpy as np
import pytest

from histofactor.errors import ImageError
from histofactor.export.weights import SparseWeights, WeightsHeader, write_weights
from histofactor.masks.sparse import quantise
from histofactor.viewer import tokens
from histofactor.viewer.tokens import NOTHING, STEPS, heat, members_of, token_at


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    rng = np.random.default_rng(0)
    values = rng.gamma(0.5, 1.0, (150, 90, 5)).astype(np.float32)
    values[3, 4] = 0
    residual = rng.random((150, 90)).astype(np.float32)
    path = tmp_path_factory.mktemp("weights") / "weights.zarr"
    names, colors = tuple("abcde"), ((1, 2, 3),) * 5
    header = WeightsHeader("s", (720, 1200), 1.0, (2.0, 2.5), 8, "project", "r", names, colors)
    write_weights([quantise(values)], residual, header, path)
    return values, residual, SparseWeights(path)


def grouped(values, members):
    return np.stack([values[..., list(group)].sum(-1) for group in members], -1)


@pytest.mark.parametrize("members", [[(0,), (1,), (2,), (3,), (4,)], [(4,), (0, 2), (1, 3)]])
def test_the_strongest_concepts_of_a_token(kept, members):
    values, residual, weights = kept
    wanted = grouped(values, members)[17, 31].astype(float)
    token = token_at(weights, members, 31, 17)
    order = np.argsort(-wanted)
    assert [concept for concept, _ in token.strongest] == order[:3].tolist()
    assert [share for _, share in token.strongest] == pytest.approx(wanted[order[:3]] / wanted.sum(), abs=1e-4)
    assert token.margin == pytest.approx((wanted[order[0]] - wanted[order[1]]) / wanted[order[0]], abs=1e-4)
    assert token.residual == pytest.approx(residual[17, 31], abs=1e-4)
    nothing = token_at(weights, members, 4, 3)
    assert nothing.strongest == ()
    assert nothing.margin is None


@pytest.mark.parametrize(("side", "step"), [(2048, 1), (100, 2)])
def test_layers_hold_every_token_or_every_second(kept, monkeypatch, side, step):
    values, residual, weights = kept
    monkeypatch.setattr(tokens, "MAX_SIDE", side)
    members = [(4,), (0, 2), (1, 3)]
    first, second = np.sort(grouped(values, members), -1)[..., ::-1][..., :2].transpose(2, 0, 1)
    margin = np.divide(first - second, first, out=np.zeros_like(first), where=first > 0)
    for what, expected in (("margin", margin), ("residual", residual)):
        found = heat(weights, members, what)
        assert found.l0_per_px == (16.0 * step, 20.0 * step)
        thin = expected[::step, ::step]
        empty = (first == 0)[::step, ::step]
        assert found.values.shape == thin.shape
        assert (found.values[empty] == NOTHING).all()
        assert np.abs(found.values[~empty] / STEPS - thin[~empty]).max() < 0.6 / STEPS + 1e-4


def test_what_weights_are_of():
    assert members_of({}, 2) == [(0,), (1,)]
    assert members_of({"weights_of": {"of": [[0, 2], [1]]}}, 3) == [(0, 2), (1,)]
    for of in ([[0, 2]], [[0], [0, 1, 2]], "x", [0, 1, 2], None, [[0, 1, 2, 3]]):
        with pytest.raises(ImageError):
            members_of({"weights_of": {"of": of}}, 3)
