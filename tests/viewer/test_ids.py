"""Ids of slides."""

import re

from histofactor.viewer.ids import by_id, slide_id


def test_ids_are_opaque_and_stay():
    assert slide_id("case 1") == "c64b14cbc250"  # links are kept
    assert re.fullmatch("[0-9a-f]{12}", slide_id("../case"))
    assert slide_id("case 1") != slide_id("case 2")
    assert slide_id("\udcff")


def test_folders_are_found_by_id():
    assert by_id(["a", "b"]) == {slide_id("a"): "a", slide_id("b"): "b"}
