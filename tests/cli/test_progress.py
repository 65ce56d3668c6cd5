"""Progress on the terminal."""

from histofactor.cli.progress import progress_reporter
from histofactor.runs.outcome import Outcome


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
