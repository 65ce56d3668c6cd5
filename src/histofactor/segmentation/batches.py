"""Which windows of a row are encoded together, and how much is at work at a time."""

from __future__ import annotations

from collections.abc import Sequence

from histofactor.encoders.batch import windows_at_once
from histofactor.encoders.encoder import Encoder
from histofactor.segmentation.plan import WindowRow
from histofactor.slides.geometry.windows import Window

LANES = 4  # batches at work at a time, at most
_GPU_PX = 2**23  # of windows that keep a GPU busy


def batches(row: WindowRow, encoder: Encoder) -> list[list[Window]]:
    """The windows of a row in groups that are encoded at a time; once turned, those of a group have one shape."""
    if not row.windows:
        return []
    width, height = row.windows[0].size
    n = windows_at_once(encoder, (width, height))
    if encoder.device.type != "cpu":  # a small part of the row, which the first of them are kept of
        n = min(n, max(1, _GPU_PX // (width * height), len(row.windows) // (4 * LANES)))
    lying = [window for window in row.windows if width == height or window.turns % 2 == 0]
    standing = [window for window in row.windows if width != height and window.turns % 2 == 1]
    return [group[start : start + n] for group in (lying, standing) for start in range(0, len(group), n)]


def within_a_row(of_rows: Sequence[Sequence[Sequence[Window]]]) -> int:
    """So many batches have no more windows than the widest row, one at least."""
    widest = max((sum(map(len, row)) for row in of_rows), default=0)
    return max(1, widest // max((len(batch) for row in of_rows for batch in row), default=1))
