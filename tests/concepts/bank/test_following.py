"""What a bank tells of groups is read with care."""

import json

import pytest

from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.following import (
    FOLLOWING,
    Following,
    following_in,
    in_words,
    sentences,
    stated,
    ungrouped,
)
from histofactor.errors import BankError
from small_banks import bank

FOUND = Following(
    groups=2,
    slides=8,
    ari=0.5,
    by_chance=0.1,
    p=0.03,
    tail_mean=0.9,
    excess=(1.0, 0.2),
    most=("a", "b"),
    follows=(True, False),
    share=0.3,
)


def test_there_and_back():
    held = json.loads(json.dumps({FOLLOWING: stated(FOUND)}))
    assert following_in(held, 2) == FOUND
    assert following_in({FOLLOWING: {**held[FOLLOWING], "of a later version": 1}}, 2) == FOUND
    assert following_in({}, 2) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"ari": "high"}, {"ari": float("nan")}, {"excess": [1.0]}, {"excess": 1}, {"most": [1, 2]}, {"p": 2},
        {"follows": [1, 0]}, {"groups": 0}, {"slides": True}, {"share": None}, {"centred_share": "none"},
    ],
)  # fmt: skip
def test_nonsense_is_refused(wrong):
    with pytest.raises(BankError, match="following cannot be read"):
        following_in({FOLLOWING: {**stated(FOUND), **wrong}}, 2)


@pytest.mark.parametrize("wrong", [[], "x", {"ari": 1}])
def test_another_kind_is_refused(wrong):
    with pytest.raises(BankError):
        following_in({FOLLOWING: wrong}, 2)


def test_in_words():
    assert in_words(FOUND) == "follow one group: 1 concept, 30% of the tissue"


def card_of(*groups, empty=()):
    return {
        "slides": [
            {"name": f"{number}.svs", "group": group, "sampled": 0 if number in empty else 9}
            for number, group in enumerate(groups)
        ]
    }


@pytest.mark.parametrize(
    ("card", "told"),
    [
        ({}, ""),
        (card_of(None, None), ""),
        (card_of("a", "b", "b"), ""),
        (
            card_of("a", "a", "a"),
            "all 3 inputs are of one group, a: whether concepts follow groups is not reported, which takes two groups",
        ),
        (
            card_of("a", None, "a"),
            "2 of 3 inputs are of one group, a, and 1 of 3 inputs has no group: "
            "whether concepts follow groups is not reported, which takes two groups",
        ),
        (
            card_of("a", None, "b", None),
            "2 of 4 inputs have no group: they are in no figure on groups, "
            "and whether concepts are theirs is not reported",
        ),
        (
            card_of("a", "b", empty=[1]),
            "all 2 inputs are of 2 groups, of which no two have tissue: "
            "whether concepts follow groups is not reported, which takes two groups",
        ),
    ],
)
def test_what_is_not_reported_is_told(card, told):
    assert ungrouped(card) == told
    assert sentences(BankFile({3: bank(3)}, card), 3, "out") == ([told] if told else [])


def test_what_is_not_reported_is_told_beside_what_is():
    file = BankFile({2: bank(2, provenance={FOLLOWING: stated(FOUND)})}, card_of("a", "b", None))
    assert sentences(file, 2, "out")[-1].startswith("1 of 3 inputs has no group: they are in no figure")
