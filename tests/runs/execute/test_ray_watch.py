"""What belongs to the folder of a Ray is ended with it, told or not; nothing else is."""

import subprocess
import sys

import psutil
import pytest

from histofactor.runs.execute import ray_watch
from histofactor.runs.execute.ray_watch import watch

WAITS = "import sys, time; held = sys.argv[2:] and open(sys.argv[2], 'w'); print('ready', flush=True); time.sleep(100)"
RETITLED = (
    "import os, sys; held = open(os.environ['HELD'], 'w'); os.set_inheritable(held.fileno(), True); "
    "os.execv(sys.executable, ['agent', '-c', 'import time; print(\"ready\", flush=True); time.sleep(100)'])"
)


@pytest.fixture
def start():
    begun = []

    def run(*arguments, **environment):
        process = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.PIPE, text=True, env=environment or None
        )
        begun.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield run
    for process in begun:
        process.kill()
        process.communicate()


def test_whoever_waits_for_it_is_not_ended(tmp_path):
    folder = tmp_path / "hf-ray-1"
    folder.mkdir()
    with (folder / "of_the_driver.log").open("w"):  # as the process that started Ray has some
        watcher = subprocess.Popen([sys.executable, "-P", ray_watch.__file__, str(folder)], stdin=subprocess.PIPE)
        watcher.communicate(b"")
    assert watcher.returncode == 0
    assert not folder.exists()


def test_all_that_work_in_the_folder_end(start, tmp_path):
    folder = tmp_path / "hf-ray-1"
    folder.mkdir()
    told = start("-c", WAITS, "told")
    named = start("-c", WAITS, f"--session-dir={folder}")
    silent = start("-c", RETITLED, HELD=str(folder / "agent.log"))
    assert not any(str(folder) in part for part in psutil.Process(silent.pid).cmdline())
    beside = start("-c", WAITS, "beside", str(tmp_path / "hf-ray-10.log"))
    watch([f"{told.pid}\n", "999999999\n"], str(folder))
    assert [psutil.pid_exists(process.pid) for process in (told, named, silent, beside)] == [False] * 3 + [True]
    assert not folder.exists()
