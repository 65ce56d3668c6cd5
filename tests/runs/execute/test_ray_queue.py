"""The order of tasks: the largest first, each where it is known, and every one exactly once."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histofactor.runs.execute import ray_queue as module
from histofactor.runs.execute.ray_queue import ATTEMPTS, MOST_LOST, Queue, size_of


@pytest.fixture
def paths(tmp_path):
    """Five files of 1, 2, … bytes."""
    made = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(made):
        path.write_bytes(bytes(number + 1))
    return made


def taken(queue, worker="a", workers="ab", **more):
    return list(iter(lambda: queue.take(worker, set(workers), **more), None))


def test_the_largest_first_and_ahead_the_smallest(paths):
    assert taken(Queue(paths, {})) == [4, 3, 2, 1, 0]
    assert taken(Queue(paths, {}), ahead=True) == [0, 1, 2, 3, 4]
    assert size_of(paths[3]) == 4
    assert size_of(paths[3].with_name("gone.png")) == 0


def test_what_a_worker_knows_comes_first_and_what_another_knows_last(paths):
    homes = {paths[1]: "a", paths[4]: "b", paths[3]: "gone"}
    assert taken(Queue(paths, homes)) == [1, 3, 2, 0, 4]
    assert taken(Queue(paths, homes), "b") == [4, 3, 2, 0, 1]
    assert taken(Queue(paths, homes), "new", "ab") == [3, 2, 0, 4, 1]


def test_one_that_ended_its_worker_comes_last_and_no_more_than_twice(paths):
    queue = Queue(paths, {})
    first = queue.take("a", {"a"})
    assert queue.ended(first)
    assert taken(queue) == [3, 2, 1, 0, 4]
    assert not queue.ended(first)
    assert ATTEMPTS == 2


def test_one_that_was_lost_or_not_begun_comes_first(paths):
    queue = Queue(paths, {})
    assert taken(queue)[0] == 4
    queue.back(2)
    assert queue.lost(1)
    assert taken(queue) == [1, 2]
    assert [queue.lost(1) for _ in range(MOST_LOST - 1)] == [True] * (MOST_LOST - 2) + [False]


def test_what_another_process_has_is_asked_for_later(paths, monkeypatch):
    queue, now = Queue(paths[:2], {}), [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    assert queue.take("a", {"a"}) == 1
    queue.elsewhere(1)
    assert taken(queue) == [0]
    assert queue.open == {0, 1}
    now[0] = 1.5
    assert taken(queue) == [1]
    for index in (0, 1):
        queue.done(index)
    assert not queue.open


HOMES = st.lists(st.sampled_from(["a", "b", "gone", None]), max_size=12)
ASKED = st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=40)


@given(HOMES, ASKED)
def test_every_task_is_taken_once(homes, asked):
    paths = [Path(f"/nowhere/{number}.png") for number in range(len(homes))]
    queue = Queue(paths, {path: home for path, home in zip(paths, homes, strict=True) if home})
    got = [queue.take(worker, {"a", "b"}, ahead=ahead) for worker, ahead in asked]
    got = [index for index in got if index is not None] + taken(queue)
    assert sorted(got) == list(range(len(homes)))
