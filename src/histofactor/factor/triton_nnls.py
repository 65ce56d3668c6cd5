"""The active set as one GPU kernel, a program a row; what it cannot certify goes to ``torch_nnls``.

The walk is that of ``torch_nnls``, held in registers: P slots for free concepts and the inverse M of their Gram block,
bordered by a concept that joins and swept by one that leaves. The gradient is computed afresh in float64 in every
step, from the Gram matrix in the cache, and decides alone where the walk ends; M, in float32, only points the way. A
row that needs more slots, meets concepts that float32 cannot tell apart, or does not settle is solved by
``solve_gram_torch`` instead, so the result is as exact.

Opt-in, as in ``project_torch(X, H, solve=solve_gram_triton)``: the kernel is tested in Triton's interpreter and
compiled for NVIDIA GPUs of capability 8.0 and 9.0, but its speed has not been measured on one. Needs triton, which
comes with torch on Linux.
"""

# ruff: noqa: PLR0913, PLR0915, PLR0917
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from histofactor.factor.torch_nnls import solve_gram_torch

_SLOTS = 32
_DEPENDENT = tl.constexpr(1e-5)  # squared distance to the span of the free concepts that float32 cannot resolve
_STEPS = 128  # at most; rows need some two a free concept


@torch.no_grad()
def solve_gram_triton(B: torch.Tensor, G: torch.Tensor, *, tol: float = 1e-6) -> torch.Tensor:
    """Minimise ½ wᵀGw − bᵀw over w ≥ 0 for every row b of B, to the KKT tolerance, as ``solve_gram_torch``.

    Args:
        B: (N, K) responses x·hₖ, float32 or float64, on a CUDA device.
        G: (K, K) Gram matrix of the concepts, float64, on the device of B.
        tol: largest remaining descent of a weight, relative to the row's largest |b|.

    Returns:
        W (N, K) ≥ 0 of the dtype and on the device of B. A row does not depend on the rows around it.

    Raises:
        ArithmeticError: the responses are not finite, or a row did not converge.
    """
    if not torch.isfinite(B).all():
        raise ArithmeticError("the responses are not finite: the features hold NaN, infinity or values that overflow")
    B, G = B.contiguous(), G.to(torch.float64).contiguous()
    n, K = B.shape
    W = torch.zeros_like(B)
    solved = torch.zeros(n, dtype=torch.int8, device=B.device)
    if n:
        width = triton.next_power_of_2(K)
        warps = max(1, min(8, width // 64))
        shape = {"SLOTS": _SLOTS, "WIDTH": width, "STEPS": _STEPS}
        walk[(n,)](B, G, W, solved, K, tol, **shape, num_warps=warps, enable_fp_fusion=True)
    unsolved = (solved == 0).nonzero()[:, 0]
    if len(unsolved):
        W[unsolved] = solve_gram_torch(B[unsolved], G, tol=tol)
    return W


@triton.jit
def walk(B, G, W, solved, K, tol, SLOTS: tl.constexpr, WIDTH: tl.constexpr, STEPS: tl.constexpr):
    """Solve one row of B (n, K) into W, which holds zeros, and mark it in solved (n,) if that succeeded."""
    row = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, WIDTH)
    slots = tl.arange(0, SLOTS)
    b = tl.load(B + row * K + k, mask=k < K, other=0.0).to(tl.float64)
    scale = tl.max(tl.abs(b), 0)
    closed = (k >= K).to(tl.int32)  # cannot join: free already, or padding
    used = tl.zeros((SLOTS,), tl.int32)
    index = tl.zeros((SLOTS,), tl.int32)
    w = tl.zeros((SLOTS,), tl.float64)
    M = tl.zeros((SLOTS, SLOTS), tl.float32)
    step = 0
    state = 0  # 0 under way, 1 solved, 2 given up
    while (state == 0) & (step < STEPS):
        step += 1
        atoms = tl.load(G + index[:, None] * K + k[None, :], mask=(used[:, None] == 1) & (k[None, :] < K), other=0.0)
        g = tl.where(closed == 1, -float("inf"), b - tl.sum(w[:, None] * atoms, 0))
        block = tl.load(G + index[:, None] * K + index[None, :], mask=used[:, None] == 1, other=0.0)
        b_free = tl.load(B + row * K + index, mask=used == 1, other=0.0).to(tl.float64)
        g_free = tl.where(used == 1, b_free - tl.sum(w[:, None] * block, 0), 0.0)
        slope = tl.max(g, 0)
        settled = tl.max(tl.abs(g_free), 0) <= 0.1 * tol * scale
        newest = tl.full((), -1, tl.int32)
        if settled & (slope <= tol * scale):
            state = 1
        elif settled:  # the concept of steepest descent joins
            newest = tl.argmax(g, 0).to(tl.int32)
            slot = tl.min(tl.where(used == 0, slots, SLOTS), 0)
            c = tl.load(G + index * K + newest, mask=used == 1, other=0.0).to(tl.float32)
            sq_norm = tl.load(G + newest * K + newest).to(tl.float32)
            M, distance = _border(M, c, sq_norm, slots == slot)
            if (slot == SLOTS) | (distance <= _DEPENDENT * sq_norm):
                state = 2
            index = tl.where(slots == slot, newest, index)
            used = tl.where(slots == slot, 1, used)
            closed = tl.where(k == newest, 1, closed)
            g_free = tl.where(slots == slot, slope, g_free)
        if state == 0:
            d = tl.sum(M * g_free.to(tl.float32)[:, None], 0).to(tl.float64)
            ratio = tl.where((used == 1) & (w + d <= 0), w / tl.maximum(-d, 1e-300), float("inf"))
            length = tl.min(ratio, 0)
            w = tl.maximum(w + tl.minimum(length, 1.0) * d, 0.0)
            if length <= 1.0:  # the concept whose weight reached zero leaves
                empty = slots == tl.argmin(ratio, 0)
                leaving = tl.sum(tl.where(empty, index, 0), 0)
                if leaving == newest:
                    state = 2
                M = _sweep(M, empty)
                w = tl.where(empty, 0.0, w)
                index = tl.where(empty, 0, index)
                used = tl.where(empty, 0, used)
                closed = tl.where(k == leaving, 0, closed)
    if state == 1:
        tl.store(W + row * K + index, w, mask=used == 1)
        tl.store(solved + row, 1)


@triton.jit
def _border(M, c, sq_norm, slot):
    """M with a concept of a squared norm in an empty slot, c its products with the free ones; and its distance."""
    u = tl.sum(M * c[:, None], 0)
    distance = sq_norm - tl.sum(c * u, 0)
    v = tl.where(slot, 1.0, -u)
    return M + v[:, None] * v[None, :] / tl.maximum(distance, 1e-30), distance


@triton.jit
def _sweep(M, slot):
    """M without the concept in a slot."""
    row = tl.sum(tl.where(slot[:, None], M, 0.0), 0)
    pivot = tl.sum(tl.where(slot, row, 0.0), 0)
    return tl.where(slot[:, None] | slot[None, :], 0.0, M - row[:, None] * row[None, :] / pivot)
