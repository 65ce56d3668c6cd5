"""Names that nobody gave."""

import pytest

from histofactor.concepts.bank.unnamed import default_name, is_unnamed, number_of, numbered


@pytest.mark.parametrize(
    ("name", "number", "unnamed"),
    [
        ("Concept 12", 12, True),
        ("Concept 3 b", None, True),  # part of a split by an earlier version
        ("Concept 3 of K = 8", None, True),
        ("Concept 1234567890", None, False),
        ("concept 3", None, False),
        ("Concept 3\n", None, False),
        ("Concept", None, False),
        ("tumour", None, False),
    ],
)
def test_which_names_nobody_gave(name, number, unnamed):
    assert (number_of(name), is_unnamed(name)) == (number, unnamed)


def test_they_follow_the_labels_and_no_other_name_is_touched():
    names = ("Concept 1", "tumour", "Concept 13", "Concept 3 b", "Concept 4")
    assert numbered(names) == ("Concept 1", "tumour", "Concept 3", "Concept 3 b", "Concept 5")
    assert numbered(numbered(names)) == numbered(names)
    assert number_of(default_name(7)) == 7
