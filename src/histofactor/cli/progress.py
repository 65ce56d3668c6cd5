"""Progress on the terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from histofactor.base.text import printable
from histofactor.runs.outcome import Outcome, Reporter

_LINE_S = 60.0  # between two lines where there is no terminal to draw bars on


class _Rate(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.2f}/s" if task.speed else "")


class _Bars:
    """Two bars on stderr: inputs, and the windows of the one at work."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._inputs = progress.add_task("inputs", total=None)
        self._windows = progress.add_task("windows", total=None)
        self._begun, self._name, self._last_line = 0, "", time.monotonic()

    def on_input(self, name: str, total: int) -> None:
        self._progress.start()  # not before: a message about an option then stands alone
        self._begun, self._name = 0, name
        self._progress.update(self._inputs, completed=self._progress.tasks[0].completed, total=total)
        self._progress.reset(self._windows, description=printable(name), total=None)

    def on_window(self, done: int, total: int) -> None:
        if not self._begun and done:  # what an earlier run did says nothing about the rate
            self._progress.reset(self._windows, completed=done, total=total)
        self._begun += 1
        self._progress.update(self._windows, completed=done, total=total)
        now = time.monotonic()
        if not self._progress.console.is_terminal and now - self._last_line >= _LINE_S:
            self._last_line = now
            self.say(f"{self._name}: {done} of {total} windows")

    def on_outcome(self) -> None:
        self._progress.advance(self._inputs)

    def say(self, *lines: str) -> None:
        for line in lines:
            self._progress.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _bars() -> Iterator[_Bars]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    progress = Progress(*columns, console=console, transient=True, speed_estimate_period=120)
    try:
        yield _Bars(progress)
    finally:
        if progress.live.is_started:
            progress.stop()


@contextmanager
def progress_reporter(outcomes: list[Outcome] | None = None) -> Iterator[Reporter]:
    """Yield a reporter that shows inputs and windows on stderr, and a line for every finished input.

    Args:
        outcomes: every outcome is added to them, so that they can be told whatever comes later.
    """
    with _bars() as bars:

        def on_outcome(outcome: Outcome) -> None:
            bars.on_outcome()
            if outcomes is not None:
                outcomes.append(outcome)
            what = f"{outcome.seconds:.1f} s" if outcome.status == "done" else outcome.status
            bars.say(f"{Path(outcome.input).name}: {what}", *(f"  {note}" for note in outcome.notes))

        yield Reporter(
            lambda name, index, total: bars.on_input(Path(name).name, total),
            bars.on_window,
            on_outcome,
            lambda name: bars.say(f"{Path(name).name}: another process is at it"),
            bars.say,
        )


@contextmanager
def learn_reporter() -> Iterator[Reporter]:
    """Yield a reporter that shows inputs and windows on stderr.

    Inputs that are left out, or of which something was assumed, get a line each.
    """
    with _bars() as bars:

        def on_outcome(outcome: Outcome) -> None:
            bars.on_outcome()
            if outcome.error:
                bars.say(f"left out {outcome.input}: {outcome.error}")
            elif outcome.notes:
                bars.say(f"{outcome.input}:", *(f"  {note}" for note in outcome.notes))

        yield Reporter(
            lambda name, index, total: bars.on_input(name, total),
            bars.on_window,
            on_outcome,
            on_note=bars.say,
        )
