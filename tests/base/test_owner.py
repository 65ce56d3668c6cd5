"""Which process something belongs to, and whether it lives."""

import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from histofactor.base.owner import Owner, is_near, lives, me, owner_of, start_of


def test_this_process():
    here = me()
    assert here.pid == os.getpid()
    assert here.boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert here.namespace.startswith("pid:[")
    assert is_near(here)
    assert lives(here)
    assert me() is here  # it is looked up once


def test_another_process_lives_until_it_ends():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    other = replace(me(), pid=process.pid, start=start_of(process.pid))
    assert other.start >= me().start
    assert lives(other)
    assert not lives(replace(other, start=other.start + 1))  # one of the same number, begun later
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is yet to be asked how
    assert not lives(other)
    process.stdin.close()
    process.wait()
    assert start_of(process.pid) == -1


def test_the_name_of_a_process_may_hold_anything(tmp_path):
    program = tmp_path / "a) R 1 (b"
    program.symlink_to(sys.executable)
    process = subprocess.Popen([program, "-c", "input()"], stdin=subprocess.PIPE)
    assert start_of(process.pid) >= me().start
    process.kill()
    process.stdin.close()
    process.wait()


@pytest.mark.parametrize("name", ["host", "boot", "namespace"])
def test_a_process_of_elsewhere_cannot_be_asked_for(name):
    assert not is_near(replace(me(), **{name: "another"}))
    assert not is_near(replace(me(), **{name: ""}))
    assert not is_near(Owner())


def test_read_again():
    assert owner_of(asdict(me())) == me()
    with pytest.raises((KeyError, TypeError, ValueError)):
        owner_of({"host": 1})
