"""Where finished bands of an input are kept until it is whole: in memory, or on disk to go on from."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from histofactor.base.digests import DamagedError, check_digest, path_digest, read_digested, write_digested
from histofactor.base.files import atomic, remove
from histofactor.masks.bands import Band
from histofactor.masks.sparse import SparseRows, quantise
from histofactor.records import Float, Raster, SlideMean, TokenMaps
from histofactor.segmentation.band_files import TOKENS, WEIGHTS, BandRaster, read_array, read_small, write_band
from histofactor.segmentation.encoding import Elsewhere, Planned
from histofactor.segmentation.kept_batches import FILES, KeptBatches, KeptInput, WholeRows
from histofactor.segmentation.window_memory import WindowMemory

_INDEX = "work.json"
_FILES = (
    _INDEX,
    "band-*.zip",
    "state-*.npz",
    *FILES,
    "recipe.json",
)  # all that is written; the last, by version 0.1

State = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Maps:
    """All bands of one input as one.

    Attributes:
        labels, margin: (height, width).
        tokens: (h, w) maps.
        unreadable: (h, w) bool.
        weights: (h, w, K), or None where they were not kept.
    """

    labels: Raster
    margin: Raster
    tokens: TokenMaps
    unreadable: NDArray[np.bool_]
    weights: Float | None


class Store(Protocol):
    """Keeps the bands of one input; ``note`` says what the user should know of it, or nothing."""

    note: str

    @property
    def elsewhere(self) -> Elsewhere | None:
        """Batches of windows that may be encoded already."""

    @property
    def mean(self) -> SlideMean | None:
        """Of the input's tokens, where it is known."""

    def keep_mean(self, mean: SlideMean) -> None:
        """Keep the mean of the input's tokens."""

    def windows(self, planned: Planned) -> WindowMemory:
        """A memory for all windows of the input."""

    def found_windows(self, planned: Planned) -> WindowMemory | None:
        """One in which there are some that were encoded before."""

    def state(self) -> State | None:
        """The state given with the last band that a run can go on after, or None to begin."""

    def put(self, band: Band, state: State | None) -> None:
        """Keep the next band; with a state, a run can go on after it."""

    def maps(self) -> Maps:
        """All bands as one."""


class MemoryStore:
    """Keeps bands, and all weights, in memory."""

    def __init__(self) -> None:
        self.note = ""
        self.elsewhere = self.mean = None
        self._bands: list[Band] = []

    def state(self) -> State | None:
        """Nothing to go on from."""
        return None

    def keep_mean(self, mean: SlideMean) -> None:
        """Nothing: it is known as long as this is."""

    def windows(self, planned: Planned) -> WindowMemory:
        """One that ends with the process."""
        return WindowMemory()

    def found_windows(self, planned: Planned) -> WindowMemory | None:
        """None: all ends with the process."""
        return None

    def put(self, band: Band, state: State | None) -> None:
        """Keep the next band."""
        self._bands.append(band)

    def maps(self) -> Maps:
        """All bands as one."""
        labels, margin, unreadable, weights = (
            np.concatenate([getattr(band, name) for band in self._bands])
            for name in ("labels", "margin", "unreadable", "weights")
        )
        return Maps(labels, margin, _joined([band.tokens for band in self._bands]), unreadable, weights)

    def weights(self) -> Iterator[SparseRows]:
        """The largest weights of every token, band by band."""
        return (quantise(band.weights) for band in self._bands)


