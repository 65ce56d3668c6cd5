"""The kernel in Triton's interpreter, where there is no GPU; compiled for GPUs; and on one, where there is one."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

triton = pytest.importorskip("triton", reason="needs triton, which comes with torch on Linux")

INTERPRETED = """
import numpy as np, torch
from histofactor.factor import triton_nnls
from histofactor.factor.nnls import certify, project
from histofactor.factor.torch_nnls import project_torch

left = []
def solve_left(B, G, *, tol, solve=triton_nnls.solve_gram_torch):
    left.append(len(B))
    return solve(B, G, tol=tol)
triton_nnls.solve_gram_torch = solve_left

def check(H, X):
    left.clear()
    W = project_torch(torch.from_numpy(X), torch.from_numpy(H), solve=triton_nnls.solve_gram_triton).numpy()
    assert certify(X, H, W).kkt.max() <= 1e-5
    residual = certify(X, H, project(X, H)).residual
    np.testing.assert_allclose(certify(X, H, W).residual, residual, atol=1e-4)
    return W

rng = np.random.default_rng(0)
H = rng.gamma(0.5, 1.0, (20, 30)).astype(np.float32)
X = (np.where(rng.random((12, 20)) < 0.3, 1.0, 0.0) @ H + 0.3 * rng.random((12, 30))).astype(np.float32)
X[3] = 0
W = check(H, X)
assert not left, "the kernel solves ordinary rows itself"
np.testing.assert_allclose(W, project(X, H), atol=1e-4)
assert (W[3] == 0).all()

near = np.vstack([H[:6], H[:6] * (1 + 1e-4 * rng.random((6, 30))), 2 * H[:1]]).astype(np.float32)
check(near, X)
assert left and 0 < left[0] <= 12, "rows that float32 cannot resolve go to the torch solver"

triton_nnls._SLOTS = 2
np.testing.assert_allclose(check(H, X), W, atol=1e-4)
assert left and 0 < left[0] < 12, "rows that need more slots go to the torch solver"
assert triton_nnls.solve_gram_triton(torch.zeros(0, 4), torch.eye(4)).shape == (0, 4)
"""


def test_interpreted():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", INTERPRETED],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("capability", "K", "warps"), [(80, 64, 1), (90, 256, 4)])
def test_compiles_for_gpus(capability, K, warps, tmp_path, monkeypatch):
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from histofactor.factor.triton_nnls import walk

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    types = {"B": "*fp32", "G": "*fp64", "W": "*fp32", "solved": "*i8", "K": "i32", "tol": "fp32"}
    source = ASTSource(fn=walk, signature=types, constexprs={"SLOTS": 32, "WIDTH": K, "STEPS": 128})
    options = {"num_warps": warps, "enable_fp_fusion": True}
    kernel = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    assert len(kernel.asm["cubin"]) > 1000
    assert kernel.metadata.shared <= 48 * 1024


def test_responses_that_are_not_finite():
    from histofactor.factor.triton_nnls import solve_gram_triton

    with pytest.raises(ArithmeticError, match="not finite"):
        solve_gram_triton(torch.full((2, 3), torch.nan), torch.eye(3))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("K", [7, 64, 256])
def test_on_a_gpu(K):
    from histofactor.factor.nnls import certify
    from histofactor.factor.torch_nnls import project_torch
    from histofactor.factor.triton_nnls import solve_gram_triton

    rng = np.random.default_rng(0)
    H = rng.gamma(0.5, 1.0, (K, 300)).astype(np.float32)
    X = (rng.gamma(0.1, 1.0, (2000, K)) @ H + rng.random((2000, 300))).astype(np.float32)
    W = project_torch(torch.from_numpy(X).cuda(), torch.from_numpy(H), solve=solve_gram_triton)
    assert certify(X, H, W.cpu().numpy()).kkt.max() <= 1e-5
