"""Warnings are known again, and say what to do."""

import pytest

from histofactor.slides.resolution import settle_mpp
from histofactor.slides.warnings import NO_TISSUE, UNKNOWN_MPP, coarse, erased, is_warning


@pytest.mark.parametrize(
    ("note", "mend"), [(NO_TISSUE, "--tissue-mask"), (UNKNOWN_MPP, "--source-mpp"), (coarse(4.0, 0.5), "--source-mpp")]
)
def test_each_is_one_and_tells_how_to_mend(note, mend):
    assert is_warning(note)
    assert mend in note


def test_how_much_coarser_is_told():
    assert "its own 4 µm/px, which is coarser than the 0.5 µm/px" in coarse(4.0, 0.5)
    assert "8 times smaller" in coarse(4.0, 0.5)


def test_other_notes_are_none():
    (note,) = settle_mpp((), 0.5, "a.png")[1] or ("16 bits a sample were seen as 8",)
    assert not is_warning(note)


@pytest.mark.parametrize(("share", "before", "after", "told"), [
    (0.2, 8, 6, False), (0.51, 8, 6, True), (0.2, 8, 1, True), (0.0, 1, 1, False), (0.0, 0, 0, False),
])  # fmt: skip
def test_a_map_that_is_erased_is_told(share, before, after, told):
    note = erased(500, share, before, after)
    assert bool(note) == told == is_warning(note)
    assert not told or f"leaves {after} of {before} phenotypes" in note
