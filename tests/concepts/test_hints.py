import numpy as np
import pytest

from histofactor.concepts.hints import hints_of, in_words, shown_hint
from histofactor.errors import BankError
from histofactor.slides.phantom import CLASSES, phantom
from histofactor.slides.stain import measure_stain

TYPICAL = [0.14, 0.36, 0.1, 0.01, 0.05]  # stroma and epithelium of a common section


def words(*stains):
    """Hints of concepts beside three typical ones."""
    return in_words(np.array([TYPICAL] * 3 + list(stains)), np.ones(3 + len(stains)))[3:]


@pytest.mark.parametrize(
    ("stain", "hint"),
    [
        (TYPICAL, ""),
        ([0.01, 0.02, 0.01, 0.93, 0.0], "mostly empty"),
        ([0.14, 0.36, 0.1, 0.3, 0.05], "partly empty"),
        ([0.15, 0.37, 0.1, 0.01, 0.1], "cellular"),
        ([0.16, 0.41, 0.12, 0.0, 0.4], "many dark nuclei"),
        ([0.14, 0.36, 0.1, 0.01, 0.01], "few nuclei"),
        ([0.07, 0.36, 0.08, 0.01, 0.01], "few nuclei, eosin-rich"),
        ([0.2, 0.25, 0.09, 0.0, 0.05], "haematoxylin-rich"),
        ([0.07, 0.18, 0.05, 0.1, 0.05], "pale"),
        ([0.22, 0.55, 0.16, 0.0, 0.05], "dense"),
        ([np.nan] * 5, ""),
    ],
)
def test_words_say_what_is_measured(stain, hint):
    assert words(stain) == (hint,)


def test_a_darker_stain_of_everything_changes_little():
    stains = np.array([TYPICAL] * 3 + [[0.15, 0.37, 0.1, 0.01, 0.1], [0.07, 0.18, 0.05, 0.1, 0.05]])
    darker = stains * [1.2, 1.2, 1.2, 1, 1.3]
    assert in_words(darker, np.ones(5)) == in_words(stains, np.ones(5))


def test_the_median_is_of_tokens_not_of_concepts():
    pale = [0.07, 0.18, 0.05, 0.1, 0.05]
    stains, few, many = np.array([TYPICAL, pale, pale]), np.array([98.0, 1, 1]), np.array([2.0, 49, 49])
    assert in_words(stains, few) == ("", "pale", "pale")
    assert in_words(stains, many) == ("dense", "", "")


def test_the_classes_of_a_phantom_are_told_apart():
    drawn = phantom((1600, 1600), seed=1, mpp=1.0)
    measured = measure_stain(drawn.image, 1)
    stains = np.array([measured[drawn.truth == kind].mean(0) for kind in range(len(CLASSES))])
    counts = np.bincount(drawn.truth.ravel(), minlength=len(CLASSES))
    found = dict(zip(CLASSES, in_words(stains, counts.astype(float)), strict=True))
    assert found["background"] == found["fat"] == "mostly empty"
    assert found["lymphocytes"].startswith("many dark nuclei")
    assert found["gland"].startswith("partly empty, many dark nuclei")
    assert "nuclei" not in found["stroma"]
    assert "cellular" not in found["stroma"] + found["necrosis"]


def test_hints_come_from_what_a_bank_tells():
    told = {"stains": [TYPICAL, None, [0.01, 0.02, 0.01, 0.93, 0.0]], "counts": [8, 1, 1]}
    assert hints_of(told, 3) == ("", "", "mostly empty")
    assert hints_of({}, 2) == ("", "")
    for wrong in ([TYPICAL], [TYPICAL, [1, 2], None], "no", [TYPICAL, [np.inf] * 5, None]):
        with pytest.raises(BankError, match="stains"):
            hints_of({"stains": wrong}, 3)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Concept 12", True),
        ("Concept 3 b", True),
        ("Concept 3 of K = 8", True),
        ("tumour", False),
        ("Concept", False),
    ],
)
def test_a_concept_that_was_named_shows_its_name_alone(name, shown):
    assert shown_hint(name, "pale") == ("pale" if shown else "")
