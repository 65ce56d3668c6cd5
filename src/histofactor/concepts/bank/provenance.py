"""What a bank says of its concepts, read with care: any of it may be missing, and a file may say nonsense.

Of one K, in ``provenance``: ``counts`` (sampled tokens of every concept), ``per_group`` and ``per_slide`` (the same by
group, or for every slide), ``leaf_counts`` (the same by leaf), ``in_one_slide``
(of every concept the share of its tokens that the slide with most of them has, where slides are too many for
``per_slide``), ``stains`` (how the tissue of every concept is stained,
as ``slides.stain`` measures it, or None), ``following`` (see ``bank.following``), ``examples`` (typical tokens of every
concept), ``residual_limit`` (as in the choice of K), and ``window_px`` (side of the windows whose tokens were sampled).
Of all K, in the ``card``: ``slides``, of which an example names one by its place, and free text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histofactor.concepts.bank.record import is_a
from histofactor.errors import BankError
from histofactor.records import ConceptBank
from histofactor.slides.stain import MEASURES

Counts = NDArray[np.float64]
Stains = NDArray[np.float64]
CHOICE = ("stability", "inertia", "residual")  # what the choice of K tells of each
STAIN_DIGITS = 4  # after the point, of what is told of stain
_MOST_PX = 2**20  # of a window
_MOST_STAIN = 10.0  # an optical density beyond which nothing was measured
WINDOW = "window_px"
ONE_SLIDE = "in_one_slide"
LIMIT = "residual_limit"  # what it may tell too, and the provenance of each K with it


@dataclass(frozen=True, slots=True)
class Example:
    """A typical token.

    Attributes:
        slide: place of its slide on the card.
        x, y: upper left corner of the square patch that shows it, in level-0 px.
        side: side of the patch in level-0 px.
        distance: how far it is from its concept.
    """

    slide: int
    x: float
    y: float
    side: float
    distance: float


@dataclass(frozen=True, slots=True)
class SlideNote:
    """A slide that concepts were learned from.

    Attributes:
        name: its file name, or the end of its path.
        group: hospital, project, … or None.
        sha256: of the file, or "" where it is not told.
    """

    name: str
    group: str | None
    sha256: str


def counts_of(bank: ConceptBank) -> Counts | None:
    """Tokens (K,) of every concept, or None where it is not told.

    Raises:
        BankError: they are no counts.
    """
    counts = bank.provenance.get("counts")
    return None if counts is None else _counts("counts", counts, len(bank.names))


def leaf_counts_of(bank: ConceptBank) -> Counts | None:
    """Tokens (M,) of every leaf of unions, or None where it is not told.

    Raises:
        BankError: they are no counts.
    """
    counts = bank.provenance.get("leaf_counts")
    if counts is None or bank.leaves is None:
        return None
    return _counts("leaf_counts", counts, len(bank.leaves.owners))


def per_group_of(bank: ConceptBank) -> dict[str, Counts]:
    """Tokens (K,) of every concept by group; empty where there are no groups.

    Raises:
        BankError: they are no counts.
    """
    groups = bank.provenance.get("per_group") or {}
    if not isinstance(groups, dict):
        raise _damaged("per_group", "counts by name", groups)
    return {name: _counts("per_group", counts, len(bank.names)) for name, counts in groups.items()}


def per_slide_of(bank: ConceptBank) -> list[Counts]:
    """Tokens (K,) of every concept, for every slide on the card; empty where it is not told.

    Raises:
        BankError: they are no counts.
    """
    slides = bank.provenance.get("per_slide") or []
    if not isinstance(slides, list):
        raise _damaged("per_slide", "counts for every slide", slides)
    return [_counts("per_slide", counts, len(bank.names)) for counts in slides]


def in_one_slide_of(bank: ConceptBank) -> Counts | None:
    """Share (K,) of the tokens of every concept that are in the slide with most of them; None where it is not told.

    0 for a concept without tokens.

    Raises:
        BankError: they are no shares.
    """
    if per_slide := per_slide_of(bank):
        return most_in_one(np.array(per_slide))
    shares = bank.provenance.get(ONE_SLIDE)
    if shares is None:
        return None
    found = _counts(ONE_SLIDE, shares, len(bank.names))
    if found.max(initial=0) > 1:
        raise _damaged(ONE_SLIDE, "shares from 0 to 1", shares)
    return found


def most_in_one(per_slide: Counts | NDArray[np.integer[Any]]) -> Counts:
    """Share (K,) of counts (S, K) that the slide with most has; 0 of none."""
    total = per_slide.sum(0)
    shares: Counts = np.divide(per_slide.max(0), total, out=np.zeros(len(total)), where=total > 0)
    return shares


def stains_of(bank: ConceptBank) -> Stains | None:
    """How the tissue of every concept is stained (K, MEASURES), see ``slides.stain``, NaN where it was not measured.

    None where it is not told.

    Raises:
        BankError: it is no such table.
    """
    return stains_in(bank.provenance, len(bank.names))


def stains_in(provenance: Mapping[str, Any], k: int) -> Stains | None:
    """The same from the provenance of K concepts, as ``segmentation.json`` has it too."""
    stains = provenance.get("stains")
    if stains is None:
        return None
    rows = [[np.nan] * MEASURES if row is None else row for row in stains] if isinstance(stains, list) else []
    known = all(is_a(list, row) and len(row) == MEASURES and all(is_a(int | float, one) for one in row) for row in rows)
    if len(rows) != k or not known or np.any(np.abs(np.array(rows)) > _MOST_STAIN):
        raise _damaged("stains", f"{k} lists of {MEASURES} numbers, or none", stains)
    return np.array(rows, np.float64)


def examples_of(bank: ConceptBank) -> list[tuple[Example, ...]]:
    """Typical tokens of each of the K concepts, the best first; none where they are not told.

    Raises:
        BankError: they are not as ``Example``.
    """
    lists = bank.provenance.get("examples")
    if lists is None:
        return [()] * len(bank.names)
    if not isinstance(lists, list) or len(lists) != len(bank.names) or not all(isinstance(one, list) for one in lists):
        raise _damaged("examples", f"{len(bank.names)} lists", lists)
    return [tuple(_example(one) for one in examples) for examples in lists]


def origin_of(provenance: Mapping[str, Any]) -> str:
    """Where concepts come from, in a few words."""
    return str(provenance.get("origin") or "a bank")


def residual_limit_of(bank: ConceptBank) -> float | None:
    """The residual in [0, 1] above which tissue is unlike the bank, or None where it is not told.

    Raises:
        BankError: it is no such number.
    """
    limit = bank.provenance.get(LIMIT)
    if limit is not None and not (is_a(int | float, limit) and 0 <= limit <= 1):
        raise _damaged(LIMIT, "a number from 0 to 1", limit)
    return limit


def window_of(bank: ConceptBank) -> int | None:
    """Side in px of the windows whose tokens concepts were learned from, or None where it is not told.

    Raises:
        BankError: it is no such number.
    """
    window = bank.provenance.get(WINDOW)
    if window is not None and not (is_a(int, window) and 0 < window < _MOST_PX):
        raise _damaged(WINDOW, "a number of px", window)
    return window


def stays_true(bank: ConceptBank) -> dict[str, Any]:
    """What a bank tells that is true of levels made of it too: texts (licence, source, …), residual limit and window.

    Raises:
        BankError: one of the two is no such number.
    """
    found: dict[str, Any] = {name: value for name, value in bank.provenance.items() if isinstance(value, str)}
    if (limit := residual_limit_of(bank)) is not None:
        found[LIMIT] = limit
    if (window := window_of(bank)) is not None:
        found[WINDOW] = window
    return found


def slides_of(card: Mapping[str, Any]) -> list[SlideNote]:
    """The slides on a card.

    Raises:
        BankError: they are not as ``SlideNote``.
    """
    slides = card.get("slides") or []
    if not isinstance(slides, list) or not all(isinstance(one, dict) for one in slides):
        raise _damaged("slides", "a list of objects", slides)
    found = [SlideNote(one.get("name", "?"), one.get("group"), one.get("sha256") or "") for one in slides]
    for note in found:
        if not isinstance(note.name, str) or not isinstance(note.sha256, str) or not is_a(str | None, note.group):
            raise _damaged("slides", "names, groups and hashes", note)
    return found


def check_card(card: Mapping[str, Any]) -> None:
    """Check what is shown of a card, where it is there: slides, options, groups, left_out, and the choice of K.

    Raises:
        BankError: it is not as training writes it.
    """
    slides_of(card)
    for name in ("options", "groups", "left_out", "choice"):
        if not isinstance(card.get(name) or {}, dict):
            raise _damaged(name, "an object", card[name])
    rows = (card.get("choice") or {"rows": []}).get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and _is_choice(row) for row in rows):
        raise _damaged("choice", f"rows of k, {', '.join(CHOICE)}", rows)


def _is_choice(row: Mapping[str, Any]) -> bool:
    known = is_a(int, row.get("k")) and all(is_a(int | float, row.get(name)) for name in CHOICE)
    limited = row.get(LIMIT) is None or is_a(int | float, row[LIMIT])
    return known and limited and row["k"] > 0 and all(abs(row[name]) < 1e12 for name in CHOICE)


def _example(value: Any) -> Example:
    fields = ("slide", "x", "y", "side", "distance")
    numbers = [value.get(name, 0 if name == "distance" else None) for name in fields] if is_a(dict, value) else []
    if not numbers or not all(is_a(int | float, one) and abs(one) < 1e12 for one in numbers):
        raise _damaged("examples", "slide, x, y, side, distance", value)
    slide, x, y, side, distance = numbers
    if not is_a(int, slide) or slide < 0 or side <= 0:
        raise _damaged("examples", "a slide ≥ 0 and a side > 0", value)
    return Example(slide, x, y, side, distance)


def _counts(name: str, value: Any, k: int) -> Counts:
    whole = isinstance(value, list) and len(value) == k and all(is_a(int | float, one) for one in value)
    if not whole or not all(0 <= one < 1e18 for one in value):
        raise _damaged(name, f"{k} numbers ≥ 0", value)
    return np.array(value, np.float64)


def _damaged(name: str, expected: str, got: Any) -> BankError:
    return BankError(
        f"the concept bank's {name} cannot be read",
        expected=expected,
        got=f"{got!r:.100}",
        mend="write the bank again, or get a fresh copy",
    )
