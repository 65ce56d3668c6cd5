"""What became of one input, who is told, and the one boundary that errors of an input do not cross."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from histofactor.base.clock import Clock, Progress
from histofactor.errors import HistofactorError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one input, as told in its ``status.json``.

    Attributes:
        input: the path as given, or the name of what is fetched.
        status: ``done``; ``kept``, where an earlier run had done the same; ``damaged``, where it is done but for parts
            that cannot be read; or ``failed``.
        folder: folder of its results inside the output folder, "" where it has none.
        seconds: wall time.
        error: one message, "" where it is done.
        traceback: of errors that histofactor did not foresee, else "".
        notes: what was assumed or could not be done as asked, one sentence each.
    """

    input: str
    status: str
    folder: str = ""
    seconds: float = 0.0
    error: str = ""
    traceback: str = ""
    notes: tuple[str, ...] = ()


Some = TypeVar("Some", bound=Outcome | None)


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who is told of progress over many inputs.

    Attributes:
        on_input: called with (input, index, number of inputs) before each input.
        on_window: called with (windows done, windows in all) while it runs.
        on_outcome: called with the outcome after each input.
        on_wait: called with an input that another process is working on.
        on_note: called with a sentence that concerns no single input.
        on_stage: called with what is at work when it is no input.
        on_run: called with (name of the run, number of inputs that this process works on) before the first of them.
    """

    on_input: Callable[[str, int, int], None] = lambda name, index, total: None
    on_window: Progress = lambda done, total: None
    on_outcome: Callable[[Outcome], None] = lambda outcome: None
    on_wait: Callable[[str], None] = lambda name: None
    on_note: Callable[[str], None] = lambda sentence: None
    on_stage: Callable[[str], None] = lambda name: None
    on_run: Callable[[str, int], None] = lambda name, inputs: None


def told_first(first: Reporter, then: Reporter) -> Reporter:
    """A reporter that tells one reporter everything, and then another."""

    def both(name: str) -> Callable[..., None]:
        tell, tell_next = getattr(first, name), getattr(then, name)

        def told(*given: Any) -> None:
            tell(*given)
            tell_next(*given)

        return told

    return Reporter(**{one.name: both(one.name) for one in fields(Reporter)})


@dataclass(frozen=True, slots=True)
class Observer:
    """Who is told of a run: of its inputs, and how long each stage took."""

    reporter: Reporter = field(default_factory=Reporter)
    clock: Clock = field(default_factory=Clock)


def attempt(name: str, work: Callable[[], Some]) -> Some | Outcome:
    """Work on one input; whatever goes wrong becomes its outcome, so that the other inputs go on.

    Args:
        name: the input, as given.
        work: returns its outcome, to which the wall time is added; or None where another process has the input.
    """
    started = time.perf_counter()
    outcome: Some | Outcome
    try:
        outcome = work()
    except Exception as error:  # noqa: BLE001 - the one boundary: the other inputs go on, the cause is kept
        foreseen = isinstance(error, HistofactorError)
        message = str(error) if foreseen else f"{type(error).__name__}: {error}"
        outcome = Outcome(name, "failed", error=message, traceback="" if foreseen else traceback.format_exc())
    if outcome is None or outcome.status == "kept":
        return outcome
    return replace(outcome, seconds=round(time.perf_counter() - started, 3))
