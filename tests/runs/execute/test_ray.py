"""Tasks by workers of Ray: nothing is lost, and whoever ends a worker twice is named with its last words."""

import os
import re
import signal

import psutil
import pytest

from histofactor.errors import EncoderError, EngineError, OptionError
from histofactor.runs.execute.engine import Engine
from histofactor.runs.execute.workers import open_workers
from histofactor.runs.outcome import Observer, Reporter
from ray_jobs import ToyJob, ToyTask


@pytest.fixture
def log(tmp_path):
    (tmp_path / "log").mkdir()
    return tmp_path / "log"


@pytest.fixture
def made(tmp_path):
    """Tasks that do what they are called; their files are there, the last the largest."""

    def make(*hows):
        tasks = []
        for number, how in enumerate(hows):
            tasks.append(ToyTask(tmp_path / f"{number}.png", how))
            tasks[-1].path.write_bytes(bytes(number + 1))
        return tasks

    return make


@pytest.fixture
def workers(ray_cluster):
    """Opens workers of the cluster."""

    def opened(**options):
        return open_workers(Engine(name="ray", address=ray_cluster.address, **options))

    return opened


def alive_of(pids):
    """Those of some processes that are still there after a while."""
    there = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    return [one for one in psutil.wait_procs(there, timeout=10)[1] if one.status() != psutil.STATUS_ZOMBIE]


def tries(log, name):
    return len((log / name).read_text().splitlines())


def test_tasks_are_done_by_two_that_stay(workers, made, log):
    begun, windows, observer = [], [], None
    reporter = Reporter(on_input=lambda *told: begun.append(told), on_window=lambda *told: windows.append(told))
    observer = Observer(reporter)
    with workers() as two:
        assert two.number == 2
        tasks = made(*["well"] * 6, *["meet"] * 2)
        results = dict(two.execute(ToyJob(log, log.parent / "out"), tasks, observer))
        assert {task.path.name for task in results} == {f"{number}.png" for number in range(8)}
        pids = {pid for _, pid, _ in results.values()}
        assert len(pids) == 2
        assert {starts for *_, starts in results.values()} == {1}
        assert {(index, total) for _, index, total in begun} == {(index, 8) for index in range(8)}
        assert {index for _, index, _ in begun[:2]} == {6, 7}  # the largest
        assert windows
        assert max(total for _, total in windows) == 8  # of both that are slow
        assert observer.clock.seconds["work"] >= 2.8 * 2 / 2
        assert list((log.parent / "out").iterdir()) == []  # nothing is left of what machines were to see
        again = dict(two.execute(ToyJob(log), tasks[6:], observer))
        assert {starts for *_, starts in again.values()} == {2}  # what is shared stayed
        assert {pid for _, pid, _ in again.values()} <= pids
        home = {task.name: pid for task, (_, pid, _) in results.items()}
        assert sum(home[task.name] == pid for task, (_, pid, _) in again.items()) == 2
        ((_, counted),) = two.execute(ToyJob(log), made("count"), observer)
        assert counted == (1, 1)  # threads: a core each
        assert list(two.execute(ToyJob(log), [], observer)) == []
    assert not alive_of(pids)


def test_one_that_ends_its_worker_fails_alone(workers, made, log):
    notes = []
    tasks = made(*["well"] * 10, "exit", *["well"] * 9)
    with workers() as two:
        results = {
            task.path.name: result
            for task, result in two.execute(ToyJob(log), tasks, Observer(Reporter(on_note=notes.append)))
        }
    assert len(results) == 20
    lost = results.pop("10.png")
    assert lost == ("lost", "its worker ended, with the last words: the last words; tried 2 times")
    assert all(name == result[0] for name, result in results.items())
    assert tries(log, "10.png") == 2
    assert all(tries(log, name) == 1 for name in results)  # what came next on its worker is not to blame, nor lost
    assert notes == [f"{tasks[10].name}: its worker ended, with the last words: the last words; it is tried once more"]


def test_one_that_ends_a_worker_once_is_done(workers, made, log):
    with workers(workers=1) as one:
        ((_, result),) = one.execute(ToyJob(log), made("exit_once"), Observer())
    assert result[0] == "0.png"
    assert tries(log, "0.png") == 2


