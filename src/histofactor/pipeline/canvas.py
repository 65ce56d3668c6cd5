"""One canvas per input, on which the responses of overlapping windows are blended before anything is solved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from histofactor.records import WindowRule
from histofactor.slides.grid import Frame, Window, taper, token_overlap


class Canvas:
    """Tapered sums of responses on the token grid.

    Responses are linear in the features, so their weighted mean is the response of the weighted mean of the features:
    blending here is exact, at K numbers a token instead of the encoder's width.

    Args:
        frame: the frame of the input.
        rule: the window rule, which sets the taper.
        width: numbers a token.
    """

    def __init__(self, frame: Frame, rule: WindowRule, width: int) -> None:
        columns, rows = frame.g_size
        self._frame, self._rule = frame, rule
        self._sum = np.zeros((rows, columns, width), np.float32)
        self._sq_norms = np.zeros((rows, columns), np.float32)
        self._weight = np.zeros((rows, columns), np.float32)

    def add(self, windows: Sequence[Window], B: NDArray[np.float32], sq_norms: NDArray[np.float32]) -> None:
        """Add the responses B (n, h, w, width) and squared norms (n, h, w) of n windows."""
        for window, responses, norms in zip(windows, B, sq_norms, strict=True):
            weight = taper(window, self._rule, self._frame.stride_px)
            grid, part = token_overlap(self._frame, window)
            self._sum[grid] += responses[part] * weight[part][..., None]
            self._sq_norms[grid] += norms[part] * weight[part]
            self._weight[grid] += weight[part]

    def blended(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean responses (h, w, width) and mean squared norms (h, w); 0 where no window fell."""
        seen = self._weight > 0
        inverse = np.divide(1, self._weight, out=np.zeros_like(self._weight), where=seen)
        return self._sum * inverse[..., None], self._sq_norms * inverse
