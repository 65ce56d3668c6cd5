"""Rows of windows that others encode for whoever segments an input, so that one large slide keeps several workers busy.

Whoever segments goes from the top down; helpers go from the bottom up and leave what their rows responded in a folder.
A row that lies there is read instead of encoded, bit by bit the same; one that does not is encoded as ever. So nothing
depends on the helpers: one that ends early, or comes late, costs a row of windows that is encoded twice, at most.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock

import numpy as np

from histofactor.base.clock import Watch
from histofactor.base.files import make_folder, output_error
from histofactor.segmentation.encoding import Planned, Responded, encode_rows
from histofactor.segmentation.kept_batches import UNREADABLE, pack, unpack
from histofactor.segmentation.plan import make_plan
from histofactor.segmentation.setup import Segmenter
from histofactor.segmentation.shift import encodes_all, find_shift
from histofactor.segmentation.store import MemoryStore
from histofactor.slides.reader import Slide

_KEPT = 2  # rows in memory: while the last windows of one are asked for, those of the next are too
_TRIES = 5  # to take a folder away that others may just have written to


class RowsAhead:
    """The folder in which rows of windows of one input lie.

    Args:
        folder: for this input alone; there while somebody segments it, see ``open``.
        recipe: hash of all that the responses depend on; rows by another are as good as none.
    """

    def __init__(self, folder: Path, recipe: str) -> None:
        self._folder, self._recipe = folder, recipe
        self._found: dict[int, Sequence[Responded] | None] = {}
        self._lock = Lock()

    def open(self) -> None:
        """Make the folder, by whoever segments; rows that helpers left there before stay, their claims do not.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            make_folder(self._folder)
            for claim in self._folder.glob("*.taken"):
                claim.unlink(missing_ok=True)
        except OSError as error:
            raise output_error(self._folder, error) from error

    def close(self) -> None:
        """Take the folder away, by whoever segments; helpers see that it is gone."""
        aside = self._folder.with_name(f".{uuid.uuid4().hex[:12]}-{self._folder.name}")
        with suppress(FileNotFoundError):
            self._folder.rename(aside)
        for _ in range(_TRIES):
            shutil.rmtree(aside, ignore_errors=True)  # a helper may yet have a file open in it
            if not aside.exists():
                break
        with suppress(OSError):
            self._folder.parent.rmdir()  # others have theirs in it

    @property
    def is_open(self) -> bool:
        """Whether somebody segments the input."""
        return self._folder.is_dir()

    def claim(self, row: int) -> bool:
        """Take a row of windows; False where another has it, or nobody segments the input any more."""
        try:
            os.close(os.open(self._folder / f"{row}.taken", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except (FileExistsError, FileNotFoundError):
            return False
        return True

    def put(self, row: int, responded: Sequence[Responded]) -> None:
        """Leave what the windows of a row responded, batch by batch; nothing where the folder is gone."""
        arrays = {"recipe": np.array(self._recipe), "batches": np.array(len(responded))}
        for number, batch in enumerate(responded):
            arrays |= {f"{name}-{number}": values for name, values in pack(batch).items()}
        temporary = self._folder / f".{uuid.uuid4().hex[:12]}-{row}.npz"
        with suppress(FileNotFoundError):
            with temporary.open("xb") as file:
                np.savez(file, allow_pickle=False, **arrays)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._folder / f"{row}.npz")

    def get(self, row: int) -> Sequence[Responded] | None:
        """What the windows of a row responded; None, and the row is taken, where it is not there.

        Rows are asked for from the first to the last, each as often as it has batches, from several threads.
        """
        with self._lock:
            if row not in self._found:
                self._found[row] = self._read(row)
                if self._found[row] is None:
                    self.claim(row)
                for gone in [one for one in self._found if one <= row - _KEPT]:
                    del self._found[gone]
            return self._found[row]

    def drop(self, row: int) -> None:
        """Delete the rows before this one, which are finished."""
        for path in self._folder.glob("[0-9]*.npz"):
            if int(path.stem) < row:
                path.unlink(missing_ok=True)

    def _read(self, row: int) -> Sequence[Responded] | None:
        try:
            with (self._folder / f"{row}.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                if str(arrays["recipe"]) != self._recipe:
                    return None
                return [unpack(arrays, f"-{number}") for number in range(int(arrays["batches"]))]
        except UNREADABLE:  # not there, or not whole: it is encoded
            return None


def encode_ahead(slide: Slide, segmenter: Segmenter, rows: RowsAhead, watch: Watch) -> int:
    """Encode rows of windows of an open input that another segments, from the last one up, until none is left.

    Args:
        slide: the input.
        segmenter: as it is segmented with; its method is streamed.
        rows: where they are left.
        watch: who is told.

    Returns:
        How many rows were encoded.
    """
    planned = Planned(slide, segmenter.setup, make_plan(slide, segmenter.setup))
    if encodes_all(planned, segmenter):  # by whoever segments it, who then has no need of rows
        return 0
    shift, planned = find_shift(planned, segmenter, None, watch, MemoryStore())
    done = 0
    for index, row in reversed(list(enumerate(planned.plan.rows))):
        if not row.windows or not rows.claim(index):
            continue
        alone = replace(planned, plan=replace(planned.plan, rows=(row,)))
        for _, responses in encode_rows(alone, shift.asked, watch):
            rows.put(index, list(responses))
        done += 1
    return done
