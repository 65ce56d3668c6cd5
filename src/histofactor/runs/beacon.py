"""What a process that works into an output folder tells of itself, for ``histofactor status`` in another shell."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from histofactor.base.files import check_folder
from histofactor.base.lease import take
from histofactor.base.lease_state import EXPIRY_S, Holder, look, sweep_leases
from histofactor.errors import OutputError
from histofactor.runs.outcome import Reporter
from histofactor.runs.pace import Pace, followed
from histofactor.runs.place import LOCKS

WAITING = "waiting for the concepts"  # the stage of a process while another is at them
_PREFIX = "process-"  # no lease of an input, which all end in .lock
_SUFFIX = ".lock.json"
_SWEEP_S = 30.0  # between two looks for processes elsewhere that were killed


@dataclass(frozen=True, slots=True)
class Beacon:
    """A process at work, as it told last.

    Attributes:
        holder: which process, and whether it lives.
        told: fields of ``Standing``, and ``run``, ``shard``, ``finished``: whether it is done with its inputs.
    """

    holder: Holder
    told: Mapping[str, Any]


class Signal:
    """What this process tells of itself.

    Args:
        out: the output folder.
        reporter: who else is told.
        shard: that this process works on, ``i/n``, or "".

    Attributes:
        reporter: to be told of the run.
    """

    def __init__(self, out: Path, reporter: Reporter, shard: str = "") -> None:
        self._out, self._shard, self._run, self._finished = out, shard, "", False
        self._pace, self._swept = Pace(), time.monotonic()

        def on_run(name: str, inputs: int) -> None:
            self._run = name
            self._pace.on_run(inputs)
            self._tell()  # others are to know before the first of them is done
            reporter.on_run(name, inputs)

        self.reporter = replace(followed(reporter, self._pace), on_run=on_run)
        self._lease = take(out / LOCKS / f"{_PREFIX}{uuid.uuid4().hex}{_SUFFIX}", self._told)

    def is_last(self) -> bool:
        """Whether no other process works on the same run any more; this one tells that it is done with its inputs."""
        self._finished = True
        self._tell()
        others = [
            one for one in beacons(self._out) if one.told.get("run") == self._run and not one.told.get("finished")
        ]
        return not any(one.holder.silent_s < EXPIRY_S for one in others)

    def release(self) -> None:
        """Tell no more."""
        if self._lease is not None:
            self._lease.release()

    def _tell(self) -> None:
        if self._lease is not None:
            self._lease.tell()

    def _told(self) -> Mapping[str, Any]:
        if time.monotonic() - self._swept > _SWEEP_S:
            self._swept = time.monotonic()
            with suppress(OutputError):  # it is swept again
                sweep_leases(self._out / LOCKS, f"{_PREFIX}*")
        return {**asdict(self._pace.standing()), "run": self._run, "shard": self._shard, "finished": self._finished}


@contextmanager
def lit(out: Path, reporter: Reporter, shard: str = "") -> Iterator[Signal]:
    """Tell others how far this process is, until the block ends; clears what killed processes left of theirs.

    Args:
        out, reporter, shard: as for ``Signal``.

    Raises:
        OutputError: the folder cannot be written, or a link in it leads elsewhere.
    """
    check_folder(out / LOCKS, inside=out)
    made = not out.exists()
    sweep_leases(out / LOCKS)
    signal = Signal(out, reporter, shard)
    try:
        yield signal
    finally:
        signal.release()
        if made:
            with suppress(OSError):  # something was written
                out.rmdir()


def beacons(out: Path) -> list[Beacon]:
    """The processes that work into an output folder, but for those that are known to have ended.

    Raises:
        OutputError: a link in the output folder leads elsewhere.
    """
    check_folder(out / LOCKS, inside=out)
    seen = [look(path) for path in sorted((out / LOCKS).glob(f"{_PREFIX}*{_SUFFIX}"))]
    return [Beacon(holder, holder.told) for holder in seen if holder is not None and not holder.dead]
