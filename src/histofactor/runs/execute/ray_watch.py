"""A process beside a Ray that was started for one run: it ends what is left of that Ray, however the run ends.

Ray's own processes end with the one that started them, but for those that its parts start in turn, which may stay for
minutes. Run as a script, it reads numbers of processes, one a line, until whoever writes them is gone; it then ends
those that are still there, and deletes the folder.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil


def watch(lines: Iterable[str], folder: str) -> None:
    """End the processes that were told, once there is no more to be told, and delete the folder."""
    told = []
    for line in lines:
        with suppress(psutil.NoSuchProcess):
            told.append(psutil.Process(int(line)))
    for process in told:
        with suppress(psutil.Error):
            process.kill()  # never one that has the number of another by now
    psutil.wait_procs(told, timeout=3)
    for _ in range(50):  # what was not told may still write there for a moment
        shutil.rmtree(folder, ignore_errors=True)
        if not Path(folder).exists():
            break
        time.sleep(0.1)


if __name__ == "__main__":
    watch(sys.stdin, sys.argv[1])
