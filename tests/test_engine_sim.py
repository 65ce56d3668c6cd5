"""The simulation of many slides on many GPUs, where the answer is known."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

PATH = Path(__file__).resolve().parents[1] / "benchmarks/engine_sim.py"


def load():
    spec = importlib.util.spec_from_file_location("engine_sim", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["engine_sim"] = module
    spec.loader.exec_module(module)
    return module


sim = load()
NEVER, FREE = float("inf"), sim.Cost(0.0, 0.0, 0.0)
GIVEN, BEST = sim.Policy(False, False), sim.Policy(True, True)


def run(work, *, gpus=1, size=0.0, cost=FREE, policy=GIVEN, **cluster):
    work = np.asarray(work, float)
    cluster = {"kill_every_s": NEVER, "storage": 1e9} | cluster
    return sim.simulate(work, np.full(len(work), float(size)), sim.Cluster(gpus, **cluster), cost, policy)


def test_equal_slides_fill_the_gpus():
    made = run([100] * 4, gpus=2)
    assert (made.seconds, made.part("work")) == (200, 1)


def test_the_largest_first_ends_sooner():
    slides = [1, 1, 1, 1, 4]
    assert run(slides, gpus=2).seconds == 6
    assert run(slides, gpus=2, policy=sim.Policy(True, False)).seconds == 4


def test_idle_workers_take_half_of_the_rest():
    assert run([100], gpus=2, policy=BEST).seconds == 50
    made = run([100], gpus=2, policy=BEST, size=10e9)  # the file comes twice: at 10 s, and at 20 s for the second
    assert made.seconds == 10 + 10 + 90 / 2
    assert run([15], gpus=2, policy=BEST).seconds == 15  # not worth it


def test_a_storage_that_is_too_slow_decides():
    made = run([1] * 10, gpus=4, size=100e9)
    assert made.seconds == 1001
    assert made.spent["work"] == 10
    least = sim.bounds(np.ones(10), np.full(10, 100e9), sim.Cluster(4))
    assert max(least, key=least.get) == "storage"


def test_files_are_fetched_while_the_slide_before_is_worked():
    assert run([10] * 5, size=10e9).seconds == 60
    assert run([10] * 5, size=5e9).seconds == 55


def test_every_task_and_every_start_costs():
    made = run([10] * 5, cost=sim.Cost(overhead_s=2, load_s=7, wasted_s=0))
    assert (made.seconds, made.spent["overhead"]) == (67, 17)


def test_what_a_node_had_begun_goes_on_but_for_the_last_band():
    cost = sim.Cost(0, 0, wasted_s=5)
    made = run([100], cost=cost, kill_every_s=60, down_s=10, phases=(1.0,))
    assert made.seconds == 60 + 10 + 45
    assert made.spent == {
        "work": 100, "overhead": 0, "waiting for files": 0, "done again": 5, "nodes away": 10, "idle": 0,
    }  # fmt: skip


def test_another_node_takes_what_was_left():
    made = run([100], gpus=2, per_node=1, cost=sim.Cost(0, 0, 5), kill_every_s=60, down_s=1000, phases=(1.0, 9.0))
    assert made.seconds == 60 + 45
    assert made.spent["idle"] == 60


@settings(max_examples=60)
@given(
    st.lists(st.floats(0.1, 500), min_size=1, max_size=30),
    st.integers(1, 6),
    st.sampled_from([GIVEN, BEST, sim.Policy(True, False)]),
    st.integers(0, 5),
)
def test_time_is_spent_once_and_no_bound_is_broken(work, gpus, policy, seed):
    work = np.array(work)
    size, cluster = work * 1e7, sim.Cluster(gpus, per_node=2, kill_every_s=2000, down_s=30)
    made = sim.simulate(work, size, cluster, sim.Cost(1, 5, 20), policy, seed)
    assert made.spent["work"] == pytest.approx(work.sum())
    assert sum(made.spent.values()) == pytest.approx(gpus * made.seconds)
    assert min(made.spent.values()) >= -1e-6
    least = sim.bounds(work, size, cluster)
    assert made.seconds >= max(least["GPUs"], 0 if policy.share else least["the largest slide"]) - 1e-6


def test_seeds_give_the_same_again():
    work, size = sim.slides()
    assert len(work) == sim.SLIDES
    assert np.median(work) == pytest.approx(sim.MEDIAN_S, rel=0.05)
    few = slice(0, 200)
    made = [sim.simulate(work[few], size[few], sim.Cluster(8), sim.Cost(), BEST, seed=3) for _ in range(2)]
    assert made[0] == made[1]
