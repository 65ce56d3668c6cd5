"""How fast a run goes and when it will end; what is not known is not told."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from histofactor.runs.outcome import Outcome, Reporter, told_first

_OVER_S = 60.0  # the rate of windows is that of the last minute
_LEAST_S = 10.0  # of windows, before their rate is told
_LEAST_INPUTS = 3  # that were worked on, before the end of several is told
_OVERDUE = 2  # times as long as inputs took, after which the end is not known


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a run is.

    Attributes:
        inputs: so many it has, 0 where that is not known yet.
        ended: so many of them have their outcome.
        kept, failed: of these, those that an earlier run had finished, and those that failed.
        stage: what is at work when it is no input, or "".
        input: what is worked on, or "".
        windows, of: of that input, done and in all.
        windows_per_s: in the last minute; None where too few were seen.
        left_s: seconds until the end; None where too little is known: of several inputs, until three were worked on.
    """

    inputs: int = 0
    ended: int = 0
    kept: int = 0
    failed: int = 0
    stage: str = ""
    input: str = ""
    windows: int = 0
    of: int = 0
    windows_per_s: float | None = None
    left_s: float | None = None


class Pace:
    """Follows a run by what its reporter is told; from any number of threads.

    Args:
        now: seconds of a clock that is never set.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._lock = now, Lock()
        self._inputs, self._ended, self._kept, self._failed = 0, 0, 0, 0
        self._stage, self._input, self._windows, self._of = "", "", 0, 0
        self._begun: float | None = None  # when the first input after the last stage was begun
        self._last = 0.0  # when the last outcome came
        self._steps = deque[tuple[float, int]]()  # when windows were done, and how many

    def on_run(self, inputs: int) -> None:
        """So many inputs are worked on from now on."""
        with self._lock:
            self._inputs, self._ended, self._kept, self._failed = inputs, 0, 0, 0
            self._begun = None

    def on_stage(self, name: str) -> None:
        """Something else than an input is at work."""
        with self._lock:
            self._stage, self._input, self._windows, self._of, self._begun = name, "", 0, 0, None
            self._steps.clear()

    def on_input(self, name: str) -> None:
        """An input is begun."""
        with self._lock:
            self._stage, self._input, self._windows, self._of = "", name, 0, 0
            self._begun = self._now() if self._begun is None else self._begun

    def on_window(self, done: int, total: int) -> None:
        """Windows of an input are done; what the first call tells was done by an earlier run."""
        with self._lock:
            if self._of and done > self._windows:
                self._steps.append((self._now(), done - self._windows))
            elif not self._steps:
                self._steps.append((self._now(), 0))
            self._windows, self._of = done, total

    def on_outcome(self, outcome: Outcome) -> None:
        """An input has its outcome."""
        with self._lock:
            self._ended += 1
            self._kept += outcome.status == "kept"
            self._failed += outcome.status == "failed"
            self._last = self._now()

    def standing(self) -> Standing:
        """How far the run is now."""
        with self._lock:
            rate = self._rate()
            return Standing(
                inputs=self._inputs,
                ended=self._ended,
                kept=self._kept,
                failed=self._failed,
                stage=self._stage,
                input=self._input,
                windows=self._windows,
                of=self._of,
                windows_per_s=rate,
                left_s=self._left_s(rate),
            )

    def _rate(self) -> float | None:
        """Windows a second."""
        now = self._now()
        while len(self._steps) > 1 and now - self._steps[1][0] > _OVER_S:
            self._steps.popleft()
        if not self._steps or now - self._steps[0][0] < _LEAST_S:
            return None
        return sum(count for _, count in list(self._steps)[1:]) / (now - self._steps[0][0])

    def _left_s(self, rate: float | None) -> float | None:
        """Seconds until the end: of the last input by its windows, of several by what earlier ones took."""
        left, worked = self._inputs - self._ended, self._ended - self._kept
        if left <= 0 or self._begun is None:
            return None
        of_this = (self._of - self._windows) / rate if rate and self._of else None
        if left == 1:
            return of_this
        if worked < _LEAST_INPUTS:
            return None
        each, since = (self._last - self._begun) / worked, self._now() - self._last
        if of_this is None and since > _OVERDUE * each:
            return None  # one takes far longer than those before
        return max(left * each - since, (left - 1) * each + (of_this or 0.0))


def followed(reporter: Reporter, pace: Pace) -> Reporter:
    """A reporter that tells a pace first, and then another reporter."""
    telling = Reporter(
        on_run=lambda name, inputs: pace.on_run(inputs),
        on_input=lambda name, index, total: pace.on_input(name),
        on_window=pace.on_window,
        on_outcome=pace.on_outcome,
        on_stage=pace.on_stage,
    )
    return told_first(telling, reporter)


def told_end(seconds: float, now: datetime) -> str:
    """When something ends that takes so many seconds from now on: the time of day, with the day where it is another."""
    end = now + timedelta(seconds=seconds)
    return f"{end:%H:%M}" if end.date() == now.date() else f"{end:%a %d %b %H:%M}"


def told_time(seconds: float) -> str:
    """How long something takes, in words, as precisely as an estimate bears: ``3 min``, ``2.5 h``, ``4 days``."""
    for unit, size in (("days", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            found = seconds / size
            return f"{found:.1f} {unit}" if found < 10 and unit != "min" else f"{found:.0f} {unit}"
    return f"{seconds:.0f} s"
