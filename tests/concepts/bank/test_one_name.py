"""Concepts of one name: merged into what bears it, and seen in the colour of the largest."""

from dataclasses import replace

import numpy as np
import pytest

from histofactor.concepts.bank.one_name import in_one_color, joined, one_color
from histofactor.concepts.bank.record import new_bank
from histofactor.errors import BankError, OptionError
from histofactor.records import EncoderKey

NAMES = ("a", "b", "tumour", "c", "tumour", "d")


@pytest.mark.parametrize(
    ("merges", "expected"),
    [
        ([((1, 4), "tumour")], [((1, 4, 3, 5), "tumour")]),
        ([((1, 4), "stroma")], [((1, 4), "stroma")]),
        ([((1,), "tumour")], [((1, 3, 5), "tumour")]),
        ([((1, 2), "x"), ((4, 6), "x")], [((1, 2, 4, 6), "x")]),
        ([((1, 2), "tumour"), ((3, 4), "y")], [((1, 2, 5), "tumour"), ((3, 4), "y")]),  # 3 goes elsewhere
        ([], []),
    ],
)
def test_what_bears_the_name_is_part_of_the_merge(merges, expected):
    assert joined(NAMES, merges) == expected


@pytest.mark.parametrize("merges", [[((1, 9), "x")], [((1, 2), "x"), ((2, 4), "y")]])
def test_labels_that_are_not_there_or_asked_for_twice(merges):
    with pytest.raises(OptionError, match=r"no label 9|label 2 is asked for twice"):
        joined(NAMES, merges)


def test_the_largest_gives_the_color():
    colors = [(i, i, i) for i in range(6)]
    assert one_color(NAMES, colors, [9, 1, 2, 1, 5, 1]) == (*colors[:2], colors[4], colors[3], colors[4], colors[5])
    assert one_color(NAMES, colors, [0] * 6)[4] == colors[2]  # of equal ones the first
    assert one_color("abcdef", colors, range(6)) == tuple(colors)


def test_a_bank_as_it_is_seen_keeps_all_else():
    vectors = np.random.default_rng(0).gamma(1.0, 1.0, (3, 4)).astype(np.float32)
    bank = new_bank(vectors, EncoderKey("e", None, "l", "relu"), provenance={"counts": [3, 5, 4]})
    bank = replace(bank, names=("stroma", "stroma", "fat"))
    seen = in_one_color(bank)
    assert seen.colors == (bank.colors[1], bank.colors[1], bank.colors[2])
    assert replace(seen, colors=bank.colors) == bank
    with pytest.raises(BankError, match="counts"):
        in_one_color(replace(bank, provenance={"counts": [1]}))
