"""An input as a stream: rows of windows are encoded and blended, and bands of finished tokens come out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from threading import BoundedSemaphore, Lock
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from histofactor.base.clock import Clock, Watch
from histofactor.base.workers import map_ahead
from histofactor.encoders.encode import encode, respond
from histofactor.records import Float
from histofactor.segmentation.batches import LANES, batches, within_a_row
from histofactor.segmentation.canvas import Canvas
from histofactor.segmentation.method import Directions
from histofactor.segmentation.plan import Plan, WindowRow
from histofactor.segmentation.reading import Pixels, read_window
from histofactor.segmentation.setup import Setup
from histofactor.segmentation.window_memory import EncodedBatch, WindowMemory
from histofactor.slides.blocks import Block
from histofactor.slides.geometry.windows import Window
from histofactor.slides.reader import Slide

BAND_ROWS = 32  # token rows that are solved and decoded at a time

State = Mapping[str, NDArray[Any]]


class Elsewhere(Protocol):
    """Batches of windows that are encoded already: by others, or by a run that was killed."""

    def get(self, row: int, windows: Sequence[Window]) -> Responded | None:
        """What a batch of a row responded; None where it is to be encoded."""

    def put(self, row: int, responded: Responded) -> None:
        """Keep what a batch of a row responded."""

    def drop(self, row: int) -> None:
        """Let go of the rows before this one, which are finished."""


@dataclass(frozen=True, slots=True)
class Planned:
    """An open input that is about to be encoded.

    Attributes:
        slide: the input.
        setup: how its tokens come about.
        plan: from ``make_plan`` or ``subsample_windows``.
        memory: holds what is encoded, and gives it to another pass over the same plan; None holds nothing.
        parts: blended features of the whole input, where they are at hand; else it is encoded.
        on_read: told of every window that is read, and of its px (height, width, 3), from several threads.
        elsewhere: batches that may be encoded already; they responded to the same directions.
    """

    slide: Slide
    setup: Setup
    plan: Plan
    memory: WindowMemory | None = None
    parts: Iterable[Blended] | None = None
    on_read: Callable[[Window, NDArray[np.uint8]], None] | None = None
    elsewhere: Elsewhere | None = None


@dataclass(frozen=True, slots=True)
class Responded:
    """Windows that are encoded.

    Attributes:
        windows: where they lie.
        B: (h, w, r) responses of each, and the colours of its tokens as three more where the setup asks for them.
        sq_norms: (h, w) squared norms of the features of each.
        unreadable: blocks of all of them, in working px of the input, that cannot be read.
    """

    windows: Sequence[Window]
    B: Sequence[Float]
    sq_norms: Sequence[Float]
    unreadable: Sequence[Block]


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
        colours: (rows, w, 3) mean colours of their px, in [0, 1]; None where the setup does not ask for them.
    """

    g_rows: tuple[int, int]
    ends_row: bool
    B: Float
    sq_norms: Float
    tissue: NDArray[np.bool_]
    unreadable: NDArray[np.bool_]
    colours: Float | None = None


