"""Which task comes next, and how often one may end its worker: what is decided without a cluster."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence

from histofactor.errors import ImageError
from histofactor.records.urls import Input, Url
from histofactor.slides.slide_parts import files_of

ATTEMPTS = 2  # so often a task may end its worker
MOST_LOST = 10  # so often it may be lost with a machine, which is not its fault
_POLL_S = 1.0  # how often a task that another process has is asked for


class Queue:
    """The tasks of a job that no worker has, by their places in the job: the largest first.

    Args:
        paths: of all tasks.
        homes: the worker that knows a path from an earlier job.
    """

    def __init__(self, paths: Sequence[Input], homes: Mapping[Input, str]) -> None:
        self._paths, self._homes = paths, homes
        sizes = list(map(size_of, paths))
        self._free = deque(sorted(range(len(paths)), key=lambda index: -sizes[index]))
        self._elsewhere: dict[int, float] = {}  # when each is asked for again
        self._late: deque[int] = deque()  # those that ended a worker come when all others have begun
        self._ended = [0] * len(paths)
        self._lost = [0] * len(paths)
        self.open = set(range(len(paths)))

    def __len__(self) -> int:
        return len(self._free) + len(self._late)

    def take(self, worker: str, workers: Collection[str], *, ahead: bool = False) -> int | None:
        """The next task for a worker: one that it knows, else one that no other knows, else any; None if there is none.

        Args:
            worker: who asks.
            workers: all that there are.
            ahead: it is at another one: the smallest task, which can wait for that.
        """
        index = self._best(worker, workers, reversed(self._free) if ahead else self._free)
        if index is not None:
            self._free.remove(index)
            return index
        if ahead:
            return None
        if self._late:
            return self._late.popleft()
        now = time.monotonic()
        due = next((index for index, when in self._elsewhere.items() if when <= now), None)
        if due is not None:
            del self._elsewhere[due]
        return due

    def done(self, index: int) -> None:
        """A task has its result."""
        self.open.discard(index)

    def elsewhere(self, index: int) -> None:
        """Another process has a task: it is asked for again later."""
        self._elsewhere[index] = time.monotonic() + _POLL_S

    def back(self, index: int) -> None:
        """A task comes first again: its worker ended before it began."""
        self._free.appendleft(index)

    def lost(self, index: int) -> bool:
        """A task was lost with a machine; whether it may be tried again."""
        self._lost[index] += 1
        if self._lost[index] < MOST_LOST:
            self._free.appendleft(index)
            return True
        return False

    def ended(self, index: int) -> bool:
        """A task ended its worker; whether it may be tried again."""
        self._ended[index] += 1
        if self._ended[index] < ATTEMPTS:
            self._late.append(index)
            return True
        return False

    def _best(self, worker: str, workers: Collection[str], free: Iterable[int]) -> int | None:
        """The first task that is this worker's own, else of nobody, else any."""
        first = strange = None
        for index in free:
            home = self._homes.get(self._paths[index])
            if home == worker:
                return index
            first = index if first is None else first
            if strange is None and home not in workers:
                strange = index
                if not self._homes:
                    break
        return first if strange is None else strange


def size_of(path: Input) -> int:
    """Bytes of the files of an input; 0 where they cannot be read, which whoever opens it tells, or are not known."""
    if isinstance(path, Url):
        return sum(file.size or 0 for file in path.files)
    try:
        return sum(file.stat().st_size for file in files_of(path))
    except (ImageError, OSError):
        return 0
