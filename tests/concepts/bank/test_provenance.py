"""What a bank says of itself: all of it may be missing, nonsense is told."""

from dataclasses import replace

import numpy as np
import pytest

from histofactor.concepts.bank.provenance import (
    Example,
    check_card,
    counts_of,
    examples_of,
    per_group_of,
    per_slide_of,
    residual_limit_of,
    slides_of,
    stays_true,
    window_of,
)
from histofactor.concepts.bank.record import new_bank
from histofactor.errors import BankError
from histofactor.records import EncoderKey

EXAMPLE = {"slide": 1, "x": 10.5, "y": 0, "side": 64, "distance": 0.25}


def bank(**provenance):
    made = new_bank(np.eye(2, 3, dtype=np.float32), EncoderKey("tiny", "1", "conv", "relu"))
    return replace(made, provenance=provenance)


def test_everything_may_be_missing():
    assert counts_of(bank()) is None
    assert per_group_of(bank()) == {}
    assert per_slide_of(bank()) == []
    assert examples_of(bank()) == [(), ()]
    assert residual_limit_of(bank()) is None
    assert window_of(bank()) is None
    assert slides_of({}) == []


def test_what_is_told_is_read():
    assert residual_limit_of(bank(residual_limit=0.75)) == 0.75
    assert window_of(bank(window_px=224)) == 224
    assert stays_true(bank(window_px=224, licence="MIT", counts=[3, 1])) == {"licence": "MIT", "window_px": 224}
    told = bank(counts=[3, 1], per_group={"A": [3, 0]}, per_slide=[[1, 1], [2, 0]], examples=[[EXAMPLE], []])
    assert counts_of(told).tolist() == [3, 1]
    assert {name: counts.tolist() for name, counts in per_group_of(told).items()} == {"A": [3, 0]}
    assert [counts.tolist() for counts in per_slide_of(told)] == [[1, 1], [2, 0]]
    assert examples_of(told) == [(Example(1, 10.5, 0, 64, 0.25),), ()]
    one, other = slides_of({"slides": [{"name": "a.svs", "group": "A", "sha256": "ab"}, {"name": "b.svs"}]})
    assert (one.name, one.group, one.sha256) == ("a.svs", "A", "ab")
    assert (other.name, other.group, other.sha256) == ("b.svs", None, "")


NONSENSE = {
    "counts short": (counts_of, {"counts": [1]}),
    "counts text": (counts_of, {"counts": "12"}),
    "counts negative": (counts_of, {"counts": [1, -1]}),
    "counts bool": (counts_of, {"counts": [1, True]}),
    "counts enormous": (counts_of, {"counts": [1, 10**400]}),
    "groups list": (per_group_of, {"per_group": [[1, 2]]}),
    "group short": (per_group_of, {"per_group": {"A": [1]}}),
    "slides object": (per_slide_of, {"per_slide": {"a": [1, 2]}}),
    "slide short": (per_slide_of, {"per_slide": [[1]]}),
    "examples short": (examples_of, {"examples": [[]]}),
    "examples flat": (examples_of, {"examples": [EXAMPLE, EXAMPLE]}),
    "example list": (examples_of, {"examples": [[[1, 2, 3]], []]}),
    "example without x": (examples_of, {"examples": [[{"slide": 0, "y": 1, "side": 2}], []]}),
    "example of slide -1": (examples_of, {"examples": [[{**EXAMPLE, "slide": -1}], []]}),
    "example of slide 1.0": (examples_of, {"examples": [[{**EXAMPLE, "slide": 1.0}], []]}),
    "example without side": (examples_of, {"examples": [[{**EXAMPLE, "side": 0}], []]}),
    "example far away": (examples_of, {"examples": [[{**EXAMPLE, "x": 1e300}], []]}),
    "window text": (window_of, {"window_px": "224"}),
    "window bool": (window_of, {"window_px": True}),
    "window of none": (window_of, {"window_px": 0}),
    "limit text": (residual_limit_of, {"residual_limit": "0.7"}),
    "limit bool": (residual_limit_of, {"residual_limit": True}),
    "limit above 1": (residual_limit_of, {"residual_limit": 1.5}),
    "limit NaN": (residual_limit_of, {"residual_limit": float("nan")}),
    "example text": (examples_of, {"examples": [[{**EXAMPLE, "y": "0"}], []]}),
}


@pytest.mark.parametrize(("read", "provenance"), NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_is_told(read, provenance):
    with pytest.raises(BankError, match="cannot be read"):
        read(bank(**provenance))


@pytest.mark.parametrize("slides", ["a.svs", ["a.svs"], [{"name": 3}], [{"name": "a", "group": 1}], [{"sha256": 1}]])
def test_nonsense_about_slides_is_told(slides):
    with pytest.raises(BankError, match="slides cannot be read"):
        slides_of({"slides": slides})


ROW = {"k": 8, "stability": 0.5, "inertia": 1, "residual": 0.1}


def test_a_card_as_training_writes_it():
    check_card({})
    check_card({"choice": {"rows": [{**ROW, "residual_limit": limit} for limit in (None, 0.5)]}})
    check_card({"options": {}, "groups": {"A": 1}, "left_out": {}, "choice": {"recommended": 8, "rows": [ROW]}, "x": 1})


@pytest.mark.parametrize(
    "card",
    [
        {"options": [1]},
        {"groups": "A"},
        {"left_out": 3},
        {"choice": [1]},
        {"choice": {"rows": 1}},
        {"choice": {"rows": [1]}},
        {"choice": {"rows": [{**ROW, "k": 0}]}},
        {"choice": {"rows": [{**ROW, "inertia": None}]}},
        {"choice": {"rows": [{**ROW, "residual": 1e300}]}},
        {"choice": {"rows": [{**ROW, "residual_limit": "0.5"}]}},
    ],
)
def test_a_card_that_makes_no_sense(card):
    with pytest.raises(BankError, match="cannot be read"):
        check_card(card)
