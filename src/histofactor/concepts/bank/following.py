"""Do concepts follow the groups of slides (hospitals, scanners, …) rather than the tissue? What a bank tells of it.

Every group counts alike. With q(g, k) the share of concept k in the sampled tokens of group g, of G groups:

- The **excess** of a concept is (s - 1/G) / (1 - 1/G), with s = max over g of q(g, k) / Σ q(·, k), the share of the
  group that most of it comes from: 0 where all groups give alike, 1 where one group gives all.
- The **ARI** is the adjusted Rand index (Hubert & Arabie 1985) of concept and group over the sample's tokens, which
  PathoROB's clustering score, ARI with tissue - ARI with hospital, takes off (arXiv 2507.17845). It is 1 where concepts
  are the groups one by one; where several concepts share a group it is less, however purely they do.
- The **tail mean** is the mean excess over the tenth of the tissue whose concepts have the largest: the lower-tail
  mean at α = 0.1 that CRoMa reports of its margins (arXiv 2607.25497), here of concepts, where large is bad.
- **By chance**: slides of one group share tissue, so all is compared with what there is where slides are dealt to
  groups of the same sizes at random (a permutation test). A concept **follows** its group where its excess is at least
  0.6 (of two groups, four fifths come from one) and lies so far above its mean over deals, in standard deviations, as
  in at most 5 % of them any concept does (step-down max-T; Westfall & Young 1993). Where slides can be dealt in fewer
  than 20 ways there is no telling.
- **Centred**: where concepts are mostly the groups, the tokens are clustered again with each group's mean taken from
  them. What a stain or a scanner does to all tissue alike is then gone, and concepts are of all groups; what remains is
  other tissue in every group, or a difference that is no shift.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from histofactor.base.text import counted
from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.provenance import slides_of
from histofactor.concepts.bank.record import is_a
from histofactor.errors import BankError
from histofactor.records import ConceptBank

FOLLOWING = "following"  # in the provenance of a K
EXCESS = 0.6  # from which on a concept may follow its group
LEVEL = 0.05  # of what chance does
FEWEST_DEALS = 20  # ways of dealing slides to groups, below which that level is out of reach
TAIL = 0.1  # share of the tissue
_MOSTLY = 0.5  # share of the tissue in concepts that follow a group, from which on the concepts are groups
_GONE = 0.5  # times what it was, below which centring has taken it away
_MOST_SLIDES = 2**31


@dataclass(frozen=True, slots=True)
class Following:
    """How far the concepts of one K follow the groups of slides; see the module.

    Attributes:
        groups, slides: how many.
        ari: of concept and group.
        by_chance: its mean over deals.
        p: share of the deals whose ARI is as large or larger; None where there are fewer than 20 of them.
        tail_mean: of the excess, in [0, 1].
        excess: of every concept, in [0, 1].
        most: the group that most of each concept is from; "" of one without tokens.
        follows: whether each follows it.
        share: of the tissue, that is in concepts that follow a group.
        centred_share: of the tissue, that is in concepts of an excess of 0.6 or more once each group's mean is taken
            from its tokens; None where that was not tried.
    """

    groups: int
    slides: int
    ari: float
    by_chance: float
    p: float | None
    tail_mean: float
    excess: tuple[float, ...]
    most: tuple[str, ...]
    follows: tuple[bool, ...]
    share: float
    centred_share: float | None = None

    @property
    def are_groups(self) -> bool:
        """Whether the concepts are mostly the groups."""
        return self.p is not None and self.p <= LEVEL and self.share >= _MOSTLY

    @property
    def is_shift(self) -> bool:
        """Whether that goes away with each group's mean."""
        return self.centred_share is not None and self.centred_share < _GONE * self.share


