"""Row blocks on all cores: Python threads that run compiled kernels and single-threaded BLAS.

Libraries that each keep a pool of spinning threads (BLAS, OpenMP) fight over the cores when calls alternate. Here every
thread takes a whole block through product and solver, so nothing waits on a barrier, a block's bits do not depend on
the number of threads, and callers may themselves run in threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import numba
from threadpoolctl import ThreadpoolController

Result = TypeVar("Result")

_lock = threading.Lock()
_users = 0
_limiter: Any = None


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@cache
def _keeper() -> ThreadPoolExecutor:
    """The one thread that sets and restores limits: OpenBLAS ignores a limit raised by another thread than set it."""
    return ThreadPoolExecutor(1, "blas-limit")


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep BLAS to one thread while any caller is inside; the first sets the limit, the last restores it."""
    global _users, _limiter  # noqa: PLW0603 - the limit is a property of the process
    with _lock:
        if _users == 0:
            _limiter = _keeper().submit(_controller().limit, limits=1, user_api="blas").result()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _keeper().submit(_limiter.restore_original_limits).result()


def map_blocks(work: Callable[[slice], Result], rows: int, block: int) -> list[Result]:
    """Call ``work`` on the slices of ``rows`` in steps of ``block``, on all cores; results in the order of the rows.

    Args:
        work: called with a slice of rows; must release the GIL where it matters and touch only its own rows.
        rows: number of rows.
        block: rows per call.

    Returns:
        One result per slice.
    """
    slices = [slice(start, min(start + block, rows)) for start in range(0, rows, block)]
    with single_threaded_blas():
        if len(slices) < 2:
            return [work(part) for part in slices]
        with ThreadPoolExecutor(min(len(slices), numba.get_num_threads())) as pool:
            return list(pool.map(work, slices))
