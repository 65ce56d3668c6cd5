"""Summaries of concepts: neighbours, origins, and those that are one place's alone."""

from dataclasses import replace

import numpy as np
import pytest

from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.provenance import Example
from histofactor.concepts.bank.record import new_bank
from histofactor.concepts.bank.summary import summarize
from histofactor.errors import BankError
from histofactor.records import EncoderKey

VECTORS = np.array([[1, 0, 0], [2, 0.1, 0], [0, 1, 0.2], [0, 0, 3]], np.float32)
KNOWN = {
    "counts": [10, 20, 30, 40],
    "per_slide": [[9, 10, 15, 0], [1, 10, 15, 40]],
    "examples": [[{"slide": 0, "x": 1.0, "y": 2.0, "side": 8.0, "distance": 0.5}], [], [], []],
}


def file(provenance, card, parents=None):
    bank = new_bank(VECTORS, EncoderKey("e", None, "l", "relu"), provenance=provenance)
    return BankFile({4: replace(bank, parents=parents)}, card)


CARD = {"slides": [{"name": "a.svs"}, {"name": "b.svs"}]}


def test_every_field():
    first, second, _, last = summarize(file(KNOWN, CARD, (0, 0, 1, 1)), 4)
    assert (first.label, first.name, first.share, first.parent) == (1, "Concept 1", 0.1, 1)
    assert first.neighbours[0][0] == 2
    cosine = VECTORS[0] @ VECTORS[1] / np.linalg.norm(VECTORS[0]) / np.linalg.norm(VECTORS[1])
    assert first.neighbours[0][1] == pytest.approx(cosine)
    assert len(first.neighbours) == 3
    assert first.origins == (("a.svs", 0.9), ("b.svs", 0.1))
    assert first.alone == "a.svs"  # which gives a third of all tokens
    assert second.alone == ""
    assert last.origins == (("b.svs", 1.0),)
    assert last.alone == ""  # most tokens come from there anyway
    assert first.examples == (Example(0, 1.0, 2.0, 8.0, 0.5),)


def test_groups_go_before_slides():
    known = {**KNOWN, "per_group": {"north": [10, 0, 0, 0], "south": [0, 20, 30, 40]}}
    assert summarize(file(known, CARD), 4)[0].alone == "north"


def test_a_bank_that_tells_nothing():
    for one in summarize(file({}, {}), 4):
        assert one.share is None
        assert (one.origins, one.alone, one.parent, one.examples) == ((), "", None, ())


def test_counts_of_other_slides_than_those_on_the_card_tell_nothing():
    assert summarize(file(KNOWN, {"slides": [{"name": "a.svs"}]}), 4)[0].origins == ()


def test_nonsense_is_told():
    with pytest.raises(BankError, match="counts cannot be read"):
        summarize(file({"counts": "1234"}, {}), 4)


def test_one_concept_has_no_neighbours():
    bank = new_bank(VECTORS[:1], EncoderKey("e", None, "l", "relu"))
    assert summarize(BankFile({1: bank}), 1)[0].neighbours == ()


def test_an_artefact_counts_in_no_share():
    known = file(KNOWN, CARD)
    out = BankFile({4: replace(known.banks[4], excluded=(1, 3))}, CARD)
    assert [(one.share, one.excluded) for one in summarize(out, 4)] == [
        (0.25, False), (None, True), (0.75, False), (None, True),
    ]  # fmt: skip


def test_a_share_of_a_group_that_is_one_slide_is_marked():
    """95 of 100 tokens of the last concept are in one slide, and all of the third; a bank of many slides tells it."""
    known = {
        "counts": [30, 30, 20, 100],
        "per_slide": [[10, 20, 20, 95], [10, 10, 0, 5], [10, 0, 0, 0]],
        "per_group": {"north": [20, 30, 20, 100], "south": [10, 0, 0, 0]},
    }
    marks = ["", "", "in one slide alone", "nearly all in one slide"]
    slides = {"slides": [{"name": name} for name in "abc"]}
    assert [one.in_one_slide for one in summarize(file(known, slides), 4)] == marks
    many = {"per_group": known["per_group"], "in_one_slide": [0.3333, 0.6666, 1.0, 0.95]}
    assert [one.in_one_slide for one in summarize(file(many, slides), 4)] == marks
    assert not any(one.in_one_slide for one in summarize(file({"per_slide": known["per_slide"]}, slides), 4))
    with pytest.raises(BankError, match="in_one_slide cannot be read"):
        summarize(file({**many, "in_one_slide": [0.1, 0.2, 1.5, 0.0]}, slides), 4)
