"""Leases: one holder at a time, whoever is killed or stopped, and nothing of them stays."""

import fcntl
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from histofactor.base import lease as module
from histofactor.base import lease_state, owner
from histofactor.base.fences import fenced
from histofactor.base.files import atomic, atomic_folder, remove
from histofactor.base.lease import take
from histofactor.base.lease_state import look
from histofactor.base.owner import me
from histofactor.errors import LeaseLost, OutputError

SETUP = """
import sys
from pathlib import Path
from histofactor.base import lease, lease_state, owner
path, host, beat, expiry = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
if host:
    owner.socket.gethostname = lambda: host
lease.BEAT_S, lease_state.EXPIRY_S = beat, expiry
"""
HOLDER = (
    SETUP
    + """
from histofactor.errors import LeaseLost
held = lease.take(path, lambda: {"input": "a.svs"})
print(held is not None, flush=True)
for line in sys.stdin:
    try:
        held.check()
        print("held", flush=True)
    except LeaseLost as error:
        print("lost:", error, flush=True)
held.release()
"""
)
# Holds the lease again and again; that nobody else does is told by a lock of the kernel.
WORKER = (
    SETUP
    + """
import fcntl, random, time
rng, turns = random.Random(int(sys.argv[5])), int(sys.argv[6])
with open(sys.argv[7], "a") as witness:
    while turns:
        held = lease.take(path)
        if held is None:
            time.sleep(rng.uniform(0, 0.004))
            continue
        try:
            fcntl.flock(witness, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("TWO", flush=True)
            sys.exit(3)
        time.sleep(rng.uniform(0, 0.004))
        held.check()
        fcntl.flock(witness, fcntl.LOCK_UN)
        held.release()
        turns -= 1
        print("turn", flush=True)
"""
)


def started(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def ended(process):
    process.stdin.close()
    process.stdout.close()
    process.wait()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out" / ".work" / "locks" / "a.lock"


@pytest.fixture
def holder(path):
    """Starts a process that holds the lease, on a host of this name ("": this one)."""
    processes = []

    def start(host="", beat=0.05, expiry=60):
        process = started(HOLDER, path, host, beat, expiry)
        processes.append(process)
        assert process.stdout.readline() == "True\n"
        return process

    yield start
    for process in processes:
        process.kill()
        ended(process)


def asked(process):
    process.stdin.write("?\n")
    process.stdin.flush()
    return process.stdout.readline()


def test_interrupted_at_any_line_it_leaves_nothing(path, tmp_path):
    """Ctrl-C while a lease is taken gives it back: an interruption is raised before each line of it in turn."""

    def before(line):
        """Interrupts before that line."""
        lines = iter(range(line + 1))

        def trace(frame, event, _):
            code = frame.f_code
            mine = code.co_filename == module.__file__ and code.co_qualname in {"Lease.take", "_make", "_move"}
            if event == "line" and mine and next(lines, None) == line:
                raise KeyboardInterrupt
            return trace

        return trace

    was, line = sys.gettrace(), 0
    while True:
        sys.settrace(before(line))
        try:
            held = take(path)
            break
        except KeyboardInterrupt:
            line += 1
        finally:
            sys.settrace(was)
        assert not lease_state.MINE
        assert not (tmp_path / "out" / ".work").exists()
    assert line > 10
    assert take(path) is None
    held.release()


def test_one_holder_and_nothing_stays(path, tmp_path):
    first = take(path, lambda: {"input": "a.svs"})
    assert take(path) is None
    assert look(path).owner == me()
    assert look(path).told == {"input": "a.svs"}
    assert not look(path).dead
    first.check()
    first.release()
    assert look(path) is None
    again = take(path)
    again.release()
    assert list((tmp_path / "out").iterdir()) == []


def test_one_of_many_threads_gets_it(path):
    got, gate = [], threading.Barrier(8)

    def work():
        gate.wait()
        got.append(take(path))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (held,) = (one for one in got if one is not None)
    held.release()


def test_a_killed_holder_of_this_machine_is_known_at_once(holder, path):
    process = holder()
    assert take(path) is None
    process.kill()  # and not waited for: a zombie has ended too
    deadline = time.monotonic() + 10
    while (mine := take(path)) is None:
        assert time.monotonic() < deadline
    assert look(path).owner.pid == os.getpid()
    mine.release()


def test_another_process_of_the_same_number_is_not_the_holder(path, monkeypatch):
    here = me()
    monkeypatch.setattr(module, "me", lambda: owner.Owner(here.host, here.boot, here.namespace, os.getppid(), 1))
    held = take(path)
    monkeypatch.undo()
    assert look(path).dead
    mine = take(path)
    assert mine is not None
    with pytest.raises(LeaseLost):
        held.check()
    held.release()
    mine.check()
    mine.release()


def test_a_holder_elsewhere_is_dead_after_its_silence(holder, path, monkeypatch):
    monkeypatch.setattr(lease_state, "EXPIRY_S", 0.6)
    process = holder("elsewhere")
    until = time.monotonic() + 1.5
    while time.monotonic() < until:  # it beats
        assert take(path) is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    died = time.monotonic()
    while (mine := take(path)) is None:
        assert time.monotonic() < died + 10
        time.sleep(0.05)
    assert time.monotonic() - died >= 0.55
    mine.release()


def test_time_in_which_nobody_looked_counts_a_third_at_most(holder, path, monkeypatch):
    monkeypatch.setattr(lease_state, "EXPIRY_S", 0.3)
    process = holder("elsewhere")
    process.kill()
    process.wait()
    assert take(path) is None
    for _ in range(2):
        time.sleep(0.4)
        assert take(path) is None
    time.sleep(0.4)
    mine = take(path)
    assert mine is not None
    mine.release()


def test_who_was_stopped_for_too_long_notices(holder, path, monkeypatch, tmp_path):
    monkeypatch.setattr(lease_state, "EXPIRY_S", 0.5)
    process = holder("elsewhere")
    assert asked(process) == "held\n"
    process.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + 10
    while (mine := take(path)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGCONT)
    told = asked(process)
    assert told.startswith("lost: ")
    assert "taken over by another process" in told
    ended(process)  # it gives back what it has no more
    mine.check()
    assert take(path) is None
    mine.release()
    assert list((tmp_path / "out").iterdir()) == []


def test_who_is_stopped_for_a_while_goes_on(holder, path):
    process = holder()
    process.send_signal(signal.SIGSTOP)
    for _ in range(20):
        assert take(path) is None
        time.sleep(0.01)
    process.send_signal(signal.SIGCONT)
    assert asked(process) == "held\n"


def test_a_container_with_the_same_name_is_asked_for_by_its_silence(path, monkeypatch):
    here = me()
    other = owner.Owner(here.host, here.boot, "pid:[1]", 2**22 + 1, 7)
    monkeypatch.setattr(module, "me", lambda: other)
    held = take(path)
    monkeypatch.undo()
    assert take(path) is None  # its PID means nothing here
    assert not look(path).dead
    held.release()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"host": 1}', b"\xff\x00"])
