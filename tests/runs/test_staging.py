"""Results changed beside themselves."""

from pathlib import Path

import pytest

from histofactor.errors import OutputError
from histofactor.runs import staging
from histofactor.runs.place import Place
from histofactor.runs.staging import restore, staged


@pytest.fixture
def place(tmp_path):
    results = tmp_path / "case"
    (results / "weights.zarr").mkdir(parents=True)
    for name in ("labels", "weights.zarr/0"):
        (results / name).write_text(name)
    return Place(tmp_path, "case")


def change(beside):
    new = beside.results / "new"
    new.write_text("changed")
    new.replace(beside.results / "labels")  # as every writer does


def contents(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


NEW = {"case/labels": "changed", "case/weights.zarr/0": "weights.zarr/0"}
OLD = {**NEW, "case/labels": "labels"}


def test_new_results_take_the_place_of_old_ones(place):
    with staged(place) as beside:
        change(beside)
        assert (place.results / "labels").read_text() == "labels"
    assert contents(place.out) == NEW
    assert not (place.out / ".work").exists()


def test_a_block_that_fails_changes_nothing(place):
    def fail(beside):
        change(beside)
        raise KeyError

    with pytest.raises(KeyError), staged(place) as beside:
        fail(beside)
    assert contents(place.out) == OLD
    assert not (place.out / ".work").exists()


def test_files_are_copied_where_they_cannot_be_linked(place, monkeypatch):
    def no_links(*given):
        raise OSError(95, "not supported")

    monkeypatch.setattr(staging.os, "link", no_links)
    with staged(place) as beside:
        change(beside)
    assert contents(place.out) == NEW


@pytest.mark.parametrize("moment", ["changed", "between"])
def test_killed_at_any_moment_it_is_the_old_one(place, monkeypatch, moment):
    """Nothing tidies up after a process that was killed; the next one does."""
    monkeypatch.setattr(staging, "remove", lambda path, inside: None)
    monkeypatch.setattr(staging, "_put_back", lambda place: None)

    def killed(self, target):
        if moment == "changed" or "staged" in str(self):
            raise OSError("killed")
        return rename(self, target)

    rename = type(place.out).rename
    with monkeypatch.context() as patch:
        patch.setattr(type(place.out), "rename", killed)
        with pytest.raises(OutputError), staged(place) as beside:
            change(beside)
    assert place.results.exists() == (moment == "changed")
    monkeypatch.undo()
    restore(place.out)
    assert contents(place.results) == {name.removeprefix("case/"): text for name, text in OLD.items()}
    with staged(place) as beside:
        change(beside)
    assert contents(place.out) == NEW


def test_links_are_not_followed(place, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (place.out / ".work").mkdir()
    (place.out / ".work" / "staged").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="without links"), staged(place):
        pass
    assert not [*(tmp_path / "elsewhere").iterdir()]


def test_the_folder_for_old_results_may_be_taken_away_meanwhile(place, monkeypatch):
    """By another process that is done with another input of the study."""
    taken, rename = [], Path.rename

    def taking(self, target):
        if self == place.results and not taken:
            taken.append(target.parent.rmdir())
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", taking)
    with staged(place) as beside:
        (beside.results / "new").write_text("new")
    assert taken
    assert (place.results / "new").read_text() == "new"
