"""Which process holds something, told so that others know at once whether it has ended, where that can be known."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_NONE = -1  # the start of a process that is not there


@dataclass(frozen=True, slots=True)
class Owner:
    """A process; "" and 0 where something of it is not known.

    Attributes:
        host: name of the machine, or of the container.
        boot: of its kernel, which no other boot has; known on Linux.
        namespace: of its PIDs.
        pid: its number.
        start: when it began, in ticks since the boot.
    """

    host: str = ""
    boot: str = ""
    namespace: str = ""
    pid: int = 0
    start: int = 0


def me() -> Owner:
    """The process that this is."""
    return _owner(os.getpid(), socket.gethostname())


def is_near(owner: Owner) -> bool:
    """Whether an owner's PID means something here: it is of this machine, its boot, and its namespace of PIDs."""
    here = me()
    return bool(here.boot) and (owner.host, owner.boot, owner.namespace) == (here.host, here.boot, here.namespace)


def lives(owner: Owner) -> bool:
    """Whether the process of an owner that is near is there, and is not another of the same number."""
    return start_of(owner.pid) == owner.start


def start_of(pid: int) -> int:
    """When a process began, in ticks since the boot; -1 where it is not there, or has ended but for being asked how."""
    state, _, after = _text(f"/proc/{pid}/stat").rpartition(")")[2].strip().partition(" ")
    return _NONE if state in {"", "Z", "X"} else int(after.split()[18])  # proc_pid_stat(5): field 22, state is 3


def owner_of(content: Mapping[str, Any]) -> Owner:
    """The owner that ``dataclasses.asdict`` made this of.

    Raises:
        KeyError, TypeError, ValueError: it made it of something else.
    """
    return Owner(
        str(content["host"]),
        str(content["boot"]),
        str(content["namespace"]),
        int(content["pid"]),
        int(content["start"]),
    )


@cache
def _owner(pid: int, host: str) -> Owner:
    return Owner(host, _text("/proc/sys/kernel/random/boot_id"), _namespace(), pid, start_of(pid))


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # no Linux, or it is hidden
        return ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
