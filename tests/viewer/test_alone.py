"""A bank without a study."""

import shutil
import time

from histofactor.runs.edit_study import edit, merged
from histofactor.runs.study import BANK, open_study
from histofactor.viewer.alone import first_level
from histofactor.viewer.study import concepts_state, open_view
from viewer_client import Viewer, moved_away


def patch_of(viewer):
    """The answer to the first typical place that is told."""
    k = viewer.json("/api/concepts")["k"]
    label = next(one for one in range(1, k + 1) if viewer.json(f"/api/concepts/{one}?k={k}")["patches"])
    return viewer.get(f"/patches/x/{label}/0.jpg?k={k}")


def test_the_level_of_the_study_is_shown_also_of_a_copy_of_its_bank(study, tmp_path):
    out, _ = study
    edit(out, None, merged([((1, 3), "both")]))
    shutil.copy(out / BANK, tmp_path / "copy.safetensors")
    for bank in (out / BANK, tmp_path / "copy.safetensors"):
        with open_view(bank) as view:
            assert concepts_state(view)["k"] == 7
            assert view.title == bank.name
            assert concepts_state(view, 8)["k"] == 8
    edit(out, None, merged([((2, 4), "more")]))
    shutil.copy(out / BANK, tmp_path / "copy.safetensors")
    assert first_level(open_study(tmp_path / "copy.safetensors")) == 6


def test_typical_places_are_shown_where_the_slides_are_seen(whole_study, tmp_path):
    out, paths = whole_study
    with open_view(out / BANK) as view:
        viewer = Viewer(view).open()
        assert viewer.json("/api/study")["name"] == BANK
        assert sorted(name for _, name in viewer.json("/api/study")["slides"]) == ["a.png", "b.png"]
        assert patch_of(viewer).headers["content-type"] == "image/jpeg"
    shutil.copy(out / BANK, tmp_path / "copy.safetensors")
    with open_view(tmp_path / "copy.safetensors") as view:
        assert not view.inputs
    with open_view(tmp_path / "copy.safetensors", moved=paths[0].parent) as view:
        assert patch_of(Viewer(view).open()).status_code == 200


def test_places_of_another_image_are_not_shown(whole_study, tmp_path):
    out, paths = whole_study
    shutil.copy(out / BANK, tmp_path / "copy.safetensors")
    (tmp_path / "there").mkdir()
    for path, other in zip(paths, reversed(paths), strict=True):
        shutil.copy(path, tmp_path / "there" / other.name)
    with moved_away(paths[0]), open_view(tmp_path / "copy.safetensors", moved=tmp_path / "there") as view:
        viewer, until = Viewer(view).open(), time.monotonic() + 20
        while any(finder.find().state == "comparing" for finder in view.finders.values()):
            assert time.monotonic() < until
            time.sleep(0.01)
        answer = patch_of(viewer)
        assert answer.status_code == 422
        assert "is not the slide that the bank was learned on" in answer.json()["error"]["what"]
