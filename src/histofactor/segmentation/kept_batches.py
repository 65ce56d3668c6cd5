"""Batches of windows of an input that is under way, each in a file, so that few are encoded again after a kill.

It is not waited for until they are on the disk: a process that is killed leaves them whole, and what a power cut spoils
is known by its checksums and encoded again.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

import histofactor
from histofactor.base.fences import ask
from histofactor.base.files import atomic
from histofactor.records import EncoderSpec, Features
from histofactor.segmentation.encoding import Planned, Responded
from histofactor.segmentation.window_memory import EncodedBatch, WindowMemory
from histofactor.slides.blocks import Block
from histofactor.slides.geometry.windows import Window

FILES = ("kept-*.npz", "windows-*.npz")  # all that is written here
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)  # of a file that is not there, or not whole

Arrays = Mapping[str, NDArray[Any]]


class WholeRows(Protocol):
    """Rows of windows that others encode, see ``RowsAhead``."""

    def get(self, row: int) -> Sequence[Responded] | None:
        """What the batches of a row responded, or None."""

    def drop(self, row: int) -> None:
        """Delete the rows before this one."""


class KeptBatches:
    """What windows of an input responded, until the row that they are in is finished.

    Args:
        folder: of the input alone, and of one recipe.
        ahead: rows that others encode, or None.
    """

    def __init__(self, folder: Path, ahead: WholeRows | None = None) -> None:
        self._folder, self._ahead = folder, ahead

    def get(self, row: int, windows: Sequence[Window]) -> Responded | None:
        """What a batch of a row responded; None where it is to be encoded."""
        theirs = None if self._ahead is None else self._ahead.get(row)
        if found := [batch for batch in theirs or () if batch.windows == tuple(windows)]:
            return found[0]
        arrays = _read(self._path(row, windows), windows)
        return None if arrays is None else unpack(arrays)

    def put(self, row: int, responded: Responded) -> None:
        """Keep what a batch of a row responded.

        Raises:
            OutputError: the disk is full, or the folder cannot be written.
        """
        _write(self._path(row, responded.windows), pack(responded))

    def drop(self, row: int) -> None:
        """Let go of the rows before this one, which are finished."""
        for path in self._folder.glob(FILES[0]):
            if int(path.stem.split("-")[1]) < row:
                ask(path)
                path.unlink(missing_ok=True)
        if self._ahead is not None:
            self._ahead.drop(row)

    def _path(self, row: int, windows: Sequence[Window]) -> Path:
        return self._folder / f"kept-{row}-{_named(windows)}.npz"


class KeptWindows(WindowMemory):
    """A ``WindowMemory`` that is on disk too: what an earlier run encoded is there.

    Args:
        folder: of the input alone.
        spec: of the encoder.
        recipe: hash of all that features depend on; windows by another are as good as none.
    """

    def __init__(self, folder: Path, spec: EncoderSpec, recipe: str) -> None:
        super().__init__()
        self._folder, self._spec, self._recipe = folder, spec, recipe

    def keep(self, windows: Sequence[Window], batch: EncodedBatch) -> None:
        """Hold what windows were encoded to.

        Raises:
            OutputError: the disk is full, or the folder cannot be written.
        """
        super().keep(windows, batch)
        arrays = {
            "recipe": np.array(self._recipe),
            "windows": _as_array(windows),
            "features": batch.features.values.cpu().numpy(),
            "unreadable": np.array(batch.unreadable, np.int64).reshape(-1, 4),
            **{f"colours-{number}": colours for number, colours in enumerate(batch.colours)},
        }
        _write(self._path(windows), arrays)

    def recall(self, windows: Sequence[Window], device: torch.device) -> EncodedBatch | None:
        """What windows were encoded to, on a device, by this run or an earlier one; None where it is not held."""
        if (held := super().recall(windows, device)) is not None:
            return held
        arrays = _read(self._path(windows), windows)
        if arrays is None or str(arrays.get("recipe")) != self._recipe:
            return None
        features = Features(torch.from_numpy(arrays["features"]), self._spec.patch_px, self._spec.key)
        colours = tuple(arrays[f"colours-{number}"] for number in range(len(windows)) if f"colours-{number}" in arrays)
        super().keep(windows, EncodedBatch(features, _blocks(arrays["unreadable"]), colours))
        return super().recall(windows, device)

    def _path(self, windows: Sequence[Window]) -> Path:
        return self._folder / f"windows-{_named(windows)}.npz"


@dataclass(frozen=True, slots=True)
class KeptInput:
    """Where the windows of an input lie that is encoded whole before it is segmented.

    Attributes:
        folder: of the input alone.
        content: what changes with the content of its files.
    """

    folder: Path
    content: str

    def memory(self, planned: Planned) -> KeptWindows:
        """A memory for all its windows, which outlives the process."""
        encoder, frame = planned.setup.encoder, planned.plan.frame
        how = [asdict(encoder.spec.key), encoder.precision, encoder.repaired, planned.setup.colours]
        known = json.dumps([histofactor.__version__, self.content, *how, asdict(frame)])
        return KeptWindows(self.folder, encoder.spec, hashlib.sha256(known.encode()).hexdigest())

    def found(self, planned: Planned) -> KeptWindows | None:
        """The memory that another process left; None where none did."""
        return self.memory(planned) if any(self.folder.glob(FILES[1])) else None


def pack(responded: Responded) -> dict[str, NDArray[Any]]:
    """A batch as arrays."""
    return {
        "windows": _as_array(responded.windows),
        "B": np.stack(responded.B),
        "norms": np.stack(responded.sq_norms),
        "unreadable": np.array(responded.unreadable, np.int64).reshape(-1, 4),
    }


def unpack(arrays: Arrays, end: str = "") -> Responded:
    """A batch from arrays whose names end so."""
    windows, B, norms, unreadable = (arrays[f"{name}{end}"] for name in ("windows", "B", "norms", "unreadable"))
    of = tuple(Window(x, y, (width, height), turns) for x, y, width, height, turns in windows.tolist())
    return Responded(of, list(B), list(norms), _blocks(unreadable))


def _as_array(windows: Sequence[Window]) -> NDArray[np.int64]:
    return np.array([(one.x, one.y, *one.size, one.turns) for one in windows], np.int64)


def _blocks(unreadable: NDArray[Any]) -> tuple[Block, ...]:
    return tuple((x, y, width, height) for x, y, width, height in unreadable.tolist())


def _named(windows: Sequence[Window]) -> str:
    """No two batches of an input begin with the same window."""
    return f"{windows[0].x}_{windows[0].y}_{windows[0].turns}"


def _write(path: Path, arrays: Arrays) -> None:
    with atomic(path, synced=False) as temporary:
        np.savez(temporary, allow_pickle=False, **dict(arrays))


def _read(path: Path, windows: Sequence[Window]) -> dict[str, NDArray[Any]] | None:
    """The arrays of a file; None where it is not there, not whole, or of other windows."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            arrays = dict(found)
        return arrays if np.array_equal(arrays["windows"], _as_array(windows)) else None
    except UNREADABLE:
        return None
