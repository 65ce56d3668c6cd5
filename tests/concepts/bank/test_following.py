"""What a bank tells of groups is read with care."""

import json

import pytest

from histofactor.concepts.bank.following import FOLLOWING, Following, following_in, in_words, stated
from histofactor.errors import BankError

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