def test_what_hangs_is_ended(workers, made, log):
    tasks = made("well", "hang", "well")
    with workers(slide_timeout_s=2.0) as two:
        results = {task.path.name: result for task, result in two.execute(ToyJob(log), tasks, Observer())}
    assert results["1.png"] == ("lost", "it took longer than --slide-timeout 2 s; tried 2 times")
    assert [results[f"{number}.png"][0] for number in (0, 2)] == ["0.png", "2.png"]


def test_what_eats_memory_is_ended(workers, made, log):
    tasks = made("well", "eat", "well")
    with workers(memory_gb=0.6) as two:
        results = {task.path.name: result for task, result in two.execute(ToyJob(log), tasks, Observer())}
    words = r"it took \d\.?\d* GB of memory, and --memory-per-worker allows 0\.6; tried 2 times"
    assert re.search(words, results["1.png"][1])
    assert [results[f"{number}.png"][0] for number in (0, 2)] == ["0.png", "2.png"]


def test_a_killed_worker_is_replaced(workers, made, log):
    tasks = made("well", "well", "meet", "meet")
    killed = []

    def on_window(done, total):
        if not killed:
            killed.append(int((log / "3.png").read_text()))
            os.kill(killed[0], signal.SIGKILL)

    with workers() as two:
        results = dict(two.execute(ToyJob(log), tasks, Observer(Reporter(on_window=on_window))))
    assert len(killed) == 1
    assert sorted(result[0] for result in results.values()) == [f"{number}.png" for number in range(4)]
    assert tries(log, "3.png") == 2


def test_a_machine_that_is_lost_does_not_count(ray_cluster, workers, made, log):
    (task,), notes, lost, added = made("lost"), [], [], []
    machine = ray_cluster.add_node(num_cpus=2, object_store_memory=100 * 2**20)

    def on_window(done, total):
        if not lost:
            lost.append(int((log / "0.png").read_text()))
            machine.all_processes["raylet"][0].process.kill()
            added.append(ray_cluster.add_node(num_cpus=2, object_store_memory=100 * 2**20))

    with workers(workers=1) as one:  # of two cores, which only that machine has
        reporter = Reporter(on_window=on_window, on_note=notes.append)
        ((_, result),) = one.execute(ToyJob(log), [task], Observer(reporter))
    assert result[0] == "0.png"
    assert tries(log, "0.png") == 3
    assert notes == [
        f"{task.name}: its machine was lost; it goes on elsewhere",
        f"{task.name}: its worker ended, with the last words: the last words; it is tried once more",
    ]
    assert not alive_of(lost)
    ray_cluster.remove_node(added[0])


def test_an_idle_worker_helps_with_what_is_large(workers, made, log):
    with workers(workers=2) as two:
        ((_, (name, pid, _)),) = two.execute(ToyJob(log, aided=True), made("largely"), Observer())
        assert name == "0.png"
        assert tries(log, "aid 0.png") == 1
        assert int((log / "aid 0.png").read_text()) != pid
        ((_, result),) = two.execute(ToyJob(log), made("well"), Observer())  # whoever helped is free again
        assert result[0] == "0.png"


def test_what_another_process_has_is_asked_for_again(workers, made, log):
    waited = []
    with workers() as two:
        tasks = made("busy", "well", "well")
        results = dict(two.execute(ToyJob(log), tasks, Observer(Reporter(on_wait=waited.append))))
    assert len(results) == 3
    assert tries(log, "0.png") == 3
    assert waited == [tasks[0].name]


def test_what_a_job_raises_ends_it_and_its_workers(workers, made, log):
    with workers() as two:
        with pytest.raises(OptionError, match="this cannot be done; got that"):
            list(two.execute(ToyJob(log), made("hang", "wrong"), Observer()))
        pids = [int(line) for file in log.iterdir() for line in file.read_text().split()]
        assert not alive_of(pids)
        ((_, result),) = two.execute(ToyJob(log), made("well")[:1], Observer())  # others take their place
        assert result[0] == "0.png"


def test_a_worker_without_the_weights_is_told_with_its_machine(workers, made, log):
    (log / "no weights").touch()
    with workers() as two, pytest.raises(EncoderError, match=r"the weights are not there \(on .+\); copy them"):
        list(two.execute(ToyJob(log), made("well"), Observer()))


def test_more_workers_than_there_is_room_for(workers):
    with pytest.raises(EngineError, match="no room for the workers"), workers(workers=9):
        pass
