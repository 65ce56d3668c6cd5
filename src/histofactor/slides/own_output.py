"""Folders that histofactor itself wrote, known by their records and not by how their pictures are called."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from histofactor.base.names import RUNS, SEAL, STATUS

TOLD = {  # of one input: file, and what it states
    SEAL: {"recipe_sha256"},
    STATUS: {"format", "input", "folder", "run"},
}
LONGEST = 2**26  # bytes of a record that is looked into


def is_own_output(folder: Path) -> bool:
    """Whether a folder holds the results of one input, whole or not, or lies in one that does."""
    return any(holds_results(one) for one in (folder, *folder.absolute().parents))


def holds_results(folder: Path) -> bool:
    """Whether a folder itself is that of one input, wherever it lies."""
    return any(keys <= _read(folder / name).keys() for name, keys in TOLD.items()) or folder.name in _places(
        folder.parent
    )


def _places(out: Path) -> frozenset[str]:
    """Names of the folders of all inputs of an output folder; none where it is no such folder."""
    try:
        return _known_places(out / RUNS, (out / RUNS).stat().st_mtime_ns)
    except OSError:
        return frozenset()


@lru_cache(maxsize=64)
def _known_places(runs: Path, _: int) -> frozenset[str]:
    return frozenset().union(*(places_in(_read(path)) for path in runs.glob("*.json")))


def places_in(run: Any) -> set[str]:
    """Names of the folders of the inputs of a run, as its file holds it."""
    inputs = run.get("inputs") if isinstance(run, dict) else None
    if not isinstance(inputs, list):
        return set()
    return {str(one[1]) for one in inputs if isinstance(one, list) and len(one) == 3}


def _read(path: Path) -> dict[str, Any]:
    """A record, empty where there is none that can be read."""
    try:
        if not path.is_file() or path.stat().st_size > LONGEST:
            return {}
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):  # not there, or not ours
        return {}
    return content if isinstance(content, dict) else {}
