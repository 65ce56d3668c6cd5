"""What a result depends on: pixels by one hash, files by another, content of files by samples of it."""

import os
from dataclasses import fields, replace

import pytest

from histofactor import recipe as module
from histofactor.errors import ImageError
from histofactor.recipe import LabelsRecipe, OutputsRecipe, digest, fingerprint, release

LABELS = LabelsRecipe(
    version="1", path="/a.png", content="x", source_mpp=None, series=None, encoder=("e", 8), bank="b",
    method=("project", 20), mpp=None, tissue=(True, None), windows=(4, 0), unlike=None,
)  # fmt: skip
OUTPUTS = OutputsRecipe(files=(), names=("a", "b"), colors=((1, 2, 3), (4, 5, 6)))
OTHER = {
    "version": "2", "path": "/b/a.png", "content": "y", "source_mpp": 0.5, "series": "2", "encoder": ("e", 16),
    "bank": None, "method": ("raw", 20), "mpp": 1.0, "tissue": (True, "mask"), "windows": (1, 0), "unlike": 0.5,
    "min_area_um2": 100.0, "borders": "image",
    "files": ("weights.zarr",), "names": ("a", "c"), "colors": ((1, 2, 3), (4, 5, 7)), "excluded": (1,),
}  # fmt: skip


@pytest.mark.parametrize("recipe", [LABELS, OUTPUTS])
def test_every_field_counts(recipe):
    hashes = {digest(recipe)} | {digest(replace(recipe, **{field.name: OTHER[field.name]})) for field in fields(recipe)}
    assert len(hashes) == 1 + len(fields(recipe))
    assert digest(recipe) == digest(replace(recipe))


def test_another_format_is_another_hash(monkeypatch):
    before = digest(LABELS)
    monkeypatch.setattr(module, "FORMAT", module.FORMAT + 1)
    assert digest(LABELS) != before


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ("0.1.0", "0.1.0"), ("0.1.0.dev0", "0.1.0"), ("0.1.1.dev12+g4d38d84.d20261129", "0.1.1"),
        ("0.2.0rc1", "0.2.0rc1"), ("0.2.0+local", "0.2.0"), ("0.2.0.post1", "0.2.0.post1"),
    ],
)  # fmt: skip
def test_commits_of_one_release_leave_results_valid(version, wanted):
    assert release(version) == wanted


def test_content_counts_not_the_time_of_small_files(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    first = fingerprint(path)
    os.utime(path, ns=(1, 1))
    assert fingerprint(path) == first
    path.write_bytes(b"two")
    assert fingerprint(path) != first


def test_equal_size_name_and_time_in_another_folder_are_told_apart(tmp_path):
    paths = [tmp_path / name / "a.png" for name in ("x", "y")]
    for path, content in zip(paths, (b"one", b"two"), strict=True):
        path.parent.mkdir()
        path.write_bytes(content)
        os.utime(path, ns=(7, 7))
    assert fingerprint(paths[0]) != fingerprint(paths[1])


@pytest.mark.parametrize("place", ["head", "tail", "middle"])
def test_blocks_of_large_files_count(tmp_path, place):
    path, size = tmp_path / "large.bin", 8 * 2**20
    path.write_bytes(bytes(size))
    os.utime(path, ns=(7, 7))
    first = fingerprint(path)
    with path.open("r+b") as file:
        file.seek({"head": 0, "tail": size - 1, "middle": (size - 2**16) * 31 // 63}[place])
        file.write(b"\1")
    os.utime(path, ns=(7, 7))
    assert fingerprint(path) != first


def test_folders_count_with_all_that_is_in_them(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m/a.png").write_bytes(b"one")
    hashes = [fingerprint(tmp_path / "m")]
    (tmp_path / "m/b.png").write_bytes(b"two")
    hashes.append(fingerprint(tmp_path / "m"))
    (tmp_path / "m/b.png").rename(tmp_path / "m/c.png")
    hashes.append(fingerprint(tmp_path / "m"))
    assert len(set(hashes)) == 3


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(ImageError, match="does not exist"):
        fingerprint(tmp_path / "none.png")


def test_files_that_belong_to_another_count(tmp_path):
    index, folder = tmp_path / "a.mrxs", tmp_path / "a"
    index.write_bytes(b"index")
    folder.mkdir()
    (folder / "Data0000.dat").write_bytes(b"one")
    found = {fingerprint(index), fingerprint(index, folder)}
    (folder / "Data0000.dat").write_bytes(b"two")
    found.add(fingerprint(index, folder))
    (folder / "Data0001.dat").write_bytes(b"")
    found.add(fingerprint(index, folder))
    assert len(found) == 4
    with pytest.raises(ImageError, match="does not exist"):
        fingerprint(index, tmp_path / "none")
