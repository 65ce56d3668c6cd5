"""A process beside a Ray that was started for one run: it ends what is left of that Ray, however the run ends.

Ray's own processes end with the one that started them, but for those that its parts start in turn, which may stay for
minutes: an agent that was being started as its Ray was killed tells that to a Ray that is gone. Run as a script, it
reads numbers of processes, one a line, until whoever writes them is gone; it then ends those that are still there and
all that work in the folder of that Ray, which no other has, and deletes the folder.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

_ROUNDS = 5  # of looking for what is left


def watch(lines: Iterable[str], folder: str) -> None:
    """End the processes that were told and those of the folder, once there is no more to be told, and delete it."""
    told = []
    for line in lines:
        with suppress(psutil.NoSuchProcess):
            told.append(psutil.Process(int(line)))
    for process in told:
        with suppress(psutil.Error):
            process.kill()  # never one that has the number of another by now
    psutil.wait_procs(told, timeout=3)
    for _ in range(_ROUNDS):  # one that was just begun may not show yet whose it is
        left = [process for process in psutil.process_iter() if _is_of(process, folder)]
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=3)
        if not left:
            break
    for _ in range(50):  # what was not told may still write there for a moment
        shutil.rmtree(folder, ignore_errors=True)
        if not Path(folder).exists():
            break
        time.sleep(0.1)


def _is_of(process: psutil.Process, folder: str) -> bool:
    """Whether a process was started with a folder or has a file in it open; not this one, nor the one that waits."""
    try:
        with process.oneshot():
            ours = process.pid in {os.getpid(), os.getppid()} or process.status() == psutil.STATUS_ZOMBIE
            return not ours and (
                any(f"{folder}/" in f"{part}/" for part in process.cmdline())
                or any(Path(file.path).is_relative_to(folder) for file in process.open_files())
            )
    except psutil.Error:  # it has just ended, or is another user's
        return False


if __name__ == "__main__":
    watch(sys.stdin, sys.argv[1])
