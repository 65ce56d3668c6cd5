"""What the benchmarks share: timing, memory, and tables that say on what they were made."""

from __future__ import annotations

import csv
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
    """Resident memory at the peak of a call, beyond what was there before and beyond its result, in MB (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = _resident("VmRSS")
    result = call()
    return (_resident("VmHWM") - before - result.nbytes) / 1e6


def in_fresh_process(work: Callable[..., Any], *args: object) -> Any:
    """The result of a function of a module, called in an interpreter of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args).result()


def report(name: str, header: Sequence[str], rows: Sequence[Sequence[object]], packages: Sequence[str]) -> None:
    """Print rows as a table, and write them to results/NAME.csv with the number of cores and the packages' versions."""
    cells = [[f"{value:.4g}" if isinstance(value, float) else str(value) for value in row] for row in rows]
    made_on = [str(os.cpu_count()), "; ".join(f"{package} {version(package)}" for package in packages)]
    table = Table(*header, box=None, title=f"{made_on[0]} cores; {made_on[1]}")
    for row in cells:
        table.add_row(*row)
    Console(width=140).print(table)
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{name}.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*header, "cores", "versions"])
        writer.writerows(row + made_on for row in cells)


def _resident(field: str) -> int:
    """A field of the process's status, in bytes: VmRSS now, VmHWM at the peak."""
    return 1024 * int(re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text()).group(1))
