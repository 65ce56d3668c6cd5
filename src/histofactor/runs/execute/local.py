"""Tasks in this process, one after another."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from histofactor.runs.outcome import Outcome, Reporter
from histofactor.runs.task import Task

_POLL_S = 1.0  # how often an input that another process works on is looked at


def execute(tasks: Sequence[Task], work: Callable[[Task], Outcome | None], reporter: Reporter) -> Iterator[Outcome]:
    """Work on every task; those that another process has are waited for at the end.

    Args:
        tasks: what is to be done.
        work: from a task to its outcome, or None where another process has it.
        reporter: told of every task that begins or waits.

    Yields:
        Outcomes as they come.
    """
    waiting, elsewhere = deque(enumerate(tasks)), set[int]()
    while waiting:
        index, task = waiting.popleft()
        if index in elsewhere:
            time.sleep(_POLL_S)
        else:
            reporter.on_input(str(task.path), index, len(tasks))
        outcome = work(task)
        if outcome is not None:
            yield outcome
            continue
        if index not in elsewhere:
            reporter.on_wait(str(task.path))
        elsewhere.add(index)
        waiting.append((index, task))