def test_a_lease_that_tells_nothing_is_asked_for_by_its_silence(path, content, monkeypatch):
    path.mkdir(parents=True)
    (path / "token").write_bytes(content)
    monkeypatch.setattr(lease_state, "EXPIRY_S", 0.2)
    assert take(path) is None
    assert look(path).owner == owner.Owner()
    deadline = time.monotonic() + 10
    while (mine := take(path)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    mine.release()


def test_a_lock_file_of_an_earlier_version_gives_way(path, monkeypatch):
    path.parent.mkdir(parents=True)
    path.touch()
    monkeypatch.setattr(lease_state, "EXPIRY_S", 0.1)
    while (mine := take(path)) is None:
        time.sleep(0.02)
    mine.release()


def test_what_is_told_of_the_work_is_told_again(path, monkeypatch):
    monkeypatch.setattr(module, "BEAT_S", 0.01)
    told = {"windows": 1}
    held = take(path, lambda: dict(told))
    told.update(windows=2, input="é\n")
    deadline = time.monotonic() + 10
    while look(path).told != told:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    told.clear()
    while look(path).told:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    held.release()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        take(tmp_path / "file" / "locks" / "a.lock")
    assert set() == lease_state.MINE


def test_nothing_is_written_once_the_lease_is_lost(path, tmp_path):
    out = tmp_path / "out"
    (out / "a").mkdir(parents=True)
    (out / "a" / "seal.json").write_text("of another")
    held = take(path)
    with fenced([out / "a"], held.check):
        with atomic(out / "a" / "before.json") as temporary:
            temporary.write_text("{}")
        (token,) = path.iterdir()
        token.unlink()
        with pytest.raises(LeaseLost), atomic(out / "a" / "seal.json") as temporary:
            temporary.write_text("mine")
        with pytest.raises(LeaseLost), atomic_folder(out / "a" / "weights.zarr") as folder:
            (folder / "0").write_text("mine")
        with pytest.raises(LeaseLost):
            remove(out / "a" / "seal.json", inside=out)
        with atomic(out / "b.json") as temporary:  # which is not of the lease
            temporary.write_text("{}")
    assert (out / "a" / "seal.json").read_text() == "of another"
    assert (out / "a" / "before.json").exists()
    assert not (out / "a" / "weights.zarr").exists()
    with atomic(out / "a" / "after.json") as temporary:  # the fence is gone with its block
        temporary.write_text("{}")
    held.release()


@pytest.mark.parametrize("hosts", [["", "", ""], ["one", "two", "three"]])
def test_never_two_whoever_is_killed(path, tmp_path, hosts):
    rng, witness, expiry = random.Random(7), tmp_path / "witness", 0.5
    turns, kills, running, number = 0, 0, {}, 0
    with witness.open("a") as probe:
        while turns < 60:
            for host in set(range(len(hosts))) - set(running):
                number += 1
                running[host] = started(WORKER, path, hosts[host], 0.05, expiry, number, 25, witness)
            host = rng.choice(list(running))
            line = running[host].stdout.readline()
            assert line != "TWO\n"
            turns += line == "turn\n"
            if line == "" or (kills < 5 and rng.random() < 0.15):
                kills += line != ""
                running[host].kill()
                ended(running.pop(host))
                assert line or witness.exists()
        for process in running.values():
            process.kill()
            ended(process)
        assert kills == 5
        fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel took them all back