def stated(found: Following) -> dict[str, Any]:
    """The same in JSON types, as the provenance of a K holds it."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(found).items()}


def following_of(bank: ConceptBank) -> Following | None:
    """What a bank tells of it, or None where it tells nothing.

    Raises:
        BankError: it is not as ``Following``.
    """
    return following_in(bank.provenance, len(bank.names))


def following_in(provenance: Mapping[str, Any], k: int) -> Following | None:
    """The same from the provenance of K concepts."""
    held = provenance.get(FOLLOWING)
    if held is None:
        return None
    if not isinstance(held, dict) or not _is_following(held, k):
        raise BankError(
            f"the concept bank's {FOLLOWING} cannot be read",
            expected=f"what is measured of {k} concepts",
            got=f"{held!r:.100}",
            mend="write the bank again, or get a fresh copy",
        )
    known: dict[str, Any] = {name: tuple(held[name]) if isinstance(held[name], list) else held[name] for name in _NAMES}
    return Following(**known)


def told(k: int, found: Following) -> str:
    """What was found of one K, in a sentence."""
    if found.p is None:
        return (
            f"whether concepts follow the {found.groups} groups cannot be told from {counted(found.slides, 'slide')}: "
            f"these can be dealt to them in fewer than {FEWEST_DEALS} ways; 4 slides in each of two groups are enough"
        )
    figures = (
        f"ARI with the groups {found.ari:.2f}, by chance {found.by_chance:.2f}, p = {found.p:.3f}; tail mean "
        f"{found.tail_mean:.2f}"
    )
    if not any(found.follows):
        return f"K = {k}: no concept follows a group ({figures})"
    if not found.are_groups:
        which = [
            f"{n} ({group})" for n, (group, yes) in enumerate(zip(found.most, found.follows, strict=True), 1) if yes
        ]
        some = ", ".join(which[:8]) + (", …" if len(which) > 8 else "")
        follow = f"{counted(len(which), 'concept')} {'follows' if len(which) == 1 else 'follow'} one group"
        return f"K = {k}: {follow}, {found.share:.0%} of the tissue: {some} ({figures})"
    return (
        f"K = {k}: the concepts are the groups: {found.share:.0%} of the tissue is in concepts of one group ({figures})"
    )


def in_words(found: Following) -> str:
    """What was found, in a few words."""
    if found.p is None:
        return f"{counted(found.slides, 'slide')} in {found.groups} groups: too few to tell"
    if not any(found.follows):
        return "no concept follows a group"
    begin = "the concepts are the groups" if found.are_groups else "follow one group"
    return f"{begin}: {counted(sum(found.follows), 'concept')}, {found.share:.0%} of the tissue"


def advice(k: int, found: Following, target: str) -> str:
    """What to do about it, in a sentence or two; "" where there is nothing.

    Args:
        k, found: of one K.
        target: the bank or the study, as the command line names it.
    """
    exclude = f"histofactor concepts exclude {target} -k {k} --one-group"
    if not found.are_groups:
        return f"those can be left out of all shares: {exclude}" if any(found.follows) else ""
    if found.centred_share is None:
        return "learn from slides of the same tissue in every group"
    centred = f"with each group's mean taken from its tokens {found.centred_share:.0%} is"
    if found.is_shift:
        return (
            f"{centred}: what sets groups apart is one shift (stain, scanner), or each has one tissue alone; learn "
            "with histofactor concepts train --centring 1, or with an encoder that is less sensitive to it"
        )
    return (
        f"{centred}, still: groups have different tissue, or differ by more than a shift, and that cannot be told "
        "apart; learn from slides of the same tissue in every group, or leave concepts of one group out of all "
        f"shares: {exclude}"
    )


def ungrouped(card: Mapping[str, Any]) -> str:
    """What is not reported of groups since slides are of one group or some are of none; "" where none are given.

    Args:
        card: of a bank.

    Raises:
        BankError: its slides cannot be read.
    """
    slides = slides_of(card)
    given = [slide.group for slide in slides if slide.group is not None]
    if not given:
        return ""
    rows = zip(slides, card["slides"], strict=True)
    with_tissue = {slide.group for slide, entry in rows if slide.group is not None and entry.get("sampled", 1)}
    n, lack = counted(len(slides), "input"), len(slides) - len(given)
    without = f"{lack} of {n} {'has' if lack == 1 else 'have'} no group"
    if len(with_tissue) > 1:
        told = "they are in no figure on groups, and whether concepts are theirs is not reported"
        return f"{without}: {told}" if lack else ""
    groups = {*given}
    one = f"of one group, {given[0]}" if len(groups) == 1 else f"of {len(groups)} groups, of which no two have tissue"
    some = f"{len(given)} of {n} {'is' if len(given) == 1 else 'are'} {one}, and {without}"
    told = "whether concepts follow groups is not reported, which takes two groups"
    return f"{some if lack else f'all {n} are {one}'}: {told}"


def sentences(file: BankFile, k: int, target: str) -> list[str]:
    """What a run that learned concepts says of it; a warning begins with the word.

    Args:
        file: what was learned.
        k: the one that is used, or recommended.
        target: the bank or the study, as the command line names it.

    Raises:
        BankError: what a bank tells of it cannot be read.
    """
    missing = [sentence] if (sentence := ungrouped(file.card)) else []
    found = {level: following for level, bank in file.banks.items() if (following := following_of(bank)) is not None}
    if k not in found:
        return missing
    first = told(k, found[k])
    if others := [str(level) for level, one in found.items() if level != k and one.are_groups]:
        first += f"; at K = {', '.join(others)} {'too ' if found[k].are_groups else ''}the concepts are the groups"
    what = advice(k, found[k], target)
    return [f"{'warning: ' if found[k].are_groups else ''}{first}", *([what] if what else []), *missing]


_NAMES = tuple(field.name for field in fields(Following))


def _is_following(held: Mapping[str, Any], k: int) -> bool:
    """Whether all is there, of the right kinds and in range."""
    if not set(_NAMES) <= set(held):
        return False
    lists = [held[name] for name in ("excess", "most", "follows")]
    if not all(isinstance(one, list) and len(one) == k for one in lists):
        return False
    excess, most, follows = lists
    if not all(isinstance(one, str) for one in most) or not all(isinstance(one, bool) for one in follows):
        return False
    numbers = [*(held[name] for name in ("ari", "by_chance", "tail_mean", "share")), *excess]
    numbers += [held[name] for name in ("p", "centred_share") if held[name] is not None]
    counts = [held[name] for name in ("groups", "slides")]
    whole = all(is_a(int, one) and 0 < one < _MOST_SLIDES for one in counts)
    return whole and all(is_a(int | float, one) and abs(one) <= 1 for one in numbers)
