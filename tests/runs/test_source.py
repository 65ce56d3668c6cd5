"""Inputs of a run: names that tell them apart, what is said of them, files that are fetched."""

from histofactor.runs.source import Source, Stated, file_sources, manifest_sources, name_sources, shown_names
from histofactor.tcga.fetch import FetchOptions


def test_names_are_the_shortest_ends_that_differ(tmp_path):
    names = [source.name for source in name_sources([tmp_path / "a/x/1.png", tmp_path / "b/x/1.png"])]
    assert names == ["a/x/1.png", "b/x/1.png"]
    assert [source.name for source in name_sources([tmp_path / "a/1.png", tmp_path / "b/2.png"])] == ["1.png", "2.png"]


def test_a_manifest_is_fetched_worked_on_and_deleted(gdc, tmp_path):
    inputs = manifest_sources(gdc.files[:4], tmp_path, FetchOptions(gdc.endpoint))
    assert [source.group for source in inputs.all] == ["TCGA-A", "TCGA-B"] * 2
    for source, path in zip(inputs.all[1:], inputs.find(inputs.all[1:]), strict=True):
        assert path == tmp_path / source.name
        assert path.exists()
    assert list(tmp_path.iterdir()) == []
    assert "/data/id-00" not in {path for path, _ in gdc.requests}


def test_files_with_groups(tmp_path):
    path, mask = tmp_path / "a/1.png", tmp_path / "m.png"
    inputs = file_sources([path], {path: Stated(0.5, "north", mask)})
    assert inputs.all == [Source("1.png", "north", 0.5, mask=str(mask))]
    assert list(inputs.find(inputs.all)) == [tmp_path / "a/1.png"]


def test_the_content_of_files_counts(tmp_path):
    path = tmp_path / "1.png"
    contents = [file_sources([path]).all[0].content]
    for content in (b"one", b"two"):
        path.write_bytes(content)
        contents.append(file_sources([path]).all[0].content)
    assert contents[0] == ""
    assert len(set(contents)) == 3


def test_inputs_of_one_file_name_are_shown_with_what_tells_them_apart():
    paths = ["in/a/1.png", "in/b/1.png", "in/2.png", "x/a/1.png"]
    assert shown_names(paths) == {"in/a/1.png": "in/a/1.png", "in/b/1.png": "in/b/1.png", "in/2.png": "2.png",
                                  "x/a/1.png": "x/a/1.png"}  # fmt: skip
    assert shown_names(["a/1.png", "b/1.png", "b/1.png"]) == {"a/1.png": "a/1.png", "b/1.png": "b/1.png"}
