"""Concepts changed from the page."""

import pytest

from histofactor.base import files
from histofactor.concepts.bank.file import read_bank_file
from histofactor.runs.study import BANK, open_study
from histofactor.viewer.study import open_view
from viewer_client import Viewer


def bank_of(viewer):
    study = open_study(viewer.view.out / BANK)
    return study.file.banks[study.k]


def test_what_is_done_is_in_the_bank_at_once(viewer):
    assert viewer.edit(do="name", label=3, name=" stroma ").status_code == 200
    assert bank_of(viewer).names[2] == "stroma"
    assert viewer.edit(do="name", label=3, color=[1, 2, 3]).json()["concepts"][2]["color"] == [1, 2, 3]
    assert bank_of(viewer).colors[2] == (1, 2, 3)
    answer = viewer.edit(do="merge", labels=[7, 2], name="both").json()
    assert answer["k"] == 7
    assert answer["concepts"][1]["name"] == "both"
    assert len(bank_of(viewer).names) == 7
    assert viewer.edit(do="exclude", labels=[1]).json()["concepts"][0]["excluded"]
    assert bank_of(viewer).excluded == (0,)
    assert not viewer.edit(do="include", labels=[1]).json()["concepts"][0]["excluded"]


def test_what_bears_one_name_is_named_and_coloured_in_one_step(viewer):
    answer = viewer.edit(do="name", labels=[3, 6], name="stroma", color=[1, 2, 3]).json()
    assert [one["name"] for one in answer["concepts"]].count("stroma") == 2
    assert [one["color"] for one in answer["concepts"]].count([1, 2, 3]) == 2
    assert viewer.edit(do="undo").json()["undo"] is None
    assert "stroma" not in bank_of(viewer).names


def test_everything_is_undone_and_made_again_also_after_a_restart(study):
    out, _ = study
    first = (out / BANK).read_bytes()
    with open_view(out) as view:
        viewer = Viewer(view).open()
        viewer.edit(do="name", label=1, name="gland")
        viewer.edit(do="merge", labels=[1, 2, 3, 4, 5], name="most")  # takes the place of the level K = 4
        last = (out / BANK).read_bytes()
    with open_view(out) as view:
        viewer = Viewer(view).open()
        assert viewer.json("/api/concepts")["undo"] == "merged 1+2+3+4+5 as most"
        assert viewer.edit(do="undo").json()["k"] == 8
        answer = viewer.edit(do="undo").json()
        assert (answer["undo"], answer["redo"]) == (None, "named 1 gland")
        assert answer["notes"] == ["Undone: named 1 gland"]
        assert (out / BANK).read_bytes() == first
        assert viewer.edit(do="undo").status_code == 422
    with open_view(out) as view:
        viewer = Viewer(view).open()
        viewer.edit(do="redo")
        assert viewer.edit(do="redo").json()["redo"] is None
        assert (out / BANK).read_bytes() == last


def test_what_was_changed_by_something_else_is_not_overwritten(viewer):
    version = viewer.json("/api/concepts")["version"]
    assert viewer.edit(do="name", label=1, name="a").status_code == 200
    answer = viewer.post("edit", {"do": "name", "label": 1, "name": "b", "version": version})
    assert answer.status_code == 409
    assert answer.json()["outdated"]
    assert bank_of(viewer).names[0] == "a"


WRONG = [
    {"do": "erase"}, {"do": None}, {}, {"do": "name", "label": 9, "name": "x"}, {"do": "name", "label": 0, "name": "x"},
    {"do": "name", "label": True, "name": "x"}, {"do": "name", "label": "1", "name": "x"}, {"do": "name", "label": 1},
    {"do": "name", "labels": [1, 9], "name": "x"}, {"do": "name", "labels": [], "name": "x"},
    {"do": "name", "label": 1, "color": [1, 2]}, {"do": "name", "label": 1, "color": [1, 2, 256]},
    {"do": "merge", "labels": [1], "name": "x"}, {"do": "merge", "labels": [1, 1], "name": "x"},
    {"do": "merge", "labels": [1, 99], "name": "x"}, {"do": "merge", "labels": "12", "name": "x"},
    {"do": "merge", "labels": [1, 2]}, {"do": "exclude", "labels": []}, {"do": "include", "labels": [1]},
    {"do": "exclude", "labels": [1, 2, 3, 4, 5, 6, 7, 8]}, {"do": "redo"}, {"do": ["name"]}, {"do": {"a": 1}},
]  # fmt: skip


@pytest.mark.parametrize("wanted", WRONG, ids=str)
def test_what_cannot_be_done_changes_nothing(viewer, wanted):
    before = (viewer.view.out / BANK).read_bytes()
    answer = viewer.edit(**wanted)
    assert answer.status_code == 422
    assert answer.json()["error"]["what"]
    assert (viewer.view.out / BANK).read_bytes() == before


@pytest.mark.parametrize("full_after", [0, 1, 2])
def test_a_full_disk_is_one_message_and_nothing_is_lost(viewer, monkeypatch, full_after):
    """Whichever file it is that finds no room: the bank as it was, the journal, the new bank."""
    viewer.edit(do="name", label=1, name="before")
    before = (viewer.view.out / BANK).read_bytes()
    written, sync = [], files._sync

    def full(path):
        if path.is_file():
            written.append(path)
            if len(written) > full_after:
                raise OSError(28, "No space left on device")
        sync(path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_sync", full)
        answer = viewer.edit(do="name", label=1, name="after")
    assert answer.status_code == 422
    assert "No space left" in answer.json()["error"]["got"]
    assert (viewer.view.out / BANK).read_bytes() == before
    assert viewer.json("/api/concepts")["concepts"][0]["name"] == "before"
    assert viewer.edit(do="name", label=1, name="after").status_code == 200
    assert viewer.edit(do="undo").json()["concepts"][0]["name"] == "before"
    assert viewer.edit(do="undo").json()["concepts"][0]["name"] == "Concept 1"
    assert read_bank_file(viewer.view.out / BANK)
