"""Ctrl-C while a run waits, learns or writes its report ends it within seconds, and the same command goes on."""

import json
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from histofactor.runs.ledger import scan
from histofactor.runs.place import Place, claim
from histofactor.runs.study import study_lock
from histofactor.slides.phantom import phantom

SOON_S = 10.0
RUN = """
import sys, time
from histofactor.runs import ledger
if {slow}:
    read = ledger.read_status
    ledger.read_status = lambda folder: (time.sleep(60), read(folder))[1]
sys.argv[0] = "histofactor"
from histofactor.cli.entry import main
main()
"""


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for seed in range(3):
        Image.fromarray(phantom((200, 160), seed=seed, mpp=1.0).image).save(folder / f"{seed}.png")
    return folder


@pytest.fixture
def run(images, tmp_path):
    """Starts ``segment`` with a log; interrupts it at an event; returns its exit code, stderr and what it took."""
    log = tmp_path / "log.jsonl"

    def interrupted(at, *more, slow=False):
        command = ["segment", str(images), "-o", str(tmp_path / "out"), "--fast", "--source-mpp", "1", *more]
        process = subprocess.Popen(
            [sys.executable, "-c", RUN.format(slow=slow), *command, "--log", str(log)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 200
        while not (log.exists() and any(at(json.loads(line)) for line in log.read_text().splitlines())):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=100)
        assert time.monotonic() - sent < SOON_S
        assert process.returncode == 130, err
        assert "the same command goes on from there" in err
        assert json.loads(log.read_text().splitlines()[-1])["how"] == "interrupted"

    return interrupted


def test_while_it_waits_for_the_concepts(run, tmp_path):
    with study_lock(tmp_path / "out"):
        run(lambda line: line["event"] == "stage" and line["text"] == "waiting for the concepts")
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_while_it_waits_for_an_input(run, tmp_path):
    out = tmp_path / "out"
    with claim(Place(out, "1")):
        run(lambda line: line["event"] == "outcome" and "2.png" in line["input"], "--concepts", "embedded", "-k", "8")
    assert [one.status for one in scan(out).outcomes] == ["done", "waiting", "done"]
    assert (out / "report.html").exists()  # it tells of what is done
    assert not (out / ".work").exists()


def test_while_it_learns(run, histofactor, images, tmp_path):
    run(lambda line: line["event"] == "input" and "to learn from" in line["input"])
    out = tmp_path / "out"
    assert {path.name for path in (out / ".work").glob("*")} <= {"windows"}  # which are not encoded again
    code, told, _ = histofactor("segment", images, "-o", out, "--fast", "--source-mpp", 1)
    assert code == 0
    assert "3 of 3 segmented" in told
    assert not (out / ".work").exists()


def test_in_the_last_report(run, tmp_path):
    def in_report(line):
        return line["event"] == "stage" and line["text"] == "writing the report"

    run(in_report, "--concepts", "embedded", "-k", "8", slow=True)
    assert [one.status for one in scan(tmp_path / "out").outcomes] == ["done"] * 3
    assert not (tmp_path / "out" / ".work").exists()
