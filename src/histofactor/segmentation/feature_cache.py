"""An input encoded once, to be segmented in several ways: other methods, other concepts, other K."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from histofactor.base.clock import Watch
from histofactor.errors import OptionError
from histofactor.segmentation.encoding import Blended, Planned, encode_features
from histofactor.segmentation.plan import Plan, make_plan
from histofactor.segmentation.setup import Segmenter, Setup
from histofactor.slides.reader import Slide


@dataclass(frozen=True, slots=True)
class FeatureCache:
    """The blended features of one input; responses to any concepts follow from them.

    Attributes:
        setup: how they came about.
        plan: how the input was cut.
        parts: bands of features, from top to bottom.
    """

    setup: Setup
    plan: Plan
    parts: tuple[Blended, ...]


def cache_features(slide: Slide, setup: Setup, watch: Watch | None = None) -> FeatureCache:
    """Encode an open input and keep all its features.

    Args:
        slide: the input; it should be small.
        setup: how tokens come about.
        watch: who is told.
    """
    plan = make_plan(slide, setup)
    return FeatureCache(setup, plan, tuple(encode_features(Planned(slide, setup, plan), watch)))


def respond_from(cache: FeatureCache, segmenter: Segmenter) -> Iterator[Blended]:
    """Bands of responses to the concepts of a segmenter, as if the input were encoded for it.

    Args:
        cache: from ``cache_features``.
        segmenter: with the same setup.

    Raises:
        OptionError: the segmenter would encode the input in another way.
    """
    ours, theirs = cache.setup, segmenter.setup
    if ours.encoder is not theirs.encoder or replace(ours, encoder=theirs.encoder) != theirs:
        raise OptionError("the input was encoded in another way", mend="encode it with this setup")
    directions = segmenter.directions
    for part in cache.parts:
        yield part if directions is None else replace(part, B=part.B @ directions.astype(np.float32))
