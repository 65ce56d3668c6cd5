"""What the benchmarks share: timing, memory, and tables that say on what they were made."""

from __future__ import annotations

import csv
import ctypes
import os
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    """Median wall time of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def extra_mb(call: Callable[[], np.ndarray]) -> float:
    """Resident memory at the peak of a call, beyond what was there before and beyond its result, in MB."""
    forget_peak()
    before = resident_mb()
    result = call()
    return peak_mb() - before - result.nbytes / 1e6


def resident_mb() -> float:
    """Resident memory of this process, in MB (Linux)."""
    return _status_mb("VmRSS")


def peak_mb() -> float:
    """Resident memory of this process at its peak since it began or since ``forget_peak``, in MB (Linux)."""
    return _status_mb("VmHWM")


def forget_peak() -> None:
    """Give memory that is free back to the system, and count the peak from here on (Linux, glibc)."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def in_fresh_process(work: Callable[..., Any], *args: object) -> Any:
    """The result of a function of a module, called in an interpreter of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args).result()


def report(name: str, header: Sequence[str], rows: Sequence[Sequence[object]], packages: Sequence[str]) -> None:
    """Print a table; write results/NAME.csv with the number of cores and the versions of some packages in every row."""
    table = Table(*header, box=None)
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row))
    Console(width=180).print(table)
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{name}.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*header, "cores", *packages])
        machine = [os.cpu_count(), *map(version, packages)]
        writer.writerows([f"{v:.5g}" if isinstance(v, float) else v for v in row] + machine for row in rows)


def mixtures(H: np.ndarray, rows: int, seed: int = 0) -> np.ndarray:
    """Features (rows, C): sparse mixtures of four of the concepts H (K, C) a row, with noise, ≥ 0."""
    rng = np.random.default_rng(seed)
    chosen = rng.random((rows, len(H)), np.float32).argpartition(4, axis=1)[:, :4]
    W = np.zeros((rows, len(H)), np.float32)
    np.put_along_axis(W, chosen, rng.standard_gamma(1.0, chosen.shape, np.float32), axis=1)
    X = W @ H
    X += 0.3 * X.std() * rng.standard_normal(X.shape, np.float32)
    return np.maximum(X, 0, out=X)


def _status_mb(field: str) -> float:
    """A field of the process's status."""
    return int(re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text()).group(1)) * 1024 / 1e6
