"""What runs in a worker of Ray: it loads once, takes tasks and tells how they go; nothing large leaves it."""

from __future__ import annotations

import os
import pickle
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from histofactor.base.clock import Clock, Watch

OWN_WORDS = "histofactor: "  # how a worker begins its own last words
TASK_MARK = ":task:"  # before what a worker says of a task
_TELL_S = 1.0  # at most so often a worker tells how a task goes
_LOOK_S = 0.2  # how often it looks at its memory, and whether its machine's Ray is there
_GB = 10**9
_ENDS = 70  # exit code of a worker that ends itself


@dataclass(frozen=True, slots=True)
class Told:
    """What a worker tells of the task it is at.

    Attributes:
        windows: done, and in all.
        ended: whether it is over.
        result: what came of it.
        error: what ended the job instead.
        seconds: by stage, what it took.
    """

    windows: tuple[int, int] = (0, 0)
    ended: bool = False
    result: Any = None
    error: Exception | None = None
    seconds: dict[str, float] = field(default_factory=dict)


class Desk:
    """Where a worker works, from one job to the next.

    Args:
        memory_gb: 10⁹ bytes of memory beyond which it ends itself, or None.
    """

    def __init__(self, memory_gb: float | None) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._shared: dict[str, Any] = {}
        self._job: Any = None
        self._state: Any = None
        Thread(target=_look_after, args=(memory_gb,), daemon=True).start()

    def begin(self, job: bytes) -> Exception | None:
        """Load what all tasks of a job need; returns what went wrong."""

        def load() -> None:
            self._state = None  # what the job before had loaded goes, but for what is shared
            self._job = pickle.loads(job)
            self._state = self._job.start(self._shared)

        return _failure(self._pool.submit(load))

    def do(self, index: int, task: bytes) -> Iterator[Told]:
        """Work on a task; yields at its beginning, then how it goes, and last what came of it."""
        os.write(2, f"\n{TASK_MARK}{index}\n".encode())
        windows, told, clock = [(0, 0)], Told(), Clock()
        yield told
        watch = Watch(lambda done, total: windows.__setitem__(0, (done, total)), clock)
        working = self._pool.submit(lambda: self._job.do(self._state, pickle.loads(task), watch))
        while not wait([working], _TELL_S).done:
            if windows[0] != told.windows:
                told = Told(windows[0])
                yield told
        error = _failure(working)
        result = None if error is not None else working.result()
        yield Told(windows[0], ended=True, result=result, error=error, seconds=clock.seconds)


def last_words(path: str, most: int = 2**14) -> str:
    """What a worker that has ended said last of the task that it was at, in one line; "" where it said nothing."""
    try:
        with Path(path).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - most))
            said = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in said.rpartition(TASK_MARK)[2].splitlines()[said.count(TASK_MARK) > 0 :]]
    lines = [line for line in lines if line and not line.startswith(":")]
    for mark in (OWN_WORDS, "Fatal Python error"):
        if marked := [line for line in lines if line.startswith(mark)]:
            return marked[-1].removeprefix(OWN_WORDS)
    return "; ".join(lines[-3:])[-400:]


def end_process(pid: int) -> None:
    """End a worker that does not hear."""
    with suppress(ProcessLookupError):
        os.kill(pid, 9)


def _failure(working: Future[Any]) -> Exception | None:
    """What went wrong, in a form that travels; None where nothing did."""
    error = working.exception()
    if error is None or not isinstance(error, Exception):
        if error is not None:
            raise error
        return None
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - whatever it is made of, it must be told
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


def _look_after(memory_gb: float | None, ends: Callable[[int], object] = os._exit) -> None:
    """End this process where it takes too much memory, or where Ray on its machine has ended."""
    import psutil

    process, parent = psutil.Process(), os.getppid()
    while os.getppid() == parent:
        if memory_gb is not None and (taken := process.memory_info().rss / _GB) > memory_gb:
            said = f"it took {taken:.2g} GB of memory, and --memory-per-worker allows {memory_gb:g}"
            os.write(2, f"{OWN_WORDS}{said}\n".encode())
            break
        time.sleep(_LOOK_S)
    sys.stderr.flush()
    ends(_ENDS)
