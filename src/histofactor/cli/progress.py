"""Progress on the terminal."""

from __future__ import annotations

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

from histofactor.pipeline.jobs import Outcome, Reporter


class _Rate(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.2f}/s" if task.speed else "")


@contextmanager
def progress_reporter() -> Iterator[Reporter]:
    """Yield a reporter that shows inputs and windows on stderr, and a line for every finished input."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, speed_estimate_period=120) as progress:
        inputs = progress.add_task("inputs", total=None)
        windows = progress.add_task("windows", total=None)
        begun = 0

        def on_input(path: Path, index: int, total: int) -> None:
            nonlocal begun
            begun = 0
            progress.update(inputs, completed=progress.tasks[0].completed, total=total)
            progress.reset(windows, description=path.name, total=None)

        def on_window(done: int, total: int) -> None:
            nonlocal begun
            if not begun and done:  # what an earlier run did says nothing about the rate
                progress.reset(windows, completed=done, total=total)
            begun += 1
            progress.update(windows, completed=done, total=total)

        def on_outcome(outcome: Outcome) -> None:
            progress.advance(inputs)
            told = f"{outcome.seconds:.1f} s" if outcome.status == "done" else outcome.status
            notes = "".join(f"\n  {note}" for note in outcome.notes)
            progress.console.print(f"{Path(outcome.input).name}: {told}{notes}", markup=False, highlight=False)

        def on_wait(path: Path) -> None:
            progress.console.print(f"{path.name}: another process is at it", markup=False, highlight=False)

        yield Reporter(on_input, on_window, on_outcome, on_wait)
