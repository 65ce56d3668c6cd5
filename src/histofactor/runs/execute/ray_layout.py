"""How many workers a cluster bears, and what each may use of its machine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from histofactor.errors import EngineError
from histofactor.runs.execute.engine import Engine

_CORES = 2  # of a worker without a GPU, unless their number is given


@dataclass(frozen=True, slots=True)
class Layout:
    """What every worker gets.

    Attributes:
        workers: their number.
        cores: of each, which is also its number of threads.
        gpus: of each, or the share of one.
    """

    workers: int
    cores: int
    gpus: float


def lay_out(machines: Sequence[Mapping[str, float]], engine: Engine) -> Layout:
    """Share the cores and GPUs of machines out among workers, the more cores the fewer workers there are.

    Args:
        machines: ``CPU`` and ``GPU`` of each.
        engine: number of workers, and GPUs of each, where they are given.

    Raises:
        EngineError: there is no room for as many workers.
    """
    cores, gpus = [int(one.get("CPU", 0)) for one in machines], [one.get("GPU", 0.0) for one in machines]
    share = engine.gpus_per_worker if engine.gpus_per_worker is not None else float(sum(gpus) > 0)

    def room(threads: int) -> int:
        """Workers of so many cores that there is room for."""
        by_gpus = [math.floor(one / share + 1e-9) if share else math.inf for one in gpus]
        return int(sum(min(one // threads, most) for one, most in zip(cores, by_gpus, strict=True)))

    most = room(1)
    default = most if share else sum(max(1, one // _CORES) for one in cores if one)
    workers = engine.workers or default
    if not 0 < workers <= most:
        found = f"{sum(cores)} cores" + (f" and {sum(gpus):g} GPUs" if share else "")
        raise EngineError(
            "there is no room for the workers",
            expected=f"a core{f' and {share:g} GPU' if share else ''} for each of {max(workers, 1)}",
            got=f"{found} on {len(machines)} machines",
            mend="give fewer --workers or a smaller --gpus-per-worker, or add machines",
        )
    threads = next(threads for threads in range(max(cores), 0, -1) if room(threads) >= workers)
    return Layout(workers, threads, share)
