"""Files of weights in folders: a snapshot of the hub, its cache, links, and what tells nothing."""

import os
from pathlib import Path

import pytest

from histofactor.encoders.registry import get
from histofactor.encoders.weights_place import commit_at, find_file
from histofactor.errors import EncoderError

SPEC = get("uni")
COMMIT, OTHER = "b55a5ec6cade1a39edfe6534189a9b8ca7a022f0", "0" * 40


def file_at(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def cache(tmp_path):
    """A cache as huggingface_hub lays it out: files of snapshots are links to blobs."""
    repository = tmp_path / "hub" / "models--MahmoodLab--UNI"
    blob = file_at(repository / "blobs" / "abc")
    for commit in (COMMIT, OTHER):
        (repository / "snapshots" / commit).mkdir(parents=True)
        (repository / "snapshots" / commit / "pytorch_model.bin").symlink_to(blob)
    file_at(repository / "refs" / "main", OTHER.encode())
    return tmp_path / "hub"


def test_a_file_is_itself(tmp_path):
    file = file_at(tmp_path / "w.bin")
    assert find_file(file, SPEC) == file
    assert find_file(tmp_path / "not-there.bin", SPEC) == tmp_path / "not-there.bin"


def test_the_published_name_comes_first_and_else_the_only_file(tmp_path):
    only = file_at(tmp_path / "anything.pth")
    file_at(tmp_path / "config.json")
    assert find_file(tmp_path, SPEC) == only
    published = file_at(tmp_path / "pytorch_model.bin")
    assert find_file(tmp_path, SPEC) == published


@pytest.mark.parametrize("below", ["", "models--MahmoodLab--UNI", f"models--MahmoodLab--UNI/snapshots/{COMMIT}"])
def test_the_cache_of_the_hub_or_a_part_of_it(cache, tmp_path, below):
    link = tmp_path / "linked"
    link.symlink_to(cache)
    for folder in (cache, link):
        found = find_file(folder / below, SPEC)
        assert found.read_bytes() == b"x"
        assert commit_at(found) == COMMIT  # the pinned one, before the newest


def test_without_the_pinned_commit_the_newest_counts(cache):
    for folder in (cache / "models--MahmoodLab--UNI" / "snapshots").iterdir():
        if folder.name == COMMIT:
            folder.rename(folder.with_name("1" * 40))
    assert commit_at(find_file(cache, SPEC)) == OTHER


def test_commits_are_told_by_whole_names_alone():
    assert commit_at(Path(f"/a/snapshots/{COMMIT}/w.bin")) == COMMIT
    assert commit_at(Path("/a/snapshots/mine/w.bin")) is None
    assert commit_at(Path("/a/w.bin")) is None


@pytest.mark.parametrize(
    ("names", "got", "mend"),
    [
        ([], "an empty folder", "name the file, or the folder"),
        (["README.md", "config.json"], "a folder without weights: README.md, config.json", "name the file"),
        (["a.bin", "b.bin"], "2 files of weights: a.bin, b.bin", "name the file that you mean"),
        (["model.safetensors.index.json"], "an index of parts", "fetch the whole repository"),
    ],
)
def test_a_folder_that_does_not_tell(tmp_path, names, got, mend):
    for name in names:
        file_at(tmp_path / name)
    with pytest.raises(EncoderError) as error:
        find_file(tmp_path, SPEC)
    assert error.value.got.startswith(got)
    assert error.value.mend.startswith(mend)


def test_a_link_that_leads_nowhere(tmp_path):
    link = tmp_path / "w.bin"
    link.symlink_to(tmp_path / "gone")
    with pytest.raises(EncoderError, match="fetch the file again"):
        find_file(link, SPEC)


def test_several_snapshots_of_which_none_is_named(cache):
    (cache / "models--MahmoodLab--UNI" / "refs" / "main").unlink()
    folder = cache / "models--MahmoodLab--UNI" / "snapshots" / COMMIT
    folder.rename(folder.with_name("1" * 40))
    with pytest.raises(EncoderError, match="2 snapshots"):
        find_file(cache, SPEC)


SHARD, OTHER_SHARD = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


@pytest.mark.parametrize(
    ("names", "got", "mend"),
    [
        ([SHARD, "model.safetensors.index.json"], f"1 of 2 parts: {SHARD}", "fetch the whole repository, and join"),
        ([SHARD, OTHER_SHARD, "optimizer.pt"], f"2 of 2 parts: {SHARD}, {OTHER_SHARD}", "join the parts into one file"),
    ],
)
def test_weights_in_parts_are_not_taken_for_whole_ones(tmp_path, names, got, mend):
    for name in names:
        file_at(tmp_path / name)
    for path in (tmp_path, tmp_path / SHARD):
        with pytest.raises(EncoderError) as error:
            find_file(path, SPEC)
    with pytest.raises(EncoderError) as error:
        find_file(tmp_path, SPEC)
    assert error.value.got == got
    assert error.value.mend.startswith(mend)
    whole = file_at(tmp_path / "one" / "model-00001-of-00001.safetensors")
    assert find_file(tmp_path / "one", SPEC) == find_file(whole, SPEC) == whole


def test_an_index_is_no_file_of_weights(tmp_path):
    index = file_at(tmp_path / "model.safetensors.index.json", b'{"weight_map": {"a": "../../../../etc/passwd"}}')
    for path in (index, tmp_path):
        with pytest.raises(EncoderError, match=r"an index of parts, model\.safetensors\.index\.json, without them"):
            find_file(path, SPEC)


def test_links_in_circles_and_links_in_a_folder(tmp_path):
    (tmp_path / "w.bin").symlink_to(tmp_path / "w.bin")
    with pytest.raises(EncoderError, match="got a link that leads back to itself"):
        find_file(tmp_path / "w.bin", SPEC)
    with pytest.raises(EncoderError, match=r"got w\.bin, a link that leads back to itself; fetch the file again"):
        find_file(tmp_path, SPEC)
    (tmp_path / "w.bin").unlink()
    (tmp_path / "w.bin").symlink_to(tmp_path / "blobs" / "gone")
    with pytest.raises(EncoderError, match=r"got w.bin, a link to .*gone, which is gone"):
        find_file(tmp_path, SPEC)


def test_paths_that_cannot_be_looked_at(tmp_path, cache):
    with pytest.raises(EncoderError, match=r"(?i)file name too long") as error:
        find_file(tmp_path / ("x" * 300), SPEC)
    assert "that you may read" in error.value.mend
    (cache / "models--MahmoodLab--UNI" / "refs" / "main").write_bytes(b"\xff\xfe")
    with pytest.raises(EncoderError, match="cannot find the weights of uni"):
        find_file(cache, SPEC)


def test_a_pipe_or_nothing_where_weights_should_be(tmp_path, cache):
    os.mkfifo(tmp_path / "w.safetensors")
    with pytest.raises(EncoderError, match=r"got w\.safetensors, which is no plain file; give the path of the file"):
        find_file(tmp_path, SPEC)
    for folder in (cache / "models--MahmoodLab--UNI" / "snapshots").iterdir():
        folder.rename(tmp_path / folder.name)
    with pytest.raises(EncoderError, match="got a repository without snapshots; fetch it again"):
        find_file(cache, SPEC)
