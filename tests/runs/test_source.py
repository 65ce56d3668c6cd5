"""Inputs of a run: names that tell them apart, groups and µm/px from a table, files that are fetched."""

import pytest

from histofactor.errors import OptionError, ResolutionError
from histofactor.runs.source import Source, file_sources, manifest_sources, name_sources, read_table
from histofactor.tcga.fetch import FetchOptions


def test_names_are_the_shortest_ends_that_differ(tmp_path):
    names = [source.name for source in name_sources([tmp_path / "a/x/1.png", tmp_path / "b/x/1.png"])]
    assert names == ["a/x/1.png", "b/x/1.png"]
    assert [source.name for source in name_sources([tmp_path / "a/1.png", tmp_path / "b/2.png"])] == ["1.png", "2.png"]


def test_groups_from_a_table(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("slide,age,hospital\n1,50,north\n2.png,60,south\n")
    sources = [Source("1.png"), Source("2.png")]
    assert [source.group for source in read_table(sources, table, "hospital")] == ["north", "south"]
    for column, others, told in (
        ("project", sources, "no column 'project'"),
        ("slide", sources, "no column 'slide' after the first"),
        ("hospital", [Source("3.png")], "hospital of 3.png"),
    ):
        with pytest.raises(OptionError, match=told):
            read_table(others, table, column)
    for wrong in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(OptionError, match="cannot read the table"):
            read_table(sources, wrong, "hospital")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(OptionError, match="no rows"):
        read_table(sources, tmp_path / "empty.csv", "hospital")


def test_a_manifest_is_fetched_worked_on_and_deleted(gdc, tmp_path):
    inputs = manifest_sources(gdc.files[:4], tmp_path, FetchOptions(gdc.endpoint))
    assert [source.group for source in inputs.all] == ["TCGA-A", "TCGA-B"] * 2
    for source, path in zip(inputs.all[1:], inputs.find(inputs.all[1:]), strict=True):
        assert path == tmp_path / source.name
        assert path.exists()
    assert list(tmp_path.iterdir()) == []
    assert "/data/id-00" not in {path for path, _ in gdc.requests}


def test_files_with_groups(tmp_path):
    (tmp_path / "t.csv").write_text("slide,hospital\n1,north\n")
    inputs = file_sources([tmp_path / "a/1.png"], tmp_path / "t.csv", "hospital")
    assert inputs.all == [Source("1.png", "north")]
    assert list(inputs.find(inputs.all)) == [tmp_path / "a/1.png"]


def test_resolutions_from_a_table(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("file,mpp\n1,0.25\n2,\n3,coarse\n4,-1\n")
    sources = [Source("1.png"), Source("2.png")]
    assert [(source.mpp, source.group) for source in read_table(sources, table)] == [(0.25, None), (None, None)]
    for name, told in (("3.png", "no number"), ("4.png", "mpp of 4.png")):
        with pytest.raises(ResolutionError, match=told):
            read_table([Source(name)], table)


def test_the_content_of_files_counts(tmp_path):
    path = tmp_path / "1.png"
    contents = [file_sources([path]).all[0].content]
    for content in (b"one", b"two"):
        path.write_bytes(content)
        contents.append(file_sources([path]).all[0].content)
    assert contents[0] == ""
    assert len(set(contents)) == 3
