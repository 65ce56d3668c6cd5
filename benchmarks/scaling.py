"""Does the cost of ``project`` grow in proportion to the rows, in bounded memory, and how does it grow with K?

Mixtures of the published UNI concepts (1,024 channels) with noise, made and projected in blocks of at most 65,536 rows,
as a caller with more features than memory does. Over N the concepts are 64; over K the rows are 16,384. A time is the
sum over blocks of the median of five calls, on the clock and in processor time of all cores, which other work on the
machine disturbs less: cost and slopes are in processor time. Extra memory is the peak during any projection beyond what
the process held with its first block at hand, in a process of its own for every N; the weights of a block are in it.

The claim: from 10⁴ to 10⁶ rows the slope of log cost over log N is 1.00 ± 0.05. The slope over K has no claim.

    python benchmarks/scaling.py ../shared            prints a table and writes results/scaling.csv and scaling.png
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from common import RESULTS, forget_peak, in_fresh_process, mixtures, peak_mb, report, resident_mb

from histofactor.concepts.legacy import read_legacy
from histofactor.factor.nnls import project

ROWS, KS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000), (8, 16, 32, 64, 128, 256)
K_OVER_ROWS, ROWS_OVER_K = 64, 16_384
TICKS = (1, 2, 5, 10, 20, 50)
BLOCK, REPEATS, CLAIM_FROM, CLAIM = 65_536, 5, 10_000, (0.95, 1.05)


def measure(rows: int, H: np.ndarray) -> tuple[float, float, float]:
    """Seconds on the clock and of processor time that the projection of so many rows takes, and MB at the peak."""
    project(mixtures(H, 1000), H)
    held, peak, total = None, 0.0, np.zeros(2)
    for seed, start in enumerate(range(0, rows, BLOCK)):
        X = mixtures(H, min(BLOCK, rows - start), seed)
        forget_peak()
        held = held or resident_mb()
        times = [seconds(lambda X=X: project(X, H)) for _ in range(REPEATS)]
        peak = max(peak, peak_mb())
        total += np.median(times, axis=0)
        del X  # so that the next block takes its place
    return *total, peak - held


def seconds(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock and of processor time that a call takes."""
    start = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start[0], time.process_time() - start[1]


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """Slope of log y over log x, by least squares."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def draw(over_rows: np.ndarray, over_k: np.ndarray, slopes: tuple[float, float]) -> None:
    """Plot µs a row over N and over K; the arrays hold (N or K, µs a row)."""
    matplotlib.use("agg")
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    panels = (
        (over_rows, "number of rows N", f"K = {K_OVER_ROWS}: cost ∝ N^{slopes[0]:.2f} from 10⁴ rows"),
        (over_k, "number of concepts K", f"N = {ROWS_OVER_K:,}: cost ∝ K^{slopes[1]:.2f}"),
    )
    for axis, (points, name, title) in zip(axes, panels, strict=True):
        axis.loglog(*points.T, "o-")
        axis.set(xlabel=name, ylabel="processor time per row (µs)", title=title, ylim=(TICKS[0], TICKS[-1]))
        axis.tick_params(labelleft=True)
        axis.grid(which="both", alpha=0.3)
    axes[0].set_yticks(TICKS, map(str, TICKS))
    axes[1].set_xticks(KS, map(str, KS))
    for axis in (axes[0].yaxis, axes[1].yaxis, axes[1].xaxis):
        axis.minorticks_off()
    figure.savefig(RESULTS / "scaling.png", dpi=150)


def main() -> None:
    shared = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared")
    banks = {k: np.maximum(H, 0) for k, H in read_legacy(shared / "banks/uni.joblib").items()}
    cases = [(rows, K_OVER_ROWS) for rows in ROWS] + [(ROWS_OVER_K, k) for k in KS]
    clock, processor, extra = np.array([in_fresh_process(measure, rows, banks[k]) for rows, k in cases]).T
    sizes, over_n = np.array(cases), np.arange(len(cases)) < len(ROWS)
    claimed = over_n & (sizes[:, 0] >= CLAIM_FROM)
    slopes = slope(sizes[claimed, 0], processor[claimed]), slope(sizes[~over_n, 1], processor[~over_n])
    micros = 1e6 * processor / sizes[:, 0]
    columns = (clock, processor, micros, extra, np.where(over_n, *slopes))
    header = ("N", "K", "clock s", "processor s", "processor µs a row", "extra MB", "slope")
    rows = [(*case, *map(float, numbers)) for case, *numbers in zip(cases, *columns, strict=True)]
    report("scaling", header, rows, ("histofactor", "numpy", "numba"))
    held = "held" if CLAIM[0] <= slopes[0] <= CLAIM[1] else "not held"
    print(f"cost grows as N^{slopes[0]:.3f} (claim {CLAIM[0]} to {CLAIM[1]}: {held}) and as K^{slopes[1]:.2f}")
    draw(np.c_[sizes[over_n, 0], micros[over_n]], np.c_[sizes[~over_n, 1], micros[~over_n]], slopes)


if __name__ == "__main__":
    main()
