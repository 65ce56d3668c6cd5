"""Progress on the terminal."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import Event, active_count

import pytest
from rich.progress import BarColumn

from histofactor.cli import progress as module
from histofactor.cli.progress import at_work, learn_reporter, pace_words, progress_reporter, shown, start, state
from histofactor.runs.outcome import Outcome
from histofactor.runs.pace import Standing


def test_a_line_for_every_finished_input(capsys):
    with progress_reporter() as reporter:
        reporter.on_input("a/[b].png", 0, 2)
        reporter.on_window(1, 4)
        reporter.on_outcome(Outcome("a/[b].png", "done", "b", 1.25))
        reporter.on_outcome(Outcome("c.png", "failed", "", 0.1, "why"))
    err = capsys.readouterr().err
    assert "[b].png: 1.2 s" in err
    assert "c.png: failed" in err


def test_names_mean_nothing_to_the_terminal(capsys):
    name = "a[red]\x1b[2Jcaf\udce9.png"
    with progress_reporter() as reporter:
        reporter.on_input(name, 0, 1)
        reporter.on_window(1, 4)
        reporter.on_wait(name)
        reporter.on_outcome(Outcome(name, "done", "b", 1.25, notes=("one\x1b", "two")))
    err = capsys.readouterr().err
    assert r"a[red]\x1b[2Jcaf\udce9.png: 1.2 s" in err
    assert "\n  one\\x1b\n  two\n" in err
    assert "\x1b[2J" not in err


class Minutes:
    """A clock: so many minutes pass, one whenever it is waited for; the work ends no sooner."""

    def __init__(self, count):
        self.left, self.begun, self.over, self.waited = count, Event(), Event(), []

    def wait(self, seconds):
        assert self.begun.wait(10)
        self.waited.append(seconds)
        if not self.left:
            self.over.set()
            return True
        self.left -= 1
        return False


def test_a_line_a_minute_without_a_terminal(capsys):
    clock = Minutes(3)
    with shown(BarColumn(), wait=clock.wait) as progress:
        start(progress)
        task = progress.add_task("images[0]", total=1200)
        progress.update(task, completed=1100)
        progress.add_task("x\x1b.png", total=None)
        clock.begun.set()
        assert clock.over.wait(10)
    told = capsys.readouterr().err.splitlines()
    assert told == [f"after {minute} min: images[0]: 1,100 of 1,200, x\\x1b.png" for minute in (1, 2, 3)]
    assert clock.waited == [60.0] * 4


def test_the_pace_in_words():
    now = datetime(2030, 1, 2, 13, 0)
    assert pace_words(Standing(), now) == ""
    assert pace_words(Standing(inputs=3), now) == "end not known yet"
    known = Standing(inputs=3, failed=2, windows_per_s=2.345, left_s=5400.0)
    assert pace_words(known, now) == "2.3 windows/s, 90 min left, until 14:30, 2 failed"
    assert (
        pace_words(replace(known, left_s=86_400.0, failed=0), now) == "2.3 windows/s, 24 h left, until Thu 03 Jan 13:00"
    )


def test_the_pace_is_told_with_each_line(capsys):
    clock = Minutes(1)
    with shown(BarColumn(), words=lambda: "2.0 windows/s", wait=clock.wait) as progress:
        progress.add_task("inputs", total=3)
        clock.begun.set()
        assert clock.over.wait(10)
    assert capsys.readouterr().err == "after 1 min: inputs: 0 of 3, 2.0 windows/s\n"


def test_work_that_is_soon_done_says_nothing(capsys):
    with at_work("checking"):
        pass
    assert capsys.readouterr().err == ""


@pytest.fixture
def drawn(monkeypatch):
    """The bars that reporters draw."""
    made, real = [], module._Bars
    monkeypatch.setattr(module, "_Bars", lambda progress: made.append(progress) or real(progress))
    return made


@pytest.mark.parametrize("reporting", [progress_reporter, learn_reporter])
def test_reporters_tell_inputs_windows_and_stages(reporting, drawn):
    lines = {}
    with reporting() as reporter:
        (bars,) = drawn
        reporter.on_input("a.png", 0, 7)
        reporter.on_window(3, 40)
        lines["window"] = [state(task) for task in bars.tasks]
        reporter.on_stage("learning concepts")
        lines["stage"] = [state(task) for task in bars.tasks]
    assert lines == {
        "window": ["inputs: 0 of 7", "a.png: 3 of 40 windows"],
        "stage": ["inputs: 0 of 7", "learning concepts"],
    }


def test_an_error_ends_the_lines():
    threads, during = active_count(), []

    def work():
        with at_work("checking"):
            during.append(active_count())
            raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        work()
    assert during == [threads + 1]
    assert active_count() == threads


def test_inputs_of_one_file_name_are_told_apart(capsys, drawn):
    with progress_reporter(inputs=[Path("in/a/1.png"), Path("in/b/1.png"), Path("in/2.png")]) as reporter:
        (bars,) = drawn
        reporter.on_input("in/b/1.png", 0, 2)
        assert bars.tasks[1].description == "b/1.png"
        reporter.on_input("a/1.png, to learn from", 0, 2)
        assert bars.tasks[1].description == "a/1.png, to learn from"
        reporter.on_outcome(Outcome("in/a/1.png", "done", seconds=2.0))
        reporter.on_outcome(Outcome("in/2.png", "kept"))
        reporter.on_wait("in/b/1.png")
    assert capsys.readouterr().err.splitlines() == [
        "a/1.png: 2.0 s", "2.png: kept", "b/1.png: another process is at it",
    ]  # fmt: skip
