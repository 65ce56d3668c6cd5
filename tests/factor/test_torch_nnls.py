"""The batched solver against scipy's nnls and the compiled one; precision of features; rows on their own."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from histofactor.concepts.legacy import read_legacy
from histofactor.errors import OptionError
from histofactor.factor import torch_nnls
from histofactor.factor.nnls import certify, gram, kkt_violation, project, unit_concepts
from histofactor.factor.torch_nnls import project_torch, solve_gram_torch

BANKS = ["uni", "prov_gigapath", "resnet"]


def mixtures(H, rows, seed=0, noise=0.1):
    """Sparse mixtures of the concepts with noise, as features of tissue are."""
    rng = np.random.default_rng(seed)
    W = np.zeros((rows, len(H)), np.float32)
    for row in W:
        row[rng.choice(len(H), min(4, len(H)), replace=False)] = rng.gamma(1.0, 1.0, min(4, len(H)))
    X = W @ H
    return np.maximum(X + noise * X.std() * rng.normal(size=X.shape), 0).astype(np.float32)


def concepts(k=24, dim=40, seed=0):
    return np.random.default_rng(seed).gamma(0.5, 1.0, (k, dim)).astype(np.float32)


def banks(shared, name):
    return {k: np.maximum(H, 0) for k, H in read_legacy(shared / "banks" / f"{name}.joblib").items()}


def run(X, H, **options):
    return project_torch(torch.from_numpy(X), torch.from_numpy(H), **options).numpy()


def oracle(X, H):
    Ht = H.T.astype(np.float64)
    return np.array([nnls(Ht, x)[0] for x in X.astype(np.float64)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agrees_with_scipy(dtype):
    H, X = concepts().astype(dtype), mixtures(concepts(), 300).astype(dtype)
    before = X.copy(), H.copy()
    W = run(X, H)
    assert W.dtype == dtype
    np.testing.assert_allclose(W, oracle(X, H), atol=1e-4 if dtype == np.float32 else 1e-6)
    assert certify(X, H, W).kkt.max() <= 1e-5
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(H, before[1])


@pytest.mark.parametrize("name", BANKS)
def test_published_banks(shared, name):
    """Labels as the compiled solver's in float64, whose agreement with scipy's is tested beside it."""
    same = []
    for k, H in banks(shared, name).items():
        X = mixtures(H, 300, seed=k, noise=0.3)
        W = run(X, H)
        assert certify(X, H, W).kkt.max() <= 1e-5
        np.testing.assert_array_equal(run(X[::7], H), W[::7])
        sample = slice(0, 300, 10)
        np.testing.assert_array_equal(W[sample].argmax(1), oracle(X[sample], H).argmax(1))
        same.append(W.argmax(1) == project(X.astype(np.float64), H.astype(np.float64)).argmax(1))
    assert np.mean(same) >= 0.999


@pytest.mark.parametrize(("dtype", "agreement"), [(torch.float16, 0.999), (torch.bfloat16, 0.995)])
@pytest.mark.parametrize("name", BANKS)
def test_half_precision_features(shared, name, dtype, agreement):
    same = []
    for k, H in banks(shared, name).items():
        if k in (16, 64, 256):
            X, H_ = torch.from_numpy(mixtures(H, 400, seed=k, noise=0.3)), torch.from_numpy(H)
            W = project_torch(X.to(dtype), H_)
            assert W.dtype == torch.float32
            same.append((W.argmax(1) == project_torch(X, H_).argmax(1)).numpy())
    assert np.mean(same) >= agreement


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features_widen_and_concepts_do_not_narrow(dtype):
    X, H = torch.from_numpy(mixtures(concepts(), 200)).to(dtype), torch.from_numpy(concepts())
    np.testing.assert_array_equal(project_torch(X, H).numpy(), project_torch(X.float(), H).numpy())
    assert certify(X.float().numpy(), H.numpy(), project_torch(X, H).numpy()).kkt.max() <= 1e-5


def test_gram_belongs_to_the_rounded_concepts(shared):
    """With the Gram matrix of concepts rounded otherwise than those in the product, a mixture is not found again."""
    H = torch.from_numpy(banks(shared, "resnet")[64]).bfloat16()
    rng = np.random.default_rng(0)
    truth = np.where(rng.random((100, 64)) < 0.06, rng.gamma(2.0, 1.0, (100, 64)), 0)
    X = torch.from_numpy(truth @ H.double().numpy())
    np.testing.assert_allclose(project_torch(X.float(), H).numpy(), truth, atol=1e-2)


@settings(max_examples=20)
@given(rows=st.integers(1, 600), k=st.integers(1, 40), dim=st.integers(1, 60), seed=st.integers(0, 2**16))
def test_rows_do_not_depend_on_the_batch(rows, k, dim, seed):
    H = concepts(k, dim, seed)
    X = mixtures(H, rows, seed)
    W = run(X, H)
    order = np.random.default_rng(seed).permutation(rows)
    np.testing.assert_array_equal(run(X[order], H), W[order])
    np.testing.assert_array_equal(run(X[rows // 2 : rows // 2 + 1], H), W[rows // 2 : rows // 2 + 1])
    assert certify(X, H, W).kkt.max() <= 1e-5
    assert (W >= 0).all()


def test_blocks_do_not_show(monkeypatch):
    H, X = concepts(), mixtures(concepts(), 300)
    W = run(X, H)
    monkeypatch.setattr(torch_nnls, "_NUMBERS", 64 * 17)
    np.testing.assert_array_equal(run(X, H), W)


def test_dependent_and_zero_concepts():
    H = concepts(6, 10)
    H = np.vstack([H, H[2] * 3, H[0] + H[1], np.zeros((1, 10), np.float32)])
    X = mixtures(H[:6], 200)
    W = run(X, H)
    assert certify(X, H, W).kkt.max() <= 1e-5
    assert (W[:, -1] == 0).all()
    np.testing.assert_allclose(
        np.linalg.norm(X - W @ H, axis=1), np.linalg.norm(X - oracle(X, H) @ H, axis=1), atol=1e-4
    )


@pytest.mark.parametrize("spread", [1e-1, 1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_concepts_hard_to_tell_apart(spread, dtype):
    """Concepts that share all but a small part, down to the rounding of the Gram matrix."""
    H = (concepts(1, 40) + spread * np.random.default_rng(1).random((60, 40))).astype(dtype)
    X = mixtures(H, 100, noise=0.01).astype(dtype)
    assert certify(X, H, run(X, H)).kkt.max() <= 1e-5
    if dtype == np.float64:
        assert certify(X, H, run(X, H, tol=1e-12)).kkt.max() <= 1e-11


def test_more_concepts_than_dimensions():
    H, X = concepts(50, 8), mixtures(concepts(50, 8), 200)
    assert certify(X, H, run(X, H)).kkt.max() <= 1e-5


def test_empty_and_zero_features():
    H = concepts()
    assert run(np.zeros((0, 40), np.float32), H).shape == (0, 24)
    assert (run(np.zeros((3, 40), np.float32), H) == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_solve_gram_is_exact(dtype):
    U, _ = unit_concepts(concepts())
    B, G = (mixtures(concepts(), 300) @ U.T).astype(dtype), gram(U)
    W = solve_gram_torch(torch.from_numpy(B), torch.from_numpy(G), tol=1e-9)
    assert W.numpy().dtype == dtype
    assert kkt_violation(W.numpy(), B, G).max() <= (1e-6 if dtype == np.float32 else 1e-9)


def test_rows_that_do_not_converge_are_told():
    B = torch.tensor([[1.0, 2.0], [2.0, 1.0], [1.0, 1.1]])
    G = torch.tensor([[1.0, 0.2], [0.9, 1.0]], dtype=torch.float64)
    with pytest.raises(ArithmeticError, match="1 of 3 rows did not converge"):
        solve_gram_torch(B, G)


def test_another_solver_can_be_named():
    H, X = concepts(), mixtures(concepts(), 20)
    shapes = []

    def solve(B, G, *, tol):
        shapes.append((tuple(B.shape), tuple(G.shape), tol))
        return torch.ones_like(B)

    W = run(X, H, tol=1e-4, solve=solve)
    assert shapes == [((20, 24), (24, 24), 1e-4)]
    np.testing.assert_allclose(W * np.linalg.norm(H, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["fp32_precision", "allow_tf32"])
def test_tf32_is_off_during_the_product_and_back_after(name):
    settings_ = torch.backends.cuda.matmul
    if (name == "fp32_precision") != hasattr(settings_, "fp32_precision"):
        pytest.skip("the other name of the setting in this torch")
    before, fast, exact = getattr(settings_, name), *(("tf32", "ieee") if name == "fp32_precision" else (True, False))
    seen = []

    def solve(B, G, *, tol):
        seen.append(getattr(settings_, name))
        return solve_gram_torch(B, G, tol=tol)

    setattr(settings_, name, fast)
    try:
        run(mixtures(concepts(), 5), concepts(), solve=solve)
        assert seen == [exact]
        assert getattr(settings_, name) == fast
    finally:
        setattr(settings_, name, before)


@pytest.mark.parametrize(
    ("X", "H", "word"),
    [
        (np.ones((3, 4)), np.ones((2, 5)), r"\(3, 4\).*\(2, 5\)"),
        (np.ones(4), np.ones((2, 4)), "fit"),
        (np.ones((3, 4)), np.ones((0, 4)), "K ≥ 1"),
        (np.ones((3, 4)), -np.ones((2, 4)), "negative"),
        (np.ones((3, 4)), np.full((2, 4), np.nan), "NaN"),
    ],
)
def test_bad_arguments(X, H, word):
    with pytest.raises(OptionError, match=word):
        run(X, H)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite(value):
    X = mixtures(concepts(), 20)
    X[7, 3] = value
    with pytest.raises(ArithmeticError, match="not finite"):
        run(X, concepts())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_features_stay_on_the_device():
    H, X = concepts(), mixtures(concepts(), 300)
    W = project_torch(torch.from_numpy(X).cuda(), torch.from_numpy(H).cuda())
    assert W.device.type == "cuda"
    np.testing.assert_allclose(W.cpu().numpy(), project(X, H), atol=1e-4)
    assert certify(X, H, W.cpu().numpy()).kkt.max() <= 1e-5
