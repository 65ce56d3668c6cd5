import dataclasses
import sys

import pytest

from histofactor.errors import OptionError
from histofactor.export.mapped import keys, mapped, moved, need, phenotype_columns


def named(make_segmentation, *names):
    segmentation = make_segmentation()
    label_map = dataclasses.replace(segmentation.label_map, names=names)
    return mapped(dataclasses.replace(segmentation, label_map=label_map))


def test_keys_tell_names_that_occur_twice_apart(make_segmentation):
    one = named(make_segmentation, "stroma", "tumour", "stroma", "fat")
    assert keys(one.phenotypes) == ["stroma (1)", "tumour", "stroma (3)", "fat"]
    one = named(make_segmentation, "stroma", "stroma (1)", "stroma", "fat")
    assert keys(one.phenotypes) == ["1: stroma", "2: stroma (1)", "3: stroma", "4: fat"]


def test_columns_are_those_of_the_table(make_segmentation):
    segmentation = make_segmentation()
    label_map = dataclasses.replace(segmentation.label_map, names=("a\x00b", "b", "c", "d"), excluded=(3,))
    columns = phenotype_columns(mapped(dataclasses.replace(segmentation, label_map=label_map)))
    assert columns["name"] == ["a\\x00b", "b", "c", "d"]
    assert columns["label"] == [1, 2, 3, 4]
    assert columns["area_px"] == [32, 32, 16, 0]  # tokens of 4 × 4 px
    assert columns["area_um2"] == [8.0, 8.0, 4.0, 0.0]
    assert columns["fraction"] == [0.5, 0.5, None, 0.0]
    assert columns["excluded"] == [False, False, True, False]


def test_what_belongs_to_other_slides_is_not_told(make_segmentation):
    recipe = {"method": "project", "bank": {"sha256": "ab", "k": 4, "provenance": {"slides": ["secret.svs"]}}, "x": 1}
    one = mapped(dataclasses.replace(make_segmentation(), recipe=recipe))
    assert one.made_by == {"method": "project", "bank": {"sha256": "ab", "k": 4}}


def test_moved(make_segmentation):
    one = moved(moved(mapped(make_segmentation()), 5, 7), 1, 1)
    assert one.label_map.origin == (6, 8)


def test_a_missing_library_is_told_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "geopandas", None)
    with pytest.raises(OptionError, match=r"geopandas; pip install 'histofactor\[spatialdata\]'"):
        need("geopandas")
