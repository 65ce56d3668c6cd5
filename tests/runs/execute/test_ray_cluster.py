"""A cluster answers, or is told in one message; one of a run's own leaves nothing, however the run ends."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from histofactor.errors import EngineError, OptionError
from histofactor.runs.execute import ray_cluster as module
from histofactor.runs.execute.engine import Engine
from histofactor.runs.execute.ray_cluster import open_cluster
from histofactor.runs.execute.workers import open_workers

TESTS = Path(__file__).parents[2]
RUN = """
import os, subprocess, sys
from pathlib import Path
from histofactor.runs.execute.engine import Engine
from histofactor.runs.execute.workers import open_workers
from histofactor.runs.outcome import Observer
from ray_jobs import ToyJob, ToyTask

log, hows = Path(sys.argv[1]), sys.argv[2:]
tasks = [ToyTask(log / f"{number}.png", how) for number, how in enumerate(hows)]
(log / "log").mkdir(exist_ok=True)
with open_workers(Engine(name="ray", workers=1)) as workers:
    import ray
    raylet = ray._private.worker._global_node.all_processes["raylet"][0].process.pid
    (log / "raylet").write_text(str(raylet))
    (log / "folder").write_text(os.environ["RAY_AUTH_TOKEN_PATH"])
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    for task, result in workers.execute(ToyJob(log / "log"), tasks, Observer()):
        print(task.path.name, result[0], flush=True)
print("another child:", child.poll())
child.communicate()
print("home:", sorted(os.listdir(os.environ["HOME"])))
"""


@contextmanager
def answering(answer):
    """A server that takes one connection and answers it, or stays mute; yields its address."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def serve():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                if answer:
                    connection.recv(100)
                    connection.sendall(answer)
                else:
                    connection.settimeout(20)
                    while connection.recv(100):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("address", ["here", "ray://a:1", "a:b", "a:0", "a:99999", ":6379", ""])
def test_no_address(address):
    with (
        pytest.raises(OptionError, match="--address is none; expected auto, or HOST:PORT"),
        open_cluster(address, None),
    ):
        pass


@pytest.mark.parametrize(("answer", "got"), [(b"", "timed out"), (b"HTTP/1.1 400 Bad Request\r\n", "another service")])
def test_nobody_of_ray_answers(answer, got, monkeypatch):
    monkeypatch.setattr(module, "_ANSWERS_S", 0.5)
    started = time.monotonic()
    with answering(answer) as address, pytest.raises(EngineError) as error, open_cluster(address, None):
        pass
    assert error.value.what == f"no Ray answers at --address {address}"
    assert error.value.got == got
    assert "ray start --head" in error.value.mend
    assert time.monotonic() - started < 10


def test_nothing_listens():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(EngineError, match="no Ray answers"), open_cluster(address, None):
            pass


@pytest.mark.parametrize("missing", ["ray", "psutil"])
def test_no_ray_is_installed(missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(OptionError) as error, open_workers(Engine(name="ray")):
        pass
    assert error.value.what == f"--engine ray needs {missing}"
    assert error.value.mend == "pip install 'histofactor[ray]', on every machine"


@pytest.fixture
def own(tmp_path, soon):
    """Start a run with a Ray of its own; ended with the test."""
    pytest.importorskip("ray", reason="needs histofactor[ray]")
    home, started = tmp_path / "home", []
    home.mkdir()

    def start(*hows):
        paths = [str(TESTS.parent / "src"), str(TESTS), os.environ.get("PYTHONPATH", "")]
        known = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        environ = {**known, **soon, "PYTHONPATH": os.pathsep.join(paths), "HOME": str(home)}
        command = [sys.executable, "-c", RUN, str(tmp_path), *hows]
        process = subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for(path):
    for _ in range(1200):
        if path.exists() and path.read_text():
            return path.read_text().strip()
        time.sleep(0.05)
    raise AssertionError(f"{path} never came")


def left_of(processes, folder):
    """What is left of a Ray after a while."""
    there = [one for one in processes if one.is_running()]
    _, alive = psutil.wait_procs(there, timeout=10)
    for _ in range(100):
        if not folder.exists():
            break
        time.sleep(0.1)
    return [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE], folder.exists()


def under_way(process, tmp_path):
    """All processes of a run that hangs at its task, and the folder of its Ray."""
    wait_for(tmp_path / "log/0.png")
    folder = Path(wait_for(tmp_path / "folder")).parent
    assert (folder / "token").stat().st_mode & 0o077 == 0
    return psutil.Process(process.pid).children(recursive=True), folder


def test_a_ray_of_its_own_leaves_nothing(own, tmp_path):
    process = own("well", "exit_once")
    out, err = process.communicate(timeout=100)
    assert sorted(out.splitlines()) == ["0.png 0.png", "1.png 1.png", "another child: None", "home: []"]
    assert err == ""
    assert process.returncode == 0
    assert not Path((tmp_path / "folder").read_text()).parent.exists()


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_nor_where_the_run_is_stopped(own, tmp_path, number):
    process = own("hang")
    processes, folder = under_way(process, tmp_path)
    assert len(processes) > 4
    started = time.monotonic()
    os.killpg(process.pid, number) if number == signal.SIGINT else os.kill(process.pid, number)
    process.wait(timeout=20)
    assert time.monotonic() - started < 10
    assert left_of(processes, folder) == ([], False)


def test_a_ray_that_is_killed_ends_the_run_with_a_word(own, tmp_path):
    process = own("hang")
    processes, folder = under_way(process, tmp_path)
    os.kill(int((tmp_path / "raylet").read_text()), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert "EngineError: Ray on this machine has ended" in err.splitlines()[-1]
    assert left_of(processes, folder) == ([], False)
