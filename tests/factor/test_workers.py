"""Row blocks: order, limits on BLAS, errors."""

import threading

import pytest
from threadpoolctl import threadpool_info

from histofactor.factor.workers import map_blocks, single_threaded_blas


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_slices_cover_the_rows_in_order():
    parts = map_blocks(lambda rows: (rows.start, rows.stop), 10, 4)
    assert parts == [(0, 4), (4, 8), (8, 10)]
    assert map_blocks(lambda rows: rows, 0, 4) == []


def test_blas_is_single_threaded_inside_and_restored_after():
    before = blas_threads()
    with single_threaded_blas():
        assert blas_threads() <= {1}
        with single_threaded_blas():
            pass
        assert blas_threads() <= {1}
    assert blas_threads() == before


def test_restored_when_users_overlap():
    before = blas_threads()
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with single_threaded_blas():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    with single_threaded_blas():
        thread.start()
        assert entered.wait(10)
    assert blas_threads() <= {1}
    leave.set()
    thread.join()
    assert blas_threads() == before


def test_errors_reach_the_caller():
    def fail(rows):
        raise ArithmeticError(rows.start)

    with pytest.raises(ArithmeticError):
        map_blocks(fail, 10, 2)
