"""What of the inputs is encoded to learn from them, where they are segmented afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from histofactor.runs.outcome import Outcome
from histofactor.segmentation.plan import Plan
from histofactor.segmentation.sampling import SHARE, SMALL_BYTES, WindowRule, is_small
from histofactor.segmentation.setup import Setup
from histofactor.segmentation.window_memory import bytes_of_features


@dataclass(frozen=True, slots=True, kw_only=True)
class Thrift:
    """How learning spares inputs that will be segmented afterwards.

    Attributes:
        share: of the windows of an input, and of those of all inputs, that may be encoded for learning alone.
        small_bytes: an input whose features take no more is encoded whole.
        held_bytes: of features of such inputs that are held for segmenting, so that they are encoded once; those
            beyond it count as encoded for learning alone.
        fewest: so many inputs are learned from whatever their share.
    """

    share: float = SHARE
    small_bytes: int = SMALL_BYTES
    held_bytes: int = 2**31
    fewest: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked(Outcome):
    """What an input has, before any of it is encoded.

    Attributes:
        windows: in all, every view counted.
        drawn: of these, windows that would be encoded to learn from it.
        feature_bytes: of all its features, where so few that they can be held; else 0.
        at_hand: whether its features are there already.
    """

    windows: int
    drawn: int
    feature_bytes: int
    at_hand: bool


@dataclass(frozen=True, slots=True)
class Allotment:
    """What of an input is encoded to learn from it.

    Attributes:
        any: whether anything is.
        held: bytes of its features to be held for segmenting; 0 holds none.
    """

    any: bool
    held: int


def rule_of(thrift: Thrift | None, most: int, seed: int) -> WindowRule:
    """By which windows are drawn: so many at most, and where inputs are spared, their share."""
    if thrift is None:
        return WindowRule(most=most, seed=seed)
    return WindowRule(most=most, share=thrift.share, small_bytes=thrift.small_bytes, seed=seed)


def looked_at(name: str, plan: Plan, drawn: Plan, setup: Setup, rule: WindowRule) -> Looked:
    """What an input has.

    Args:
        name: what it is called.
        plan: of all of it.
        drawn: of what would be encoded to learn from it, by ``rule``.
        setup: how tokens come about.
        rule: by which windows are drawn.
    """
    held = bytes_of_features(plan, setup) if is_small(plan, setup, rule) else 0
    return Looked(name, "done", windows=plan.windows, drawn=drawn.windows, feature_bytes=held, at_hand=False)


def allot(looked: Sequence[Looked], thrift: Thrift) -> list[Allotment]:
    """Share out what may be encoded for learning, in the order of the inputs.

    Features of small inputs are held as far as they fit; of others windows are encoded for learning alone, until the
    share of all windows is spent.

    Args:
        looked: what there is.
        thrift: how it is spared.
    """
    found: list[Allotment] = []
    in_all = sum(one.windows for one in looked)
    held = spent = used = 0
    for one in looked:
        if one.at_hand:
            allotted = Allotment(one.drawn > 0, 1)
        elif one.feature_bytes and held + one.feature_bytes <= thrift.held_bytes:
            allotted, held = Allotment(one.drawn > 0, one.feature_bytes), held + one.feature_bytes
        elif spent + one.drawn > thrift.share * in_all and used >= thrift.fewest:
            allotted = Allotment(False, 0)
        else:
            allotted, spent = Allotment(one.drawn > 0, 0), spent + one.drawn
        used += allotted.any
        found.append(allotted)
    return found
