"""An input encoded once, to be segmented in several ways: other methods, other concepts, other K."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.base.clock import Clock
from histofactor.errors import OptionError
from histofactor.segmentation.encoding import Blended, Encoding, Progress
from histofactor.segmentation.method import directions
from histofactor.segmentation.plan import Plan, make_plan
from histofactor.segmentation.setup import Engine
from histofactor.slides.reader import Slide


@dataclass(frozen=True, slots=True)
class FeatureCache:
    """The blended features of one input; responses to any concepts follow from them.

    Attributes:
        engine: what it was encoded with.
        plan: how it was cut.
        parts: bands of features, from top to bottom.
    """

    engine: Engine
    plan: Plan
    parts: tuple[Blended, ...]


def encode_slide(slide: Slide, engine: Engine, on_progress: Progress = lambda done, total: None) -> FeatureCache:
    """Encode an open input and keep all its features.

    Args:
        slide: the input; it should be small.
        engine: from ``prepare``, for any method.
        on_progress: called with (windows done, windows in all).
    """
    engine = replace(engine, method="single", bank=None)
    plan = make_plan(slide, engine)
    return FeatureCache(engine, plan, tuple(Encoding(slide, engine, plan, Clock(), on_progress)))


class CachedEncoding:
    """Bands of responses to the concepts of another engine, as ``Encoding`` would yield them.

    Args:
        encoded: from ``encode_slide``.
        engine: with the same encoder and options.

    Raises:
        OptionError: the engine would encode the input in another way.
    """

    def __init__(self, encoded: FeatureCache, engine: Engine) -> None:
        ours, theirs = ((one.encoder, one.mpp, one.options) for one in (encoded.engine, engine))
        if ours[0] is not theirs[0] or ours[1:] != theirs[1:]:
            raise OptionError("the input was encoded in another way", mend="encode it with this engine")
        self._parts, self._aims = encoded.parts, directions(engine.method, engine.bank)

    def __iter__(self) -> Iterator[Blended]:
        for part in self._parts:
            yield part if self._aims is None else replace(part, B=part.B @ self._aims.astype(np.float32))

    def state(self) -> dict[str, NDArray[Any]]:
        """Nothing: all of it can be had again."""
        return {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Nothing to go on from."""
