"""Progress on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Event, Thread

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from histofactor.base.text import about, printable
from histofactor.records.urls import Input
from histofactor.runs.outcome import Outcome, Reporter
from histofactor.runs.pace import Pace, Standing, followed, told_end, told_time
from histofactor.runs.source import shown_names

_LINE_S = 60.0  # between two lines where there is no terminal to draw bars on


class _Words(ProgressColumn):
    """What is known of the pace, beside the bar of the inputs."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace

    def render(self, task: Task) -> Text:
        return Text(pace_words(self._pace.standing(), datetime.now()) if task.id == 0 else "")


def pace_words(standing: Standing, now: datetime) -> str:
    """Windows a second, when a run will end, and how many inputs failed, as far as each is known."""
    words = [] if standing.windows_per_s is None else [f"{standing.windows_per_s:.1f} windows/s"]
    if standing.left_s is not None:
        words.append(f"{told_time(standing.left_s)} left, until {told_end(standing.left_s, now)}")
    elif standing.inputs:
        words.append("end not known yet")
    if standing.failed:
        words.append(f"{standing.failed:,} failed")
    return ", ".join(words)


class _Bars:
    """Two bars on stderr: inputs, and the windows of the one at work."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._inputs = progress.add_task("inputs", total=None, unit="")
        self._windows = progress.add_task("windows", total=None, unit=" windows")
        self._begun = 0

    def on_input(self, name: str, total: int) -> None:
        start(self._progress)  # not before: a message about an option then stands alone
        self._begun = 0
        self._progress.update(self._inputs, completed=self._progress.tasks[0].completed, total=total)
        self._begin(name)

    def on_window(self, done: int, total: int) -> None:
        if not self._begun and done:  # what an earlier run did says nothing about the rate
            self._progress.reset(self._windows, completed=done, total=total)
        self._begun += 1
        self._progress.update(self._windows, completed=done, total=total)

    def on_stage(self, name: str) -> None:
        start(self._progress)
        self._begin(name)

    def _begin(self, name: str) -> None:
        self._progress.reset(self._windows, description=printable(name))
        self._progress.tasks[1].total = None  # which reset would take for what it was

    def on_outcome(self) -> None:
        self._progress.advance(self._inputs)

    def say(self, *lines: str) -> None:
        for line in lines:
            say(self._progress, line)


def start(progress: Progress) -> None:
    """Draw the bars, where there is a terminal to draw them on."""
    if progress.console.is_terminal:
        progress.start()


def say(progress: Progress, line: str) -> None:
    """Print a line above the bars; the terminal obeys nothing in it."""
    progress.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def shown(
    *columns: ProgressColumn,
    words: Callable[[], str] = lambda: "",
    wait: Callable[[float], bool] | None = None,
) -> Iterator[Progress]:
    """Yield bars on stderr, which ``start`` draws; without a terminal, a line a minute says what is at work.

    Args:
        columns: of the bars, after their names.
        words: what a line says besides, or "".
        wait: waits so many seconds and says whether the work is done; for tests.
    """
    console, over = Console(stderr=True), Event()
    progress = Progress(TextColumn("{task.description}", markup=False), *columns, console=console, transient=True)
    told = Thread(target=_tell, args=(progress, words, wait or over.wait), daemon=True)
    if not console.is_terminal:
        told.start()
    try:
        yield progress
    finally:
        over.set()
        if told.is_alive():
            told.join()
        if progress.live.is_started:
            progress.stop()


@contextmanager
def at_work(what: str) -> Iterator[None]:
    """Say what is at work while it takes long: a bar without an end, or a line a minute."""
    with shown(TimeElapsedColumn()) as progress:
        progress.add_task(what, total=None)
        start(progress)
        yield


def _tell(progress: Progress, words: Callable[[], str], wait: Callable[[float], bool]) -> None:
    """Print a line a minute until the work is done."""
    minutes = 0
    while not wait(_LINE_S):
        minutes += 1
        say(progress, f"after {minutes} min: {', '.join(filter(None, [*map(state, progress.tasks), words()]))}")


def state(task: Task) -> str:
    """How far a bar is, and in what."""
    if task.total is None:
        return task.description
    return f"{task.description}: {task.completed:,.0f} of {task.total:,.0f}{task.fields.get('unit', '')}"


@contextmanager
def _bars(pace: Pace) -> Iterator[_Bars]:
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), _Words(pace))
    with shown(*columns, words=lambda: pace_words(pace.standing(), datetime.now())) as progress:
        yield _Bars(progress)


@contextmanager
def progress_reporter(outcomes: list[Outcome] | None = None, inputs: Sequence[Input] = ()) -> Iterator[Reporter]:
    """Yield a reporter that shows inputs and windows on stderr, and a line for every finished input.

    Args:
        outcomes: every outcome is added to them, so that they can be told whatever comes later.
        inputs: which will be told of, so that those of one file name are told apart.
    """
    names = shown_names(inputs)

    def called(name: str) -> str:
        return names.get(name) or (name if inputs else Path(name).name)  # what is learned from is told apart already

    pace = Pace()
    with _bars(pace) as bars:

        def on_outcome(outcome: Outcome) -> None:
            bars.on_outcome()
            if outcomes is not None:
                outcomes.append(outcome)
            what = f"{outcome.seconds:.1f} s" if outcome.status == "done" else outcome.status
            bars.say(f"{called(outcome.input)}: {what}", *(f"  {note}" for note in outcome.notes))

        reporter = Reporter(
            lambda name, index, total: bars.on_input(called(name), total),
            bars.on_window,
            on_outcome,
            lambda name: bars.say(f"{called(name)}: another process is at it"),
            bars.say,
            bars.on_stage,
        )
        yield followed(reporter, pace)


@contextmanager
def learn_reporter() -> Iterator[Reporter]:
    """Yield a reporter that shows inputs and windows on stderr.

    Inputs that are left out, or of which something was assumed, get a line each.
    """
    pace = Pace()
    with _bars(pace) as bars:

        def on_outcome(outcome: Outcome) -> None:
            bars.on_outcome()
            if outcome.error:
                bars.say(f"left out {about(outcome.input, outcome.error)}")
            elif outcome.notes:
                bars.say(f"{outcome.input}:", *(f"  {note}" for note in outcome.notes))

        reporter = Reporter(
            lambda name, index, total: bars.on_input(name, total),
            bars.on_window,
            on_outcome,
            on_note=bars.say,
            on_stage=bars.on_stage,
        )
        yield followed(reporter, pace)
