"""Results that do not compare with those of the newest run."""

import pytest

from histofactor.export.seal import write_seal
from histofactor.runs.made_with import MadeWith, made_with, told_apart

NEWEST = {"bank_sha256": "ab", "method": "project"}


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (None, ""),
        (MadeWith("ab", 8, "project"), ""),
        (MadeWith("cd", 9, "project"), "with other concepts than the newest run, K = 9"),
        (MadeWith("ab", 8, "cluster"), "by method cluster, the newest run by project"),
    ],
)
def test_what_is_told(made, told):
    assert told_apart(made, NEWEST) == told


def test_small_pieces_that_were_merged_in_one_run_alone_are_told():
    newest = {"bank_sha256": "ab", "method": "raw", "min_area_um2": 300.0}
    assert told_apart(MadeWith("ab", 8, "raw", 300.0), newest) == ""
    told = "pieces below 0 µm² merged, in the newest run 300 µm²"
    assert told_apart(MadeWith("ab", 8, "raw"), newest) == told


def test_a_method_without_a_bank_compares_by_its_name():
    newest = {"bank_sha256": "", "method": "single"}
    assert told_apart(MadeWith("", 20, "single"), newest) == ""
    assert told_apart(MadeWith("ab", 8, "project"), newest) == "by method project, the newest run by single"


@pytest.mark.parametrize("content", [{}, {"bank": {"sha256": "ab"}, "method": "raw"}, {"bank": 3}])
def test_seals_that_do_not_tell(tmp_path, content):
    assert made_with(tmp_path) is None
    write_seal(content, tmp_path)
    assert made_with(tmp_path) is None


def test_what_a_seal_tells(tmp_path):
    write_seal({"bank": {"sha256": "ab", "k": 8}, "method": "raw"}, tmp_path)
    assert made_with(tmp_path) == MadeWith("ab", 8, "raw")


def test_other_borders_are_told(tmp_path):
    newest = {"bank_sha256": "ab", "method": "raw", "borders": "exact"}
    write_seal({"bank": {"sha256": "ab", "k": 8}, "method": "raw", "borders": "image"}, tmp_path)
    made = made_with(tmp_path)
    assert made == MadeWith("ab", 8, "raw", borders="image")
    assert told_apart(made, newest) == "with --borders image, the newest run with exact"
    assert told_apart(MadeWith("ab", 8, "raw"), newest) == told_apart(made, newest | {"borders": "image"}) == ""
