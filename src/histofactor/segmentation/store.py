"""Where finished bands of an input are kept until it is whole: in memory, or on disk to go on from."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from histofactor.base.digests import DamagedError, check_digest, path_digest, read_digested, write_digested
from histofactor.base.files import atomic, remove
from histofactor.masks.bands import Band
from histofactor.masks.sparse import SparseRows, quantise
from histofactor.records import Float, Raster, TokenMaps
from histofactor.segmentation.encoding import Elsewhere

_CHUNK_PX = 4096  # columns of a band that are packed together
_CACHED = 48  # chunks kept unpacked; at 256 rows some 50 MB
_LEVELS = 255  # steps of the margin on disk
_INDEX = "work.json"
_FILES = (_INDEX, "band-*.zip", "state-*.npz", "recipe.json")  # all that a store writes; the last one, version 0.1

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
        """Rows of windows that others may have encoded."""

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
        self.elsewhere = None
        self._bands: list[Band] = []

    def state(self) -> State | None:
        """Nothing to go on from."""
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

    ``work.json`` names the recipe, the state to go on from and the bands up to it, each with the digest of its content,
    and its own digest. Where anything is not as it was written, all is begun anew and ``note`` says so.

    Args:
        folder: for this input alone; made if it is missing, emptied if it belongs to another recipe.
        recipe: hash of all that the bands depend on.
        keep_weights: keep the largest weights of every token too, see ``weights``.
        elsewhere: rows of windows that others may have encoded.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(
        self, folder: Path, recipe: str, *, keep_weights: bool = False, elsewhere: Elsewhere | None = None
    ) -> None:
        self.elsewhere = elsewhere
        self._folder, self._recipe, self._keep_weights = folder, recipe, keep_weights
        self.note = ""  # what the user should know of what was found in the folder, or nothing
        self._digests: list[str] = []  # of the bands, from the first on
        self._state: dict[str, NDArray[Any]] | None = None
        try:
            if self._resume():
                return
        except DamagedError as error:
            self.note = f"begun anew, since the unfinished work of an earlier run is damaged: {error}"
        for path in (path for pattern in _FILES for path in folder.glob(pattern)):
            remove(path, inside=folder)
        self._digests, self._state = [], None
        self._write_index("")

    def state(self) -> State | None:
        """The state given with the last band that a run can go on after, or None to begin."""
        return self._state

    def put(self, band: Band, state: State | None) -> None:
        """Write the next band; with a state, a run can go on after it.

        Raises:
            OutputError: the disk is full, or the folder cannot be written.
        """
        path = self._band(len(self._digests))
        with atomic(path) as temporary:
            _write_band(band, temporary, self._keep_weights)
        self._digests.append(path_digest(path))
        if state is None:
            return
        before = sorted(self._folder.glob("state-*.npz"))
        after = self._folder / f"state-{len(self._digests):06d}.npz"
        with atomic(after) as temporary:
            np.savez(temporary, allow_pickle=False, **dict(state))
        self._write_index(after.name)
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
        self._digests = index["bands"]
        for number, digest in enumerate(self._digests):
            check_digest(self._band(number), digest)
        if index["state"]:
            check_digest(self._folder / index["state"], index["state_sha256"])
            with np.load(self._folder / index["state"], allow_pickle=False) as arrays:
                self._state = dict(arrays)
        return True

    def _write_index(self, state: str) -> None:
        digest = path_digest(self._folder / state) if state else ""
        index = {"recipe": self._recipe, "bands": self._digests, "state": state, "state_sha256": digest}
        write_digested(index, self._folder / _INDEX)

    def maps(self) -> Maps:
        """All bands as one; labels and margin stay on disk."""
        files = [self._band(index) for index in range(len(self._digests))]
        small = [_read_small(path) for path in files]
        tokens = _joined([TokenMaps(int(part["stride_px"]), *(part[name] for name in _TOKENS)) for part in small])
        bottoms = np.cumsum([int(part["rows"]) for part in small])
        width = int(small[0]["width"])
        labels = BandRaster(files, bottoms, width, "labels", small[0]["dtype"].dtype)
        margin = BandRaster(files, bottoms, width, "margin", np.dtype(np.float32))
        return Maps(labels, margin, tokens, np.concatenate([part["unreadable"] for part in small]), None)

    def weights(self) -> Iterator[SparseRows]:
        """The largest weights of every token, band by band."""
        for index in range(len(self._digests)):
            with zipfile.ZipFile(self._band(index)) as archive:
                yield SparseRows(*(_read_array(archive, name) for name in _WEIGHTS))

    def _band(self, index: int) -> Path:
        return self._folder / f"band-{index:06d}.zip"


class BandRaster:
    """A map of px that lies on disk in bands and is read by slices; see ``records.Raster``."""

    def __init__(
        self, files: list[Path], bottoms: NDArray[np.int64], width: int, name: str, dtype: np.dtype[Any]
    ) -> None:
        self._files, self._bottoms, self._name = files, bottoms, name
        self.shape = (int(bottoms[-1]), width)
        self.dtype = dtype
        self._chunk = lru_cache(_CACHED)(self._read_chunk)

    def __getitem__(self, index: Any, /) -> Any:
        rows, columns = index if isinstance(index, tuple) else (index, slice(None))
        top, bottom, row_step = rows.indices(self.shape[0])
        left, right, column_step = columns.indices(self.shape[1])
        values = np.empty((max(bottom - top, 0), max(right - left, 0)), self.dtype)
        first, last = np.searchsorted(self._bottoms, (top, bottom - 1), side="right")
        for band in range(first, min(last + 1, len(self._files))):
            start = int(self._bottoms[band - 1]) if band else 0
            above, below = max(top, start), min(bottom, int(self._bottoms[band]))
            for chunk in range(left // _CHUNK_PX, -(-right // _CHUNK_PX)):
                edge = chunk * _CHUNK_PX
                x0, x1 = max(left, edge), min(right, edge + _CHUNK_PX)
                part = self._chunk(band, chunk)[above - start : below - start, x0 - edge : x1 - edge]
                values[above - top : below - top, x0 - left : x1 - left] = part
        return values[::row_step, ::column_step]

    def _read_chunk(self, band: int, chunk: int) -> NDArray[Any]:
        with zipfile.ZipFile(self._files[band]) as archive:
            values = _read_array(archive, f"{self._name}-{chunk}")
        return values / np.float32(_LEVELS) if self._name == "margin" else values


_WEIGHTS = ("weight_index", "weight_value", "weight_scale")
_TOKENS = ("label", "share", "margin_of_token", "residual")


def _write_band(band: Band, path: Path, keep_weights: bool) -> None:
    margin = np.asarray(cv2.convertScaleAbs(band.margin, alpha=_LEVELS), np.uint8)
    tokens = band.tokens
    small = {
        "rows": np.array(band.labels.shape[0]),
        "width": np.array(band.labels.shape[1]),
        "dtype": np.empty(0, band.labels.dtype),
        "stride_px": np.array(tokens.stride_px),
        "unreadable": band.unreadable,
        **dict(zip(_TOKENS, (tokens.label, tokens.share, tokens.margin, tokens.residual), strict=True)),
    }
    if keep_weights:
        kept = quantise(band.weights)
        small |= dict(zip(_WEIGHTS, (kept.index, kept.value, kept.scale), strict=True))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, values in small.items():
            _write_array(archive, name, values)
        for chunk in range(-(-band.labels.shape[1] // _CHUNK_PX)):
            columns = slice(chunk * _CHUNK_PX, (chunk + 1) * _CHUNK_PX)
            _write_array(archive, f"labels-{chunk}", band.labels[:, columns])
            _write_array(archive, f"margin-{chunk}", margin[:, columns], packed=False)


def _write_array(archive: zipfile.ZipFile, name: str, values: NDArray[Any], *, packed: bool = True) -> None:
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED  # margins hardly shrink
    with archive.open(entry, "w") as file:
        np.lib.format.write_array(file, np.asarray(values, order="C"), allow_pickle=False)


def _read_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(name) as file:
        values: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return values


def _read_small(path: Path) -> dict[str, NDArray[Any]]:
    names = ("rows", "width", "dtype", "stride_px", "unreadable", *_TOKENS)
    with zipfile.ZipFile(path) as archive:
        return {name: _read_array(archive, name) for name in names}


def _joined(parts: list[TokenMaps]) -> TokenMaps:
    """Token maps of bands, one below the other."""
    label, share, margin, residual = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("label", "share", "margin", "residual")
    )
    return TokenMaps(parts[0].stride_px, label, share, margin, residual)
