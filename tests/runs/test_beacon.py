"""What a process tells of itself is seen by others, and goes with it."""

import subprocess
import sys
import time

import pytest

from histofactor.base import lease
from histofactor.errors import OutputError
from histofactor.runs.beacon import beacons, lit
from histofactor.runs.outcome import Outcome, Reporter

PROCESS = """
import sys
from pathlib import Path
from histofactor.runs.beacon import lit
from histofactor.runs.outcome import Reporter
with lit(Path(sys.argv[1]), Reporter(), "2/3") as signal:
    signal.reporter.on_run("run", 5)
    print("lit", flush=True)
    for line in sys.stdin:
        print(signal.is_last(), flush=True)
"""


@pytest.fixture
def other(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, tmp_path / "out"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "lit\n"
    yield process
    process.kill()
    process.stdin.close()
    process.stdout.close()
    process.wait()


def test_seen_while_it_works_and_gone_after(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_S", 0.01)
    out, heard = tmp_path / "out", []
    assert beacons(out) == []
    with lit(out, Reporter(on_run=lambda *given: heard.append(given)), "1/3") as signal:
        reporter = signal.reporter
        reporter.on_run("run", 3)
        reporter.on_input("a.svs", 0, 3)
        reporter.on_window(3, 40)
        reporter.on_outcome(Outcome("z.svs", "failed"))
        deadline = time.monotonic() + 10
        while not (seen := beacons(out)) or seen[0].told["ended"] != 1:
            assert time.monotonic() < deadline
        names = ("run", "shard", "inputs", "failed", "input", "windows", "of")
        assert {name: seen[0].told[name] for name in names} == {
            "run": "run", "shard": "1/3", "inputs": 3, "failed": 1, "input": "a.svs", "windows": 3, "of": 40,
        }  # fmt: skip
    assert heard == [("run", 3)]
    assert beacons(out) == []
    assert not out.exists()  # nothing was written into it


def test_the_last_of_a_run_is_told(tmp_path, other):
    out = tmp_path / "out"
    with lit(out, Reporter()) as signal:
        signal.reporter.on_run("run", 1)
        assert not signal.is_last()  # the other is at work
        other.stdin.write("?\n")
        other.stdin.flush()
        assert other.stdout.readline() == "True\n"  # this one was done before it
        assert signal.is_last()
    with lit(out, Reporter()) as signal:
        signal.reporter.on_run("another", 1)
        assert signal.is_last()


def test_what_a_killed_process_left_is_cleared(tmp_path, other):
    out = tmp_path / "out"
    assert len(beacons(out)) == 1
    other.kill()
    other.wait()
    assert beacons(out) == []
    assert (out / ".work").exists()
    with lit(out, Reporter()) as signal:
        signal.reporter.on_run("run", 1)
        assert signal.is_last()
    assert not (out / ".work").exists()


def test_links_are_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".work").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="without links"), lit(tmp_path / "out", Reporter()):
        pass
    with pytest.raises(OutputError, match="without links"):
        beacons(tmp_path / "out")
