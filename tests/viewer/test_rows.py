"""What a list of slides says of each."""

import json
import shutil
import time

import pytest

from histofactor.errors import ImageError
from histofactor.export.seal import read_seal, write_seal
from histofactor.export.tables import read_phenotypes
from histofactor.slides.warnings import UNKNOWN_MPP
from histofactor.viewer.rows import slide_row
from histofactor.viewer.study import open_view
from viewer_client import Viewer, moved_away


def test_a_row_tells_the_table(looked_at, whole_study):
    out, paths = whole_study
    rows = looked_at.json("/api/table")
    for id_, folder in looked_at.view.slides.items():
        expected = read_phenotypes(out / folder / "phenotypes.csv")
        assert rows[id_]["px"] == [row.area_px for row in expected]
        assert rows[id_]["um2_per_px"] == pytest.approx(1.0)
        assert [own[0] for own in rows[id_]["own"]] == [row.name for row in expected]
        assert rows[id_]["status"] == "done"
        assert not rows[id_]["behind"]
    one = looked_at.json(f"/api/table?ids={looked_at.ids[1]},nothing")
    assert list(one) == [looked_at.ids[1]]
    assert [name for _, name in looked_at.json("/api/study")["slides"]] == [path.name for path in paths]


def test_slides_that_are_not_done_say_so(study):
    out, _ = study
    with open_view(out) as view:
        first, second = view.slides
        (out / view.slides[first] / "phenotypes.csv").write_text("nonsense")
        shutil.rmtree(out / view.slides[second])
        assert slide_row(view, first)["status"] == "failed"
        assert "phenotypes.csv" in slide_row(view, first)["fault"]["what"]
        assert slide_row(view, second) == {"status": "waiting"}
        json.dumps([slide_row(view, id_) for id_ in view.slides])


def test_a_damaged_map_is_told_once_it_is_known_and_no_more_once_it_is_mended(study):
    out, _ = study
    with open_view(out) as view:
        first, second = view.slides
        path = out / view.slides[first] / "labels.ome.tif"
        whole = path.read_bytes()
        path.write_bytes(whole[:-40] + bytes(40))
        assert "fault" not in slide_row(view, first)  # nobody has looked at it
        with pytest.raises(ImageError):
            view.slide(first).label_tile(0, 0, 0)
        told = slide_row(view, first)
        assert told["fault"]["what"] == f"labels.ome.tif of {view.slides[first]} is damaged"
        assert told["fault"]["mend"] == "segment the input again"
        assert sum(told["px"]) > 0  # its table is whole
        assert "fault" not in slide_row(view, second)
        path.unlink()
        view.slide(first).release()
        assert "cannot be read" in slide_row(view, first)["fault"]["got"]
        path.write_bytes(whole)
        view.slide(first).label_tile(0, 0, 0)
        assert "fault" not in slide_row(view, first)


def test_what_may_make_a_map_meaningless_is_told(study):
    out, _ = study
    content = read_seal(out / "a")
    content.pop("digests")
    write_seal({**content, "notes": [*content["notes"], UNKNOWN_MPP, "the scanner is called x"]}, out / "a")
    with open_view(out, read_only=True) as view:
        first, second = view.slides
        assert slide_row(view, first)["warnings"] == [UNKNOWN_MPP]
        assert slide_row(view, second)["warnings"] == []
        viewer = Viewer(view).open()
        assert viewer.json(f"/api/slides/{first}")["warnings"] == [UNKNOWN_MPP]


def test_another_image_in_the_place_of_one_is_told_in_the_background(study, tmp_path):
    out, paths = study
    (tmp_path / "there").mkdir()
    shutil.copy(paths[1], tmp_path / "there" / "a.png")
    with moved_away(paths[0]), open_view(out, read_only=True, moved=tmp_path / "there") as view:
        first, second = view.slides
        until = time.monotonic() + 20
        while any(slide_row(view, id_)["checking"] for id_ in view.slides):
            assert time.monotonic() < until
            time.sleep(0.01)
        assert slide_row(view, first)["source"]["what"] == "a.png is not the image that this map was made of"
        assert slide_row(view, second)["source"] is None
