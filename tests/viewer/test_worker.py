"""The process that derives results again: it ends with the server that began it."""

import csv
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from histofactor.base.names import TABLE
from histofactor.concepts.bank.file import read_bank_file
from histofactor.runs.edit_study import edit, merged, named
from histofactor.runs.study import BANK, journal_of
from histofactor.viewer.security import CSRF_HEADER
from histofactor.viewer.server import OPENSEADRAGON, static_files
from viewer_client import contents

RUN = "from histofactor.cli.main import main; main()"


class Asked:
    """A server in a process of its own, and what is asked of it."""

    def __init__(self, process, port, token):
        self.process, self.port, self.headers = process, port, {"Cookie": f"histofactor-{port}={token}"}

    def ask(self, path, method="GET"):
        body = b"{}" if method == "POST" else None
        kind = {"Content-Type": "application/json"} if body else {}
        with urlopen(Request(f"http://127.0.0.1:{self.port}{path}", body, self.headers | kind, method=method)) as told:
            return json.loads(told.read())

    def apply(self):
        self.headers[CSRF_HEADER] = self.ask("/api/study")["csrf"]
        return self.ask("/api/apply", "POST")

    def until(self, wanted):
        """What is told of Apply once it is as wanted."""
        end = time.monotonic() + 120
        while not wanted(told := self.ask("/api/apply")):
            assert time.monotonic() < end
            time.sleep(0.01)
        return told


@contextmanager
def served(out):
    """``histofactor view``, as a user starts it."""
    command = [sys.executable, "-c", RUN, "view", str(out), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Asked(process, *re.search(r":([0-9]+)/\?token=(\S+)", process.stdout.readline()).groups())
        finally:
            process.kill()


def workers_of(out):
    """Processes that work on a study, as the system lists them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if b"histofactor.viewer.worker" in words and str(out).encode() in words:
            found.append(path.parent.name)
    return found


AT_WORK = """
import sys, time
from histofactor.viewer import worker
def work(*given, **how):
    print("at work", flush=True)
    while True:
        try:
            time.sleep(600)
        except KeyboardInterrupt:
            if {obeys}:
                raise
worker.relabel_study, worker._PATIENCE_S = work, 0.5
sys.exit(worker.run(["out", *{words}]))
"""


@pytest.mark.parametrize("obeys", [True, False])
def test_it_ends_as_its_server_does(obeys):
    """Where the work is left in order, and where it does not stop."""
    command = [sys.executable, "-c", AT_WORK.format(obeys=obeys, words=["bound"])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "at work\n"
        time.sleep(0.2)
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(30) == 130


def test_it_goes_on_by_itself_where_it_is_not_bound():
    command = [sys.executable, "-c", AT_WORK.format(obeys=True, words=[])]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "at work\n"
        time.sleep(1)
        assert process.poll() is None
        process.kill()


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs the list of processes of Linux")
@pytest.mark.skipif(OPENSEADRAGON not in static_files(), reason="needs OpenSeadragon, which npm brings")
@pytest.mark.parametrize("seed", range(2))
def test_a_killed_server_leaves_a_whole_study_and_no_worker(study, tmp_path, seed):
    """The server alone is killed while Apply is at a slide; another one finishes it."""
    out, _ = study
    old = contents(out)
    edit(out, None, named({2: "gland"}, {}))
    edit(out, None, merged([((1, 3), "both")]))
    shutil.copytree(out, tmp_path / "whole")
    subprocess.run([sys.executable, "-m", "histofactor.viewer.worker", tmp_path / "whole"], check=True)
    new = contents(tmp_path / "whole")
    bank, journal = ((out / BANK).read_bytes(), journal_of(out / BANK).read_bytes())
    with served(out) as server:
        server.apply()
        server.until(lambda told: told.get("at"))
        assert workers_of(out)
        time.sleep(random.Random(seed).uniform(0, 0.3))
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    end = time.monotonic() + 15  # less than after which it would be killed in any case
    while workers_of(out):
        assert time.monotonic() < end
        time.sleep(0.05)
    for folder, state in contents(out).items():
        assert state in (old[folder], new[folder])
    assert (out / BANK).read_bytes() == bank
    assert journal_of(out / BANK).read_bytes() == journal
    with served(out) as server:
        assert server.ask("/api/study")["why_read_only"] == ""
        server.apply()
        told = server.until(lambda told: told["state"] not in {"running", "stopping"})
        assert (told["state"], [one["status"] for one in told["outcomes"]].count("failed")) == ("done", 0)
        server.process.send_signal(signal.SIGINT)
        server.process.wait(20)
    assert contents(out) == new
    with (out / TABLE).open(newline="") as file:
        assert {"both", "gland"} <= {row["name"] for row in csv.DictReader(file)}
    assert read_bank_file(out / BANK).banks[7].names[0] == "both"
    assert not (out / ".work").exists()
    left = {path.name for path in out.iterdir()} - {path.name for path in (tmp_path / "whole").iterdir()}
    assert left == set()
