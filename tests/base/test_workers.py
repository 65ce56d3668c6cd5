"""Row blocks: order, limits on BLAS, errors."""

import os
import subprocess
import sys
import threading

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from histofactor.base.workers import map_ahead, map_blocks


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_slices_cover_the_rows_in_order():
    parts = map_blocks(lambda rows: (rows.start, rows.stop), 10, 4)
    assert parts == [(0, 4), (4, 8), (8, 10)]
    assert map_blocks(lambda rows: rows, 0, 4) == []


def test_blas_is_single_threaded_inside_and_restored_after():
    before = blas_threads()
    assert map_blocks(lambda rows: blas_threads() <= {1}, 10, 4) == [True] * 3
    assert blas_threads() == before


def test_other_users_of_the_limit_keep_their_say():
    map_blocks(lambda rows: None, 10, 4)
    with threadpool_limits(1, user_api="blas"):
        assert blas_threads() <= {1}


def test_errors_reach_the_caller():
    def fail(rows):
        raise ArithmeticError(rows.start)

    with pytest.raises(ArithmeticError):
        map_blocks(fail, 10, 2)


def test_results_come_in_order_and_few_items_are_taken_ahead():
    taken = []

    def items():
        for i in range(20):
            taken.append(i)
            yield i

    results = map_ahead(lambda i: i * i, items(), threads=2)
    assert [next(results), next(results)] == [0, 1]
    assert len(taken) <= 4
    assert list(results) == [i * i for i in range(2, 20)]
    assert list(map_ahead(lambda i: i, [])) == []


def test_errors_of_items_reach_the_caller_in_their_turn():
    results = map_ahead(lambda i: 1 // i, [1, 0, 1])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_results_come_in_order_from_other_threads():
    threads = set()

    def work(item):
        threads.add(threading.get_ident())
        return item * item

    assert list(map_ahead(work, range(50))) == [i * i for i in range(50)]
    assert threading.get_ident() not in threads


def test_no_more_than_a_few_are_map_ahead():
    begun = []
    results = map_ahead(begun.append, range(1000))
    next(results)
    results.close()
    assert len(begun) < 20


def test_a_failure_reaches_whoever_consumes():
    def work(item):
        if item == 3:
            raise ValueError("by design")
        return item

    results = map_ahead(work, range(10))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="by design"):
        next(results)


def test_every_thread_is_prepared_once_before_its_first_item():
    local, prepared = threading.local(), []

    def prepare():
        local.ready = True
        prepared.append(threading.get_ident())

    assert all(map_ahead(lambda i: local.ready, range(20), threads=3, initializer=prepare))
    assert len(prepared) == len(set(prepared)) <= 3


FORK = """
import os
import torch
import histofactor.base.workers
torch.set_num_threads(2)
image, kernel = torch.rand(1, 32, 256, 256), torch.rand(32, 32, 3, 3)
first = torch.nn.functional.conv2d(image, kernel).relu().sum(1)
child = os.fork()
if child == 0:
    again = torch.nn.functional.conv2d(image, kernel).relu().sum(1)
    os._exit(0 if torch.allclose(again, first, rtol=1e-4) else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_goes_on_where_its_parent_has_worked():
    """PyTorch's threads stay with the parent: without care the child waits for them for good."""
    found = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=600, check=True)
    assert found.stdout.strip() == "0"
