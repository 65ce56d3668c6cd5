"""Encoded windows of one input that are held for a second pass, so that learning and segmenting encode it once.

The second pass gets the very features of the first, batch by batch: its results are those of encoding again, bit by
bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from histofactor.records import Features, Float, SlideMean
from histofactor.records.urls import Input
from histofactor.segmentation.plan import Plan
from histofactor.segmentation.setup import Setup
from histofactor.slides.blocks import Block
from histofactor.slides.geometry.windows import Window


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """Windows that were encoded together.

    Attributes:
        features: (n, h, w, d) of the n windows, as they were turned.
        unreadable: blocks of all of them, in working px of the input, that cannot be read.
        colours: (h, w, 3) of each, not turned, the mean colours in [0, 1] of the px of its tokens; empty where they are
            not asked for.
    """

    features: Features
    unreadable: tuple[Block, ...]
    colours: tuple[Float, ...] = ()


class WindowMemory:
    """Batches of one input by their windows; features lie in the memory of the CPU, whatever made them."""

    def __init__(self) -> None:
        self._held: dict[tuple[Window, ...], EncodedBatch] = {}

    def keep(self, windows: Sequence[Window], batch: EncodedBatch) -> None:
        """Hold what windows were encoded to."""
        features = Features(batch.features.values.cpu(), batch.features.stride_px, batch.features.encoder)
        self._held[tuple(windows)] = replace(batch, features=features)

    def recall(self, windows: Sequence[Window], device: torch.device) -> EncodedBatch | None:
        """What windows were encoded to, on a device; None where it is not held."""
        batch = self._held.get(tuple(windows))
        if batch is None:
            return None
        features = Features(batch.features.values.to(device), batch.features.stride_px, batch.features.encoder)
        return replace(batch, features=features)


@dataclass(frozen=True, slots=True)
class HeldInput:
    """What is known of an input that was encoded before.

    Attributes:
        plan: how it was cut.
        windows: features of all its windows, or None.
        mean: of its tokens, see ``sampling.mean_of``; None where it is not known.
    """

    plan: Plan
    windows: WindowMemory | None = None
    mean: SlideMean | None = None


class FeatureMemory:
    """Inputs that were encoded to learn from them and are yet to be segmented, by path and content."""

    def __init__(self) -> None:
        self._held: dict[tuple[Input, str], HeldInput] = {}

    def hold(self, path: Input, content: str, held: HeldInput) -> None:
        """Hold an input; ``content`` is the ``fingerprint`` of its files."""
        self._held[path.resolve(), content] = held

    def take(self, path: Input, content: str) -> HeldInput | None:
        """What is held of an input, which then is held no more; None where nothing is, or its content was another."""
        return self._held.pop((path.resolve(), content), None)

    def keep(self, paths: Iterable[Input]) -> None:
        """Hold no others than these inputs any more."""
        kept = {path.resolve() for path in paths}
        self._held = {(path, content): held for (path, content), held in self._held.items() if path in kept}


def bytes_of_features(plan: Plan, setup: Setup) -> int:
    """Bytes that the features of all windows of a plan take, every view counted."""
    spec = setup.encoder.spec
    tokens = sum(
        (window.size[0] // spec.patch_px) * (window.size[1] // spec.patch_px)
        for row in plan.rows
        for window in row.windows
    )
    return tokens * spec.dim * 4
