"""How long each stage takes, and who is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

Progress = Callable[[int, int], None]


class Clock:
    """Adds up wall time by stage, from any number of threads.

    Attributes:
        seconds: wall time by stage, in the order in which stages first ended.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = Lock()

    @contextmanager
    def __call__(self, stage: str, workers: int = 1) -> Iterator[None]:
        """Count what happens inside towards a stage; where several workers are at it, each counts its part."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, (time.perf_counter() - started) / workers)

    def add(self, stage: str, seconds: float) -> None:
        """Count seconds towards a stage."""
        with self._lock:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told how the work on one input goes.

    Attributes:
        on_window: called with (windows done, windows in all).
        clock: told how long each stage takes.
    """

    on_window: Progress = lambda done, total: None
    clock: Clock = field(default_factory=Clock)
