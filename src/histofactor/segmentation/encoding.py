"""An input as a stream: rows of windows are encoded and blended, and bands of finished tokens come out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from histofactor.base.clock import Clock
from histofactor.base.workers import map_ahead
from histofactor.encoders.batch import windows_at_once
from histofactor.encoders.build import Encoder
from histofactor.encoders.encode import encode, respond
from histofactor.masks.decode import label_pixels
from histofactor.masks.unlike import mark, on_px
from histofactor.segmentation.canvas import Canvas
from histofactor.segmentation.method import directions
from histofactor.segmentation.plan import Plan, WindowRow, tissue_rows
from histofactor.segmentation.reading import read_window
from histofactor.segmentation.setup import Engine
from histofactor.slides.blocks import Block
from histofactor.slides.geometry.windows import Window
from histofactor.slides.reader import Slide

_LANES = 4  # batches at work at a time, at most
_BAND_ROWS = 32  # token rows that are solved and decoded at a time

_ABOVE = ("above", "above_unreadable", "above_unlike")

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]
State = Mapping[str, NDArray[Any]]
Progress = Callable[[int, int], None]
Responses = tuple[list[Float], list[Float], list[Block]]


@dataclass(frozen=True, slots=True)
class Blended:
    """Token rows that no window will touch any more.

    Attributes:
        g_rows: (start, stop) token rows.
        ends_row: whether they are the last of a row of windows: a state taken here can be gone on from.
        B: (rows, w, r) responses to the directions of the method.
        sq_norms: (rows, w) mean squared norms of the features.
        tissue: (rows, w) bool, tokens to solve: they hold tissue that could be read.
        unreadable: (rows, w) bool, tokens over px that cannot be read.
    """

    g_rows: tuple[int, int]
    ends_row: bool
    B: Float
    sq_norms: Float
    tissue: NDArray[np.bool_]
    unreadable: NDArray[np.bool_]


class Encoding:
    """Encodes an input row of windows by row of windows; iterate over it once.

    Several batches are at work at a time, each in a lane that reads and encodes with its part of the cores: lanes never
    wait for each other, where one batch on all cores waits at every layer for whichever core is also reading. Another
    device than the CPU takes one batch at a time while the other lanes read.

    Args:
        slide: the input.
        engine: from ``prepare``.
        plan: from ``make_plan``.
        clock: told how long each stage takes.
        on_progress: called with (windows done, windows in all).
    """

    def __init__(self, slide: Slide, engine: Engine, plan: Plan, clock: Clock, on_progress: Progress) -> None:
        self._slide, self._engine, self._plan = slide, engine, plan
        self._clock, self._on_progress = clock, on_progress
        self._aims = directions(engine.method, engine.bank)
        width = engine.encoder.spec.dim if self._aims is None else self._aims.shape[1]
        self._canvas = Canvas(plan.frame, plan.rule, plan.layout, width)
        self._unreadable = np.zeros(plan.g_tissue.shape, bool)
        self._next = 0  # row of windows
        self._batches = [batches(row, engine.encoder) for row in plan.rows]
        self._lanes = max(1, min(_LANES, torch.get_num_threads(), sum(map(len, self._batches))))
        on_cpu = engine.encoder.device.type == "cpu"
        self._device: AbstractContextManager[object] = nullcontext() if on_cpu else Lock()

    def state(self) -> dict[str, NDArray[Any]]:
        """What ``restore`` needs to go on after the row that came out last."""
        return {**self._canvas.state(), "next_row": np.array(self._next), "unreadable": np.packbits(self._unreadable)}

    def restore(self, state: State) -> None:
        """Go on after the row at which ``state`` was taken."""
        self._canvas.restore(state)
        self._next = int(state["next_row"])
        shape = self._plan.g_tissue.shape
        unpacked = np.unpackbits(state["unreadable"], count=shape[0] * shape[1])
        self._unreadable = unpacked.reshape(shape).astype(bool)

    def __iter__(self) -> Iterator[Blended]:
        plan, first = self._plan, self._next
        done, total = sum(len(row.windows) for row in plan.rows[:first]), plan.windows
        self._on_progress(done, total)
        ahead = [batch for row in self._batches[first:] for batch in row]
        lanes, threads = self._lanes, torch.get_num_threads()
        responses = map_ahead(self._respond, ahead, lanes, initializer=lambda: torch.set_num_threads(threads // lanes))
        try:
            for index, row in enumerate(plan.rows[first:], first):
                for batch in self._batches[index]:
                    self._blend(batch, *next(responses))
                    done += len(batch)
                    self._on_progress(done, total)
                self._next = index + 1
                yield from self._finished(row)
        finally:
            responses.close()
            torch.set_num_threads(threads)

    def _respond(self, batch: list[Window]) -> Responses:
        """Responses, squared norms and unreadable blocks of a batch."""
        with self._clock("read", self._lanes):
            read = [read_window(self._slide, self._plan.frame, window) for window in batch]
        with self._device:
            with self._clock("encode", self._lanes):
                turned = [np.rot90(pixels.rgb, window.turns) for pixels, window in zip(read, batch, strict=True)]
                features = encode(self._engine.encoder, np.stack(turned))
            with self._clock("respond", self._lanes):
                B, sq_norms = (
                    [np.rot90(values, -window.turns) for values, window in zip(batched, batch, strict=True)]
                    for batched in respond(features, self._aims)
                )
        return B, sq_norms, [block for pixels in read for block in pixels.unreadable]

    def _blend(self, batch: list[Window], B: list[Float], sq_norms: list[Float], unreadable: list[Block]) -> None:
        with self._clock("blend"):
            self._canvas.add(batch, B, sq_norms)
        stride = self._plan.frame.stride_px
        for x, y, width, height in unreadable:
            rows, columns = (slice(a // stride, -(-(a + n) // stride)) for a, n in ((y, height), (x, width)))
            self._unreadable[rows, columns] = True

    def _finished(self, row: WindowRow) -> Iterator[Blended]:
        for start in range(*row.g_rows, _BAND_ROWS):
            stop = min(start + _BAND_ROWS, row.g_rows[1])
            with self._clock("blend"):
                B, sq_norms = self._canvas.take(stop)
            unreadable = self._unreadable[start:stop]
            tissue = self._plan.g_tissue[start:stop] & ~unreadable
            yield Blended((start, stop), stop == row.g_rows[1], B, sq_norms, tissue, unreadable)


class Decoder:
    """Weights of token rows to labels of px rows, half a token behind: px between two rows need both.

    Args:
        plan: from ``make_plan``.
        owners: as for ``label_pixels``.
        marked_k: number of concepts, where px of tissue unlike the bank get the label after theirs; else None.
    """

    def __init__(self, plan: Plan, owners: Sequence[int] | None = None, marked_k: int | None = None) -> None:
        self._plan, self._owners, self._marked_k = plan, owners, marked_k
        self._above: tuple[Float, Mask, Mask] | None = None

    def state(self) -> dict[str, NDArray[Any]]:
        """What ``restore`` needs."""
        return {} if self._above is None else dict(zip(_ABOVE, self._above, strict=True))

    def restore(self, state: State) -> None:
        """Go on from ``state``."""
        if _ABOVE[0] in state:
            W, unreadable, unlike = (state[name] for name in _ABOVE)
            self._above = np.asarray(W, np.float32), np.asarray(unreadable, bool), np.asarray(unlike, bool)

    def rows(
        self, g_rows: tuple[int, int], W: Float, unreadable: Mask, unlike: Mask
    ) -> tuple[NDArray[np.unsignedinteger[Any]], Float]:
        """Labels and margin of the px rows that become known with these token rows.

        Args:
            g_rows: (start, stop) of the token rows; they follow the ones before, and the last reach the grid's end.
            W: (rows, w, K) weights.
            unreadable: (rows, w) tokens whose px get label 0.
            unlike: (rows, w) tokens of tissue unlike the bank.

        Returns:
            (labels, margin), (px rows, width) each.
        """
        frame = self._plan.frame
        stride, (width, height) = frame.stride_px, frame.t_size
        known = g_rows[0]
        skipped = 0
        if self._above is not None:
            new = W, unreadable, unlike
            W, unreadable, unlike = (np.concatenate(pair) for pair in zip(self._above, new, strict=True))
            known, skipped = known - 1, stride // 2
        last = g_rows[1] == frame.g_size[1]
        kept = len(W) * stride if last else (len(W) - 1) * stride + stride // 2
        labels, margin = label_pixels(W, (len(W) * stride, W.shape[1] * stride), self._owners)
        start, stop = known * stride + skipped, min(known * stride + kept, height)
        part = slice(skipped, skipped + max(stop - start, 0)), slice(0, width)
        labels, margin = labels[part], margin[part]
        if self._marked_k is not None:
            labels = mark(labels, on_px(unlike, stride)[part], self._marked_k)
        on = tissue_rows(self._plan.thumbnail, frame, start, max(stop, start))
        if unreadable.any():
            on &= ~on_px(unreadable, stride)[part]
        self._above = W[-1:], unreadable[-1:], unlike[-1:]
        return labels * on, margin * on


def batches(row: WindowRow, encoder: Encoder) -> list[list[Window]]:
    """The windows of a row in groups that are encoded at a time; once turned, those of a group have one shape."""
    if not row.windows:
        return []
    width, height = row.windows[0].size
    n = windows_at_once(encoder, (width, height))
    lying = [window for window in row.windows if width == height or window.turns % 2 == 0]
    standing = [window for window in row.windows if width != height and window.turns % 2 == 1]
    return [group[start : start + n] for group in (lying, standing) for start in range(0, len(group), n)]
