"""One worker of a cluster as the process that leads sees it: an actor, what it is at, and what it said last."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from histofactor.runs.execute.ray_fit import Hello
from histofactor.runs.execute.ray_layout import Layout
from histofactor.runs.execute.ray_worker import Told, end_process, last_words

_NUMBERS = count(1)


@dataclass(slots=True)
class Flight:
    """A task that a worker has.

    Attributes:
        index: its place in the job.
        told: yields what the worker tells of it.
        since: when it became the first of its worker's, by the monotonic clock.
        begun: whether the worker has begun it.
        windows: done, and in all.
        aid: whether it is help with a task that another worker has.
    """

    index: int
    told: Any
    since: float
    aid: bool = False
    begun: bool = False
    windows: tuple[int, int] = (0, 0)


class Hand:
    """A worker, from its first word to its last.

    Args:
        layout: what it gets of its machine.
        folder: the working folder that relative paths are meant from.
        seen: files and folders that it must see.
    """

    def __init__(self, layout: Layout, folder: Path, seen: Sequence[str]) -> None:
        self.name = f"worker {next(_NUMBERS)}"
        self.flights: deque[Flight] = deque()
        self.hello: Hello | None = None
        self.ready = False
        self.cause = ""  # why it was ended from here
        limits = {"max_restarts": 0, "max_task_retries": 0, "num_cpus": layout.cores, "num_gpus": layout.gpus}
        actor = ray.remote(**limits, scheduling_strategy="SPREAD")(make_worker())
        self._actor, self._layout = actor.remote(), layout
        self._waits: Any = None
        self.greet(folder, seen)

    def greet(self, folder: Path, seen: Sequence[str]) -> None:
        """Ask who it is, and what it sees."""
        self.hello, self.ready = None, False
        self._waits = self._actor.hello.remote(str(folder), list(seen), self._layout.cores)

    @property
    def waits(self) -> Any:
        """What is waited for of it next; None where it has nothing to do."""
        return self.flights[0].told if self.flights else self._waits

    def meet(self) -> Hello:
        """Who it is, once it has said hello."""
        self.hello = Hello(**ray.get(self._waits))
        self._waits = None
        return self.hello

    def settle(self, memory_gb: float | None) -> None:
        """Let it settle, once it is known to be well."""
        self._actor.settle.remote(memory_gb)

    def begin(self, job: bytes) -> None:
        """Let it load what all tasks of a job need."""
        self.ready = False
        self._waits = self._actor.begin.remote(job)

    def begun(self) -> Exception | None:
        """What went wrong as it loaded, once that is over; None where nothing did."""
        error: Exception | None = ray.get(self._waits)
        self._waits, self.ready = None, error is None
        return error

    def give(self, index: int, task: bytes, *, aid: bool = False) -> None:
        """Give it a task, or help with one that another worker has."""
        told = self._actor.do.options(num_returns="streaming").remote(index, task)
        self.flights.append(Flight(index, told, time.monotonic(), aid))

    def told(self) -> tuple[Flight, Told]:
        """What it told of its first task; one that is over is its own no more."""
        flight = self.flights[0]
        told: Told = ray.get(next(flight.told))
        flight.windows = told.windows
        if told.ended:
            self.flights.popleft()
            if self.flights:
                self.flights[0].since = time.monotonic()
        return flight, told

    def kill(self) -> None:
        """End it at once, whatever it is at."""
        ray.kill(self._actor, no_restart=True)

    def give_up(self, cause: str) -> None:
        """End it, who may not hear, because of what it is at."""
        self.cause = cause
        self.kill()
        if self.hello is not None:
            _on(self.hello.node, end_process, self.hello.pid)

    def words(self) -> Any:
        """What its last words are asked of."""
        return _on(self.hello.node, last_words, self.hello.said) if self.hello is not None else None


def make_worker() -> type:
    """The class of the actors.

    It travels whole, so that a machine with another version of histofactor, or without it, can say so.
    """

    class Worker:
        desk: Any = None

        def hello(self, folder: str, seen: list[str], threads: int) -> dict[str, Any]:
            """Who this is, and what of the files and folders that are needed it cannot see."""
            import importlib.metadata
            import platform
            import socket
            from pathlib import Path

            import ray

            if Path(folder).is_dir():
                os.chdir(folder)
            # read by PyTorch, Numba and BLAS as they are loaded, which is later
            for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
                os.environ[name] = str(threads)
            try:
                import histofactor

                version = histofactor.__version__
            except ImportError:
                version = ""
            try:
                installed = importlib.metadata.version("torch")
            except importlib.metadata.PackageNotFoundError:
                installed = ""
            try:
                said = str(Path("/proc/self/fd/2").readlink())
            except OSError:  # not on Linux
                said = ""
            return {
                "node": ray.get_runtime_context().get_node_id(),
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "said": said,
                "versions": {"histofactor": version, "torch": installed, "python": platform.python_version()},
                "unseen": [path for path in seen if not Path(path).exists()],
            }

        def settle(self, memory_gb: float | None) -> None:
            """Begin to work here, once all is known to be well."""
            from histofactor.runs.execute.ray_worker import Desk

            if self.desk is None:
                self.desk = Desk(memory_gb)

        def begin(self, job: bytes) -> Any:
            """As ``Desk.begin``."""
            return self.desk.begin(job)

        def do(self, index: int, task: bytes) -> Any:
            """As ``Desk.do``."""
            yield from self.desk.do(index, task)

    return Worker


def words_of(asked: Any) -> str | None:
    """Last words that were asked for; None where the machine is gone."""
    try:
        return str(ray.get(asked, timeout=0))
    except GetTimeoutError:
        return ""
    except RayError:
        return None


def is_preempted(error: BaseException) -> bool:
    """Whether a worker was taken away by whoever runs the cluster."""
    return isinstance(error, RayActorError) and bool(error.preempted)


def _on(node: str, work: Any, *given: Any) -> Any:
    """Do something small on a machine."""
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=there)(work).remote(*given)
