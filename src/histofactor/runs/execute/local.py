"""Tasks in this process, one after another."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from histofactor.base.clock import Watch
from histofactor.runs.execute.engine import Job, Result, Task
from histofactor.runs.outcome import Observer

_POLL_S = 1.0  # how often an input that another process works on is looked at


class LocalWorkers:
    """The one worker that this process is; see ``engine.Workers``."""

    def __init__(self) -> None:
        self.number = 1
        self.shared: dict[str, Any] = {}

    def execute(
        self, job: Job[Task, Any, Result], tasks: Sequence[Task], observer: Observer
    ) -> Iterator[tuple[Task, Result]]:
        """As ``engine.Workers`` says; tasks begin in the order that they are given in."""
        waiting, elsewhere = deque(range(len(tasks))), set[int]()
        reporter, watch = observer.reporter, Watch(observer.reporter.on_window, observer.clock)
        state = job.start(self.shared)
        while waiting:
            index = waiting.popleft()
            task = tasks[index]
            if index in elsewhere:
                time.sleep(_POLL_S)
            else:
                reporter.on_input(task.name, index, len(tasks))
            result = job.do(state, task, watch)
            if result is not None:
                yield task, result
                continue
            if index not in elsewhere:
                reporter.on_wait(task.name)
            elsewhere.add(index)
            waiting.append(index)
