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
