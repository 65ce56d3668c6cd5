"""Vision-language pairs: an encoder of images and one of texts, whose embeddings lie in one space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histofactor.records import Float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """An encoder of images and an encoder of texts.

    Attributes:
        name: what it is called in what is made with it.
        revision: commit or digest of its weights.
        side_px: side of the images that it takes.
        scale: what cosines are multiplied with before the softmax, as it was trained, > 0.
        images: from RGB (n, side, side, 3) uint8 to unit vectors (n, d) float32.
        texts: from n texts to unit vectors (n, d) float32.
    """

    name: str
    revision: str
    side_px: int
    scale: float
    images: Callable[[NDArray[np.uint8]], Float]
    texts: Callable[[Sequence[str]], Float]

    def __str__(self) -> str:
        """Name and revision."""
        return f"{self.name} ({self.revision[:19]})" if self.revision else self.name
