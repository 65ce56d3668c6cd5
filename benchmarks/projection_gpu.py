"""Does exact projection on a GPU cost little more than the matrix product it begins with? Claim: at most 3 times.

A million tokens of 1024 channels, sparse mixtures of K = 64 concepts with noise, lie on the device. Measured, in the
same process: the product X·Hᵀ alone (float32, without TF32), and the whole projection with each solver, checked
against the optimality conditions on a sample. Memory is what a projection takes beyond the features at its peak.

    python benchmarks/projection_gpu.py             prints a table and writes results/projection_gpu.csv
    python benchmarks/projection_gpu.py ../shared   with the published UNI concepts instead of random ones
"""

from __future__ import annotations

import csv
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from histofactor.concepts.legacy import read_legacy
from histofactor.factor.nnls import certify
from histofactor.factor.torch_nnls import project_torch, solve_gram_torch

TOKENS, CHANNELS, K = 1_000_000, 1024, 64
REPEATS = 5
PRODUCT_ROWS = 1 << 16
CLAIM = 3.0


def concepts() -> torch.Tensor:
    """(K, channels) concepts, published or random, on the device."""
    if len(sys.argv) > 1:
        table = np.maximum(read_legacy(Path(sys.argv[1]) / "banks/uni.joblib")[K], 0)
    else:
        table = np.random.default_rng(0).gamma(0.5, 1.0, (K, CHANNELS)).astype(np.float32)
    return torch.from_numpy(table).to("cuda")


def features(H: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """(tokens, channels) mixtures of four concepts each, with noise, block by block."""
    torch.manual_seed(0)
    X = torch.empty(TOKENS, CHANNELS, dtype=dtype, device="cuda")
    for part in X.split(PRODUCT_ROWS):
        chosen = torch.rand(len(part), K, device="cuda").topk(4).indices
        W = torch.zeros(len(part), K, device="cuda").scatter_(1, chosen, -torch.rand_like(chosen.float()).log())
        clean = W @ H
        part.copy_((clean + 0.3 * clean.std() * torch.randn_like(clean)).clamp_min(0))
    return X


def product(X: torch.Tensor, H: torch.Tensor) -> None:
    """The product alone: in one piece for float32, else widened block by block."""
    for part in X.split(len(X) if X.dtype == torch.float32 else PRODUCT_ROWS):
        torch.mm(part.float(), H.T)


def seconds(work: Callable[[], object]) -> float:
    """Median time of a call after a first one that is not counted."""
    work()
    times = []
    for _ in range(REPEATS):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def measure(X: torch.Tensor, H: torch.Tensor, solve: Callable[..., torch.Tensor]) -> tuple[float, float, float]:
    """Seconds, GB beyond the features at the peak, and the largest KKT violation of a sample."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    W = project_torch(X, H, solve=solve)
    peak = (torch.cuda.max_memory_allocated() - before) / 1e9
    sample = slice(None, None, max(1, len(X) // 1000))
    kkt = certify(X[sample].float().cpu().numpy(), H.cpu().numpy(), W[sample].cpu().numpy()).kkt.max()
    del W
    return seconds(lambda: project_torch(X, H, solve=solve)), peak, float(kkt)


def main() -> None:
    if not torch.cuda.is_available():
        print("No CUDA device here: nothing was measured.")
        return
    solvers = {"torch": solve_gram_torch}
    if importlib.util.find_spec("triton"):
        from histofactor.factor.triton_nnls import solve_gram_triton

        solvers["triton"] = solve_gram_triton
    header = ("features", "solver", "product s", "projection s", "ratio", "peak GB", "KKT", "claim")
    table = Table(*header, box=None, title=f"{torch.cuda.get_device_name()}: {TOKENS} x {CHANNELS}, K = {K}")
    rows = []
    H = concepts()
    for dtype in (torch.float32, torch.float16):
        X = features(H, dtype)
        own = seconds(lambda X=X: product(X, H))
        for name, solve in solvers.items():
            whole, peak, kkt = measure(X, H, solve)
            held = "held" if whole <= CLAIM * own else "not held"
            numbers = (f"{own:.4f}", f"{whole:.4f}", f"{whole / own:.1f}", f"{peak:.2f}", f"{kkt:.1e}")
            rows.append((str(dtype).removeprefix("torch."), name, *numbers, held))
            table.add_row(*rows[-1])
        del X
    Console(width=120).print(table)
    out = Path(__file__).parent / "results/projection_gpu.csv"
    out.parent.mkdir(exist_ok=True)
    with out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
