"""How much of an input is encoded to learn from it, and which of its tokens a sample takes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from histofactor.base.clock import Watch
from histofactor.concepts.learn.sample import Keys, Known, Quota, Sample
from histofactor.records import Float, SlideMean
from histofactor.segmentation.cluster_rows import cluster_rows_of
from histofactor.segmentation.encoding import Planned
from histofactor.segmentation.plan import Plan, subsample_windows
from histofactor.segmentation.setup import Setup
from histofactor.segmentation.stains import StainWatch
from histofactor.segmentation.window_memory import bytes_of_features
from histofactor.slides.tissue import ASSUMED_MPP

SHARE = 0.05  # of the windows of an input, at most, that may be encoded to learn from it alone
SMALL_BYTES = 2**29  # an input whose features take no more is encoded whole: they can be held for segmenting it


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRule:
    """Which windows of an input are encoded to learn from it.

    Attributes:
        most: windows at most, drawn at random; 0: all.
        share: of its windows, at most; one is always drawn.
        small_bytes: an input whose features take no more is encoded whole whatever the others say.
        seed: of the draw, which depends on the number of windows besides, and on nothing else.
    """

    most: int = 32
    share: float = 1.0
    small_bytes: int = 0
    seed: int = 0


def sparing_rule(seed: int) -> WindowRule:
    """The windows that tell of an input which is segmented too: all of a small one, else a share."""
    return WindowRule(share=SHARE, small_bytes=SMALL_BYTES, seed=seed)


@dataclass(frozen=True, slots=True)
class Whose:
    """Which slide tokens are from.

    Attributes:
        name: what tells it from all others.
        weight: how many tokens it should give, in proportion to other slides.
    """

    name: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Tokens of one slide that a sample would take.

    Attributes:
        tokens: (n, d).
        keys: (n,) their keys.
        known: what else is known of them.
    """

    tokens: Float
    keys: Keys
    known: Known


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """What an input gave.

    Attributes:
        seen: tokens, or tiles, that were encoded.
        side: side in level-0 px of the patch that shows one of them.
        drawn: those for the sample; None where none were encoded.
        mean: of all that were encoded; None where none were.
    """

    seen: int
    side: float
    drawn: Drawn | None
    mean: SlideMean | None


class RunningMean:
    """Mean of the tokens of an input, which come part by part."""

    def __init__(self, planned: Planned) -> None:
        frame = planned.plan.frame
        self.n, self._sum = 0, np.zeros(planned.setup.encoder.spec.dim)
        self._token_mm2 = (frame.stride_px * (frame.t_mpp or ASSUMED_MPP) / 1000) ** 2

    def add(self, tokens: Float) -> None:
        """Take in tokens (n, d)."""
        self.n += len(tokens)
        self._sum += tokens.sum(0, dtype=np.float64)

    @property
    def found(self) -> SlideMean:
        """The mean; there must be tokens."""
        return SlideMean((self._sum / self.n).astype(np.float32), self.n * self._token_mm2)


def is_small(plan: Plan, setup: Setup, rule: WindowRule) -> bool:
    """Whether an input is encoded whole because its features take little memory."""
    return bytes_of_features(plan, setup) <= rule.small_bytes


def draw_windows(plan: Plan, setup: Setup, rule: WindowRule) -> Plan:
    """The plan of the windows of an input that are encoded to learn from it.

    Args:
        plan: of the whole input.
        setup: how tokens come about.
        rule: how many.
    """
    if is_small(plan, setup, rule):
        return plan
    windows = plan.windows // setup.views
    few = max(1, round(rule.share * windows))
    return subsample_windows(plan, setup, min(few, rule.most or few), np.random.default_rng(rule.seed))


def take_tokens(planned: Planned, quota: Quota, whose: Whose, pool: str = "token", watch: Watch | None = None) -> Taken:
    """Encode an input and draw those of its tokens that a sample wants.

    Args:
        planned: the input; its plan says which windows.
        quota: what the sample wants.
        whose: which slide it is.
        pool: see ``cluster_rows_of``.
        watch: who is told.

    Raises:
        OptionError, EncoderError: as ``cluster_rows_of``.
    """
    stains = StainWatch(planned.plan)
    rows = cluster_rows_of(replace(planned, on_read=stains.see), pool, watch)
    draw = quota.draw(whose.name, rows.n, whose.weight)
    indices, tokens, norms, mean = [], [], [], RunningMean(planned)
    for found, features, sq_norms in rows.stream:
        mean.add(features)
        wanted = draw.wanted[found] & features.any(axis=1)  # a token without features says nothing
        indices.append(found[wanted])
        tokens.append(features[wanted])
        norms.append(sq_norms[wanted])
    drawn = None
    if indices:
        chosen = np.concatenate(indices)
        known = Known(np.concatenate(norms), rows.places[chosen], stains.of(rows.units, rows.n)[chosen])
        drawn = Drawn(np.concatenate(tokens), draw.keys[chosen], known)
    return Taken(mean.n, rows.side, drawn, mean.found if mean.n else None)


def put_tokens(sample: Sample, number: int, taken: Taken) -> None:
    """Put what an input gave into a sample.

    Args:
        sample: takes it.
        number: how the sample calls the slide.
        taken: from ``take_tokens``, by a quota of this sample, now or before.
    """
    if taken.drawn is not None:
        sample.add(taken.drawn.tokens, taken.drawn.keys, number, taken.drawn.known)
    if taken.mean is not None:
        sample.means[number] = taken.mean


def mean_of(planned: Planned, watch: Watch | None = None) -> SlideMean | None:
    """Mean of the tissue tokens of an input, as ``take_tokens`` finds it; None where there are none."""
    mean = RunningMean(planned)
    for _, features, _ in cluster_rows_of(planned, "token", watch).stream:
        mean.add(features)
    return mean.found if mean.n else None
