"""Folders that are written only by whoever holds them: every writer asks before a file takes its place.

A process may be stopped for so long that others take over what it held. When it goes on it must not write there any
more, wherever it is just then; so who holds a folder puts a check around it, and ``base.files`` asks that check before
every rename and deletion.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

Check = Callable[[], None]
_checks: defaultdict[str, tuple[Check, ...]] = defaultdict(tuple)  # by absolute path; of all threads


@contextmanager
def fenced(paths: Sequence[Path], check: Check) -> Iterator[None]:
    """Let every change of these files, and of all below these folders, be asked for while the block runs.

    Args:
        paths: files and folders, which need not exist.
        check: raises where they must not be changed any more.
    """
    places = [os.path.abspath(path) for path in paths]  # noqa: PTH100 - links stay as they are spelled
    for place in places:
        _checks[place] += (check,)
    try:
        yield
    finally:
        for place in places:
            _checks[place] = tuple(one for one in _checks[place] if one is not check)
            if not _checks[place]:
                del _checks[place]


def ask(path: Path) -> None:
    """Ask whether a file or folder may be changed; raises what the check of its fence does."""
    if not _checks:
        return
    place = Path(os.path.abspath(path))  # noqa: PTH100
    for one in (place, *place.parents):
        for check in _checks.get(str(one), ()):
            check()
