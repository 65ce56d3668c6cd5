"""Progress on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from histofactor.pipeline.jobs import Outcome, Reporter


@contextmanager
def progress_reporter() -> Iterator[Reporter]:
    """Yield a reporter that shows inputs and windows on stderr, and a line for every finished input."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        inputs = progress.add_task("inputs", total=None)
        windows = progress.add_task("windows", total=None)

        def on_input(path: Path, index: int, total: int) -> None:
            progress.update(inputs, completed=index, total=total)
            progress.reset(windows, description=path.name, total=None)

        def on_window(done: int, total: int) -> None:
            progress.update(windows, completed=done, total=total)

        def on_outcome(outcome: Outcome) -> None:
            progress.advance(inputs)
            told = f"{outcome.seconds:.1f} s" if outcome.status == "done" else "failed"
            progress.console.print(f"{Path(outcome.input).name}: {told}", markup=False, highlight=False)

        yield Reporter(on_input, on_window, on_outcome)
