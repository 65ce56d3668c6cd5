"""What others see of a lease, and how what dead holders left is cleared."""

import json
import os
import subprocess
import sys
import time

import pytest

from histofactor.base import lease_state
from histofactor.base.lease import take
from histofactor.base.lease_state import look, sweep_leases
from histofactor.base.owner import me

HOLDER = """
import sys, time
from pathlib import Path
from histofactor.base.lease import take
print(take(Path(sys.argv[1])) is not None, flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out" / ".work" / "locks" / "a.lock"


def test_what_dead_holders_left_is_swept(path, tmp_path):
    for name in ("a.lock", ".0123"):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, path.with_name(name)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "True\n"
        process.kill()
        process.stdout.close()
        process.wait()
    alive = take(path.with_name("b.lock"))
    sweep_leases(path.parent)
    assert [one.name for one in path.parent.iterdir()] == ["b.lock"]
    alive.check()
    alive.release()
    sweep_leases(path.parent)  # nothing is there


def test_the_file_tells_who_holds_it(path):
    held = take(path)
    (token,) = path.iterdir()
    content = json.loads(token.read_bytes())
    assert content["pid"] == os.getpid()
    assert content["host"]
    assert len(content["boot"]) == 36
    assert content["start"] > 0
    assert len(token.name) == 32
    held.release()


def test_nobody_holds_it(path):
    assert look(path) is None
    path.mkdir(parents=True)
    assert look(path) is None


def test_how_long_it_is_silent_is_told(path):
    held = take(path)
    (token,) = path.iterdir()
    assert look(path).silent_s < 5
    os.utime(token, (time.time() - 500,) * 2)
    assert 499 < look(path).silent_s < 510
    assert not look(path).dead  # its process lives
    held.check()
    assert look(path).silent_s < 5
    held.release()


def test_what_this_process_gave_back_and_could_not_delete_is_dead(path):
    held = take(path)
    (token,) = path.iterdir()
    lease_state.MINE.discard(token.name)
    assert look(path).dead
    assert look(path).owner == me()
    sweep_leases(path.parent)
    assert not path.exists()
    held.release()


def test_looking_changes_nothing_and_only_what_is_asked_for_is_swept(path):
    for name in ("a.lock", "process-1.lock.json"):
        lease = path.with_name(name)
        lease.mkdir(parents=True)
        (lease / "token").write_text(json.dumps({"host": "elsewhere"}))
    before = sorted(path.parent.rglob("*"))
    look(path)
    assert sorted(path.parent.rglob("*")) == before
    assert not any(file.parent.parent == path.parent for file in lease_state._silent)
    sweep_leases(path.parent, "process-*")
    process = path.with_name("process-1.lock.json")
    assert [file for file in lease_state._silent if file.parent.parent == path.parent] == [process / "token"]
    (process / "token").unlink()
    sweep_leases(path.parent, "process-*")
    assert not any(file.parent.parent == path.parent for file in lease_state._silent)