class DiskStore:
    """Keeps bands in files, each whole or not there, so that a run that was killed goes on after the last of them.

    ``work.json`` names the recipe, the mean of the input's tokens, the state to go on from and the bands up to it, each
    with the digest of its content, and its own digest. Where anything is not as it was written, all is begun anew and
    ``note`` says so. Beside them lie windows that are encoded and in no band yet, see ``kept_batches``.

    Args:
        folder: for this input alone; made if it is missing, emptied if it belongs to another recipe.
        recipe: hash of all that the bands depend on.
        keep_weights: keep the largest weights of every token too, see ``weights``.
        ahead: rows of windows that others encode.
        windows: where those of an input that is encoded whole lie; default in the folder.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        recipe: str,
        *,
        keep_weights: bool = False,
        ahead: WholeRows | None = None,
        windows: KeptInput | None = None,
    ) -> None:
        self._windows = windows or KeptInput(folder, recipe)
        self.elsewhere = KeptBatches(folder, ahead)
        self.mean: SlideMean | None = None
        self._folder, self._recipe, self._keep_weights = folder, recipe, keep_weights
        self.note = ""  # what the user should know of what was found in the folder, or nothing
        self._digests: list[str] = []  # of the bands, from the first on
        self._state: dict[str, NDArray[Any]] | None = None
        self._state_name = ""  # of its file
        try:
            if self._resume():
                return
        except DamagedError as error:
            self.note = f"begun anew, since the unfinished work of an earlier run is damaged: {error}"
        for path in (path for pattern in _FILES for path in folder.glob(pattern)):
            remove(path, inside=folder)
        self._digests, self._state, self._state_name, self.mean = [], None, "", None
        self._write_index()

    def state(self) -> State | None:
        """The state given with the last band that a run can go on after, or None to begin."""
        return self._state

    def keep_mean(self, mean: SlideMean) -> None:
        """Write the mean of the input's tokens down.

        Raises:
            OutputError: the disk is full, or the folder cannot be written.
        """
        if self.mean is None:
            self.mean = mean
            self._write_index()

    def windows(self, planned: Planned) -> WindowMemory:
        """One that outlives the process, unless all is in one row, which a kill may repeat."""
        return WindowMemory() if planned.plan.is_one_row else self._windows.memory(planned)

    def found_windows(self, planned: Planned) -> WindowMemory | None:
        """What another process left, as it was segmented or to learn from it."""
        return self._windows.found(planned)

    def put(self, band: Band, state: State | None) -> None:
        """Write the next band; with a state, a run can go on after it.

        Raises:
            OutputError: the disk is full, or the folder cannot be written.
        """
        path = self._band(len(self._digests))
        with atomic(path) as temporary:
            write_band(band, temporary, self._keep_weights)
        self._digests.append(path_digest(path))
        if state is None:
            return
        before = sorted(self._folder.glob("state-*.npz"))
        after = self._folder / f"state-{len(self._digests):06d}.npz"
        with atomic(after) as temporary:
            np.savez(temporary, allow_pickle=False, **dict(state))
        self._state_name = after.name
        self._write_index()
        for path in before:
            remove(path, inside=self._folder)

    def _resume(self) -> bool:
        """Whether there is work by this recipe to go on with.

        Raises:
            DamagedError: it is not as it was written.
        """
        path = self._folder / _INDEX
        if not path.exists():
            return False
        index = read_digested(path)
        if index["recipe"] != self._recipe:
            return False
        if index["mean"] is not None:
            self.mean = SlideMean(np.array(index["mean"]["value"], np.float32), index["mean"]["mm2"])
        self._digests = index["bands"]
        for number, digest in enumerate(self._digests):
            check_digest(self._band(number), digest)
        if state := index["state"]:
            check_digest(self._folder / state, index["state_sha256"])
            self._state_name = state
            with np.load(self._folder / state, allow_pickle=False) as arrays:
                self._state = dict(arrays)
        return True

    def _write_index(self) -> None:
        state = self._state_name
        digest = path_digest(self._folder / state) if state else ""
        mean = None if self.mean is None else {"value": self.mean.value.tolist(), "mm2": self.mean.mm2}
        index = {"recipe": self._recipe, "mean": mean, "bands": self._digests, "state": state, "state_sha256": digest}
        write_digested(index, self._folder / _INDEX)

    def maps(self) -> Maps:
        """All bands as one; labels and margin stay on disk."""
        files = [self._band(index) for index in range(len(self._digests))]
        small = [read_small(path) for path in files]
        tokens = _joined([TokenMaps(int(part["stride_px"]), *(part[name] for name in TOKENS)) for part in small])
        bottoms = np.cumsum([int(part["rows"]) for part in small])
        width = int(small[0]["width"])
        labels = BandRaster(files, bottoms, width, "labels", small[0]["dtype"].dtype)
        margin = BandRaster(files, bottoms, width, "margin", np.dtype(np.float32))
        return Maps(labels, margin, tokens, np.concatenate([part["unreadable"] for part in small]), None)

    def weights(self) -> Iterator[SparseRows]:
        """The largest weights of every token, band by band."""
        for index in range(len(self._digests)):
            with zipfile.ZipFile(self._band(index)) as archive:
                yield SparseRows(*(read_array(archive, name) for name in WEIGHTS))

    def _band(self, index: int) -> Path:
        return self._folder / f"band-{index:06d}.zip"


def _joined(parts: list[TokenMaps]) -> TokenMaps:
    """Token maps of bands, one below the other."""
    label, share, margin, residual = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("label", "share", "margin", "residual")
    )
    return TokenMaps(parts[0].stride_px, label, share, margin, residual)
