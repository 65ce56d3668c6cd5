"""How long each stage takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


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
            took = (time.perf_counter() - started) / workers
            with self._lock:
                self.seconds[stage] = self.seconds.get(stage, 0.0) + took
