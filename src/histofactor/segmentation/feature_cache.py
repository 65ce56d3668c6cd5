"""An input encoded once, to be segmented in several ways: other methods, other concepts, other K."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from histofactor.base.clock import Watch
from histofactor.errors import OptionError
from histofactor.records import SlideMean
from histofactor.segmentation.encoding import Blended, Planned, encode_features
from histofactor.segmentation.method import Directions
from histofactor.segmentation.plan import Plan, make_plan
from histofactor.segmentation.sampling import RunningMean
from histofactor.segmentation.setup import Setup
from histofactor.slides.reader import Slide


@dataclass(frozen=True, slots=True)
class FeatureCache:
    """The blended features of one input; responses to any concepts follow from them.

    Attributes:
        setup: how they came about.
        plan: how the input was cut.
        parts: bands of features, from top to bottom, as often as they are asked for.
    """

    setup: Setup
    plan: Plan
    parts: Iterable[Blended]


def cache_features(slide: Slide, setup: Setup, watch: Watch | None = None) -> FeatureCache:
    """Encode an open input and keep all its features.

    Args:
        slide: the input; it should be small.
        setup: how tokens come about.
        watch: who is told.
    """
    plan = make_plan(slide, setup)
    return FeatureCache(setup, plan, tuple(encode_features(Planned(slide, setup, plan), watch)))


def mean_of_cache(cache: FeatureCache, planned: Planned) -> SlideMean | None:
    """Mean of the tissue tokens of an input, or None where it has none."""
    mean = RunningMean(planned)
    for part in cache.parts:
        mean.add(part.B[part.tissue])
    return mean.found if mean.n else None


def respond_from(cache: FeatureCache, theirs: Setup, directions: Directions | None) -> Iterator[Blended]:
    """Bands of responses, as if the input were encoded for them.

    Args:
        cache: from ``cache_features``.
        theirs: how its tokens should come about.
        directions: (d, r) what features are multiplied with; None keeps the features.

    Raises:
        OptionError: the input was encoded in another way.
    """
    ours = cache.setup
    if ours.encoder is not theirs.encoder or replace(ours, encoder=theirs.encoder) != theirs:
        raise OptionError("the input was encoded in another way", mend="encode it with this setup")
    for part in cache.parts:
        yield part if directions is None else replace(part, B=part.B @ directions.astype(np.float32))
