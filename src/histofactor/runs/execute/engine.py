"""What an engine is asked for, what it is given to do, and what it promises; the same for every engine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

from histofactor.base.clock import Watch
from histofactor.errors import OptionError
from histofactor.records.urls import Input
from histofactor.runs.outcome import Observer

ENGINES = ("local", "ray")


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Where inputs are worked on.

    Attributes:
        name: ``local``, one after another in this process; or ``ray``, by workers on this machine or a cluster.
        address: of a cluster of Ray, ``auto`` or HOST:PORT; None starts one on this machine.
        workers: so many inputs are worked on at a time; default one a GPU, or as the cores bear.
        gpus_per_worker: GPUs, or the share of one, that a worker has, 0 for none; default one where there are any.
        slide_timeout_s: seconds after which an input is given up, or None.
        memory_gb: 10⁹ bytes that a worker may take, or None.
    """

    name: str = "local"
    address: str | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None
    slide_timeout_s: float | None = None
    memory_gb: float | None = None


LOCAL = Engine()
_OPTIONS = {
    "address": "--address",
    "workers": "--workers",
    "gpus_per_worker": "--gpus-per-worker",
    "slide_timeout_s": "--slide-timeout",
    "memory_gb": "--memory-per-worker",
}


class Item(Protocol):
    """Anything that can be worked on."""

    @property
    def name(self) -> str:
        """What it is called to whoever watches; no other task of a job is called so."""

    @property
    def path(self) -> Input:
        """The file or folder that is worked on: every worker must see it."""


Task = TypeVar("Task", bound=Item)
Input_contra = TypeVar("Input_contra", bound=Item, contravariant=True)
State = TypeVar("State")
Result = TypeVar("Result")
Made_co = TypeVar("Made_co", covariant=True)


class Job(Protocol[Input_contra, State, Made_co]):
    """What is done with every task; it and the tasks and results are picklable, for they may go to other processes."""

    @property
    def out(self) -> Path | None:
        """The folder that results go to, which every worker must see; None where they are only returned."""

    def start(self, shared: dict[str, Any]) -> State:
        """Load what all tasks need, once a worker.

        Args:
            shared: what this worker keeps from one job to the next, such as an encoder.

        Raises:
            HistofactorError: it cannot be had: the job ends with it.
        """

    def do(self, state: State, task: Input_contra, watch: Watch) -> Made_co | None:
        """Work on a task; None where another process has it, which is then asked for again later.

        What it raises ends the job.
        """

    def aid(self, task: Input_contra) -> Any | None:
        """What an idle worker may do for a task that another is at, a task too; None where there is nothing.

        What comes of it is not told, and nothing depends on it: whoever is at the task itself meets what is wrong.
        """

    def lost(self, task: Input_contra, cause: str) -> Made_co:
        """What became of a task that ended its worker; called in the process that leads."""


class Workers(Protocol):
    """Workers that are ready, and stay so from one job to the next.

    Attributes:
        number: so many tasks are worked on at a time.
        shared: what the worker in this process keeps; those elsewhere have their own.
    """

    number: int
    shared: dict[str, Any]

    def execute(
        self, job: Job[Task, Any, Result], tasks: Sequence[Task], observer: Observer
    ) -> Iterator[tuple[Task, Result]]:
        """Work on every task; those that another process has are waited for at the end.

        Args:
            job: what is done.
            tasks: each of another name; one is asked for by its place as it begins, for it may be made by then.
            observer: told of every task that begins or waits, and of the time that stages took.

        Yields:
            Tasks and what came of them, as they end.

        Raises:
            HistofactorError: the job cannot be started, or what it raises.
        """


def check_engine(engine: Engine) -> None:
    """Check what an engine is asked for.

    Raises:
        OptionError: it is unknown, a value is out of range, or is for another engine.
    """
    if engine.name not in ENGINES:
        raise OptionError(f"unknown engine {engine.name!r}", expected=f"one of {', '.join(ENGINES)}")
    given = {field.name: getattr(engine, field.name) for field in fields(engine)}
    for name, option in _OPTIONS.items():
        value = given[name]
        if value is None:
            continue
        if engine.name == "local":
            raise OptionError(f"{option} is for workers of Ray", mend=f"give --engine ray too, or leave {option} out")
        if not isinstance(value, str) and not (
            0 < value < math.inf or (name, value) == ("gpus_per_worker", 0)
        ):  # also refuses NaN
            raise OptionError(f"{option} is out of range", expected="a number above 0", got=f"{value!r}")
