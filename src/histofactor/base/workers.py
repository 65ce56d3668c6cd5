"""Row blocks on all cores: Python threads that run compiled kernels and single-threaded BLAS.

Libraries that each keep a pool of spinning threads (BLAS, OpenMP) fight over the cores when calls alternate. Here every
thread takes a whole block through product and solver, so nothing waits on a barrier, a block's bits do not depend on
the number of threads, and callers may themselves run in threads.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import numba
import scipy.linalg  # noqa: F401 - its BLAS must be loaded before the libraries are listed
from threadpoolctl import ThreadpoolController


def _one_thread_in_a_child() -> None:
    """After a fork, PyTorch waits for threads that only the parent has, unless it works with one."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_one_thread_in_a_child)

Item = TypeVar("Item")
Result = TypeVar("Result")


@cache
def _libraries() -> ThreadpoolController:
    """The BLAS libraries of this process: NumPy's and SciPy's, both loaded by now."""
    return ThreadpoolController()


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
    with _libraries().limit(limits=1, user_api="blas"):
        if len(slices) < 2:
            return [work(part) for part in slices]
        with ThreadPoolExecutor(min(len(slices), numba.get_num_threads())) as pool:
            return list(pool.map(work, slices))


def map_ahead(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int = 2,
    ahead: int | None = None,
    initializer: Callable[[], object] | None = None,
) -> Generator[Result, None, None]:
    """Yield ``work`` of every item in their order, computed a few items ahead of whoever takes the results.

    Closing the generator drops the items that no thread has begun.

    Args:
        work: must release the GIL where it matters.
        items: taken one by one, as threads become free.
        threads: so many items are worked on at a time.
        ahead: so many results wait at most; as many as threads if None.
        initializer: called once in every thread, before its first item.

    Yields:
        One result per item.
    """
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, initializer=initializer)
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > (threads if ahead is None else ahead):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