def encode_rows(
    planned: Planned, directions: Directions | None, watch: Watch, first: int = 0
) -> Iterator[tuple[WindowRow, Iterator[Responded]]]:
    """Encode an input row of windows by row of windows, and keep of every window its responses alone.

    Several batches are at work at a time, each in a lane that reads and encodes with its part of the cores: lanes never
    wait for each other, where one batch on all cores waits at every layer for whichever core is also reading. Another
    device than the CPU takes one batch at a time while the other lanes read.

    Lanes are a few batches ahead of whoever takes these. That is why the first batches of every row are kept until the
    row is finished, and no more windows are at work than a row has: a run that is killed loses a row at most.

    Args:
        planned: the input.
        directions: (d, r) vectors to respond to, or None for the features themselves.
        watch: who is told.
        first: row of windows to begin with.

    Yields:
        Every row and its batches; all of them must be taken before the next row is.
    """
    plan, encoder = planned.plan, planned.setup.encoder
    of_rows = [batches(row, encoder) for row in plan.rows]
    lanes, threads = max(1, min(LANES, torch.get_num_threads(), sum(map(len, of_rows)))), torch.get_num_threads()
    at_once = lanes if plan.is_one_row else min(lanes, within_a_row(of_rows))
    device: AbstractContextManager[object] = nullcontext() if encoder.device.type == "cpu" else Lock()
    at_work, elsewhere = BoundedSemaphore(at_once), planned.elsewhere
    keeper = None if planned.memory is not None or plan.is_one_row else elsewhere
    clock, done = watch.clock, sum(len(row.windows) for row in plan.rows[:first])

    def respond_to(place: tuple[int, int]) -> Responded:
        index, number = place
        batch = of_rows[index][number]
        if elsewhere is not None and (found := elsewhere.get(index, batch)) is not None:
            if planned.on_read is not None:
                _read(planned, batch)
            return found
        with ExitStack() as turn:
            lane = _Lane(lambda: turn.enter_context(at_work), device, lambda stage: clock(stage, lanes))
            encoded = _encoded(planned, batch, lane)
            with device, clock("respond", lanes):
                B, sq_norms = (
                    [np.rot90(values, -window.turns) for values, window in zip(batched, batch, strict=True)]
                    for batched in respond(encoded.features, directions)
                )
            if planned.setup.colours:
                B = [np.concatenate(pair, -1) for pair in zip(B, encoded.colours, strict=True)]
            responded = Responded(batch, B, sq_norms, encoded.unreadable)
            if keeper is not None and number < lanes:
                with clock("store", lanes):
                    keeper.put(index, responded)
        return responded

    def counted(responses: Iterator[Responded], n: int) -> Iterator[Responded]:
        nonlocal done
        for _ in range(n):
            responded = next(responses)
            yield responded
            done += len(responded.windows)
            watch.on_window(done, plan.windows)

    watch.on_window(done, plan.windows)
    ahead = [(index, number) for index in range(first, len(of_rows)) for number in range(len(of_rows[index]))]
    responses = map_ahead(respond_to, ahead, lanes, initializer=lambda: torch.set_num_threads(threads // at_once))
    try:
        for row, batches_of_row in zip(plan.rows[first:], of_rows[first:], strict=True):
            yield row, counted(responses, len(batches_of_row))
    finally:
        responses.close()
        torch.set_num_threads(threads)


@dataclass(frozen=True, slots=True)
class _Lane:
    """How a lane works beside the others: it waits for its turn once it has read, and for the device."""

    turn: Callable[[], object]
    device: AbstractContextManager[object]
    timed: Callable[[str], AbstractContextManager[None]]


def _encoded(planned: Planned, batch: Sequence[Window], lane: _Lane) -> EncodedBatch:
    """Features of a batch: read and encoded, or from memory."""
    encoder, memory = planned.setup.encoder, planned.memory
    if memory is not None and (held := memory.recall(batch, encoder.device)) is not None:
        if planned.on_read is not None:
            _read(planned, batch)
        return held
    with lane.timed("read"):
        read = _read(planned, batch)
        turned = [np.rot90(pixels.rgb, window.turns) for pixels, window in zip(read, batch, strict=True)]
    lane.turn()
    with lane.device, lane.timed("encode"):
        features = encode(encoder, np.stack(turned))
    unreadable = tuple(block for pixels in read for block in pixels.unreadable)
    colours = [mean_colours(pixels.rgb, encoder.spec.patch_px) for pixels in read] if planned.setup.colours else ()
    encoded = EncodedBatch(features, unreadable, tuple(colours))
    if memory is not None:
        memory.keep(batch, encoded)
    return encoded


def _read(planned: Planned, batch: Sequence[Window]) -> list[Pixels]:
    """The px of windows, shown to whoever looks at them; also of those whose features are at hand."""
    read = [read_window(planned.slide, planned.plan.frame, window) for window in batch]
    if planned.on_read is not None:
        for window, pixels in zip(batch, read, strict=True):
            planned.on_read(window, pixels.rgb)
    return read


def mean_colours(rgb: NDArray[np.uint8], patch_px: int) -> Float:
    """Mean colours (h, w, 3) in [0, 1] of the patches of a window (h * patch_px, w * patch_px, 3)."""
    height, width = (side // patch_px for side in rgb.shape[:2])
    means = cv2.resize(rgb.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(means / 255, np.float32)


def bands_of(row: WindowRow) -> list[tuple[int, int]]:
    """Bands (start, stop) of the token rows that a row of windows finishes."""
    first, last = row.g_rows
    return [(start, min(start + BAND_ROWS, last)) for start in range(first, last, BAND_ROWS)]


class Blender:
    """Blends responses on one canvas, from top to bottom.

    Args:
        plan: from ``make_plan``.
        width: numbers a token.
        clock: told how long it takes.
        colours: whether three more, the colours, follow them.
    """

    def __init__(self, plan: Plan, width: int, clock: Clock, *, colours: bool = False) -> None:
        self._plan, self._clock, self._width = plan, clock, width
        self._canvas = Canvas(plan.frame, plan.rule, plan.layout, width + 3 * colours)
        self._unreadable = np.zeros(plan.g_tissue.shape, bool)
        self.next_row = 0  # of windows

    def state(self) -> dict[str, NDArray[Any]]:
        """What ``restore`` needs to go on after the row that came out last."""
        unreadable = np.packbits(self._unreadable)
        return {**self._canvas.state(), "next_row": np.array(self.next_row), "unreadable": unreadable}

    def restore(self, state: State) -> None:
        """Go on after the row at which ``state`` was taken."""
        self._canvas.restore(state)
        self.next_row = int(state["next_row"])
        shape = self._plan.g_tissue.shape
        unpacked = np.unpackbits(state["unreadable"], count=shape[0] * shape[1])
        self._unreadable = unpacked.reshape(shape).astype(bool)

    def blend(self, rows: Iterable[tuple[WindowRow, Iterable[Responded]]]) -> Iterator[Blended]:
        """Token rows that no window touches any more, of rows of windows from ``encode_rows``."""
        for row, responses in rows:
            for responded in responses:
                self._add(responded)
            self.next_row += 1
            yield from self._finished(row)

    def _add(self, responded: Responded) -> None:
        with self._clock("blend"):
            self._canvas.add(responded.windows, responded.B, responded.sq_norms)
        stride = self._plan.frame.stride_px
        for x, y, width, height in responded.unreadable:
            rows, columns = (slice(a // stride, -(-(a + n) // stride)) for a, n in ((y, height), (x, width)))
            self._unreadable[rows, columns] = True

    def _finished(self, row: WindowRow) -> Iterator[Blended]:
        for start, stop in bands_of(row):
            with self._clock("blend"):
                B, sq_norms = self._canvas.take(stop)
            unreadable = self._unreadable[start:stop]
            tissue = self._plan.g_tissue[start:stop] & ~unreadable
            B, colours = B[..., : self._width], B[..., self._width :]
            ends = stop == row.g_rows[1]
            yield Blended((start, stop), ends, B, sq_norms, tissue, unreadable, colours if colours.size else None)


def encode_features(planned: Planned, watch: Watch | None = None) -> Iterator[Blended]:
    """Blended features of an input, in bands from top to bottom: ``Blended.B`` is (rows, w, d)."""
    if planned.parts is not None:
        return iter(planned.parts)
    watch = watch or Watch()
    setup = planned.setup
    blender = Blender(planned.plan, setup.encoder.spec.dim, watch.clock, colours=setup.colours)
    return blender.blend(encode_rows(planned, None, watch))
