"""A log of a run for machines: one JSON object a line, each with its time, host, process, run and input.

Lines are appended whole and none is held back. Of several processes on machines that share a disk each has a file of
its own, for no network disk appends for two of them at a time.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from histofactor.base.files import output_error
from histofactor.base.owner import me
from histofactor.runs.outcome import Outcome, Reporter, told_first
from histofactor.runs.pace import Pace, followed

_PROGRESS_S = 10.0  # between two lines of progress, at least


class EventLog:
    """Appends events to a file.

    Args:
        path: of the file; made with its folder where it is missing.
        on_fault: called once with a sentence where a line cannot be written; the run goes on.

    Raises:
        OutputError: the file cannot be opened.
    """

    def __init__(self, path: Path, on_fault: Callable[[str], None]) -> None:
        self._path, self._on_fault, self._lock = path, on_fault, Lock()
        self._run, self._torn, self._told = "", False, False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        except OSError as error:
            raise output_error(path, error) from error

    def on_run(self, name: str) -> None:
        """The name of the run, for all lines from now on."""
        self._run = name

    def tell(self, event: str, input_: str = "", **more: Any) -> None:
        """Append an event.

        Args:
            event: what happened.
            input_: of which input, as given, or "".
            more: JSON types.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        owner = me()
        line = {"time": now, "event": event, "host": owner.host, "pid": owner.pid, "run": self._run, "input": input_}
        with self._lock:
            self._write(json.dumps({**line, **more}).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, line: bytes) -> None:
        line = b"\n" + line if self._torn else line  # what was cut short ends there
        try:
            written = os.write(self._file, line)
        except OSError as error:
            self._fail(error.strerror or str(error))
            return
        self._torn = written < len(line)
        if self._torn:
            self._fail("only a part of a line was written")

    def _fail(self, why: str) -> None:
        if not self._told:
            self._told = True
            self._on_fault(f"lines are missing in {self._path}: {why}")


@contextmanager
def logged(path: Path | None, reporter: Reporter, arguments: Sequence[str]) -> Iterator[Reporter]:
    """Log what a reporter is told, until the block ends.

    Args:
        path: of the log; None logs nothing.
        reporter: who else is told.
        arguments: that the run was called with.

    Yields:
        The reporter to tell.

    Raises:
        OutputError: the log cannot be opened.
    """
    if path is None:
        yield reporter
        return
    log, ended = EventLog(path, reporter.on_note), {"how": "done", "error": ""}
    try:
        log.tell("begun", arguments=list(arguments))
        yield _logging(log, reporter)
    except BaseException as error:
        how = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        ended = {"how": how, "error": str(error)}
        raise
    finally:
        log.tell("ended", **ended)
        log.close()


def _logging(log: EventLog, reporter: Reporter) -> Reporter:
    """A reporter that tells a log first, and then another reporter."""
    pace, last = Pace(), [time.monotonic()]

    def on_run(name: str, inputs: int) -> None:
        log.on_run(name)
        log.tell("run", inputs=inputs)

    def on_window(done: int, total: int) -> None:
        if time.monotonic() - last[0] >= _PROGRESS_S:
            last[0] = time.monotonic()
            standing = asdict(pace.standing())
            log.tell("progress", standing.pop("input"), **standing)

    def on_outcome(outcome: Outcome) -> None:
        fields = asdict(outcome)
        log.tell("outcome", fields.pop("input"), **fields)

    telling = Reporter(
        on_run=on_run,
        on_input=lambda name, index, total: log.tell("input", name, index=index, inputs=total),
        on_window=on_window,
        on_outcome=on_outcome,
        on_wait=lambda name: log.tell("waiting", name),
        on_note=lambda sentence: log.tell("note", text=sentence),
        on_stage=lambda name: log.tell("stage", text=name),
    )
    return followed(told_first(telling, reporter), pace)
