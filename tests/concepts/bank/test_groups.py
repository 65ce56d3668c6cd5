"""Which concepts become one, and what is refused."""

from dataclasses import replace

import pytest

from histofactor.concepts.bank.groups import Group, regroup
from histofactor.errors import OptionError


@pytest.fixture
def groups():
    return [Group((i,), f"Concept {i + 1}", (i, i, i)) for i in range(5)]


def test_a_merge_takes_the_place_and_color_of_its_lowest_label(groups):
    found = regroup(groups, [((4, 2), "tumour")], {5: "stroma"})
    assert [(group.members, group.name, group.color[0]) for group in found] == [
        ((0,), "Concept 1", 0),
        ((1, 3), "tumour", 1),
        ((2,), "Concept 3", 2),
        ((4,), "stroma", 4),
    ]


def test_nothing_asked_for_changes_nothing(groups):
    assert regroup(groups, (), {}) == groups


@pytest.mark.parametrize(
    ("merges", "renames", "message"),
    [
        ([((1, 9), "a")], {}, "no label 9"),
        ([], {0: "a"}, "no label 0"),
        ([((1, 2), "a"), ((2, 3), "b")], {}, "label 2 is asked for twice"),
        ([((1, 1), "a")], {}, "label 1 is asked for twice"),
        ([((1, 2), "a")], {2: "b"}, "label 2 is asked for twice"),
        ([((1,), "a")], {}, "nothing to merge"),
        ([((1, 2), "a\nb")], {}, "cannot have this name"),
        ([], {1: "\x1b[2J"}, "cannot have this name"),
    ],
)
def test_mistakes_are_named(groups, merges, renames, message):
    with pytest.raises(OptionError, match=message):
        regroup(groups, merges, renames)


def test_a_foreign_name_stays_where_it_is_the_same(groups):
    groups[0] = replace(groups[0], name="two\nlines")
    assert regroup(groups, (), {1: "two\nlines"}) == groups
    with pytest.raises(OptionError, match="cannot have this name"):
        regroup(groups, (), {2: "two\nlines"})
