"""Progress in a notebook: a line below the cell that is written anew in its place, without widgets."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from histofactor.base.text import about
from histofactor.export.notebook import plain
from histofactor.runs.outcome import Outcome, Reporter
from histofactor.runs.pace import Pace, followed, told_time

_EVERY_S = 0.25  # between two drawings
_LINES = 8  # of notes and of inputs that failed, that are shown


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = sys.modules.get("IPython")
    here = None if shell is None else shell.get_ipython()
    return getattr(here, "kernel", None) is not None


@contextmanager
def watched(reporter: Reporter | None) -> Iterator[Reporter]:
    """The reporter that is given; where none is, one that draws progress, in a notebook.

    Args:
        reporter: who is told; None, or one that tells nobody, for nobody.
    """
    if reporter not in {None, Reporter()} or not in_notebook():
        yield reporter or Reporter()
        return
    from IPython.display import display

    shown: Any = display({"text/html": ""}, display_id=True, raw=True)  # type: ignore[no-untyped-call]
    line = Line(lambda html: shown.update({"text/html": html}, raw=True))
    try:
        yield followed(line.reporter(), line.pace)
    finally:
        line.draw(at_once=True)


class Line:
    """What is told of a run, as HTML.

    Args:
        show: draws it.
        now: seconds of a clock; for tests.
    """

    def __init__(self, show: Callable[[str], Any], now: Callable[[], float] = time.monotonic) -> None:
        self.pace = Pace()
        self._show, self._now, self._drawn = show, now, -_EVERY_S
        self._name, self._inputs, self._windows = "", (0, 0), (0, 0)
        self._lines: list[str] = []

    def reporter(self) -> Reporter:
        """A reporter that this line shows."""
        return Reporter(
            on_input=self._on_input,
            on_window=self._on_window,
            on_outcome=self._on_outcome,
            on_wait=lambda name: self._say(f"{name}: another process is at it"),
            on_note=self._say,
            on_stage=self._on_stage,
        )

    def html(self) -> str:
        """The line, a bar within it, and notes below."""
        done, total = self._inputs
        windows = f"{self._windows[0]:,} of {self._windows[1]:,} windows" if self._windows[1] else ""
        left_s = self.pace.standing().left_s
        left = "" if left_s is None or done == total else f"{told_time(left_s)} left"
        share = 0.0 if not self._windows[1] else self._windows[0] / self._windows[1]
        bar = f'<progress max="1" value="{min((done + share) / total, 1.0) if total else 0:.3f}"></progress>'
        words = " · ".join(filter(None, [f"{done:,} of {total:,} inputs", plain(self._name), windows, left]))
        notes = "".join(f"<br><small>{plain(line)}</small>" for line in self._lines[-_LINES:])
        return f"<div>{bar} {words}{notes}</div>"

    def draw(self, *, at_once: bool = False) -> None:
        """Draw it, unless it was a moment ago."""
        if at_once or self._now() - self._drawn >= _EVERY_S:
            self._drawn = self._now()
            self._show(self.html())

    def _on_input(self, name: str, _index: int, total: int) -> None:
        self._name, self._windows = name.rpartition("/")[2], (0, 0)
        self._inputs = (self._inputs[0], total)
        self.draw()

    def _on_window(self, done: int, total: int) -> None:
        self._windows = (done, total)
        self.draw()

    def _on_stage(self, name: str) -> None:
        self._name, self._windows = name, (0, 0)
        self.draw()

    def _on_outcome(self, outcome: Outcome) -> None:
        self._inputs, self._windows = (self._inputs[0] + 1, max(self._inputs[1], self._inputs[0] + 1)), (0, 0)
        self._name = ""
        if outcome.error:
            self._lines.append(f"{outcome.status}: {about(outcome.input, outcome.error)}")
        self.draw()

    def _say(self, sentence: str) -> None:
        self._lines.append(sentence)
        self.draw()
