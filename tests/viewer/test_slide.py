"""One slide: what is damaged or moved is told, the rest is shown."""

import json
import shutil

import pytest
import tifffile
from PIL import Image

from histofactor.errors import ImageError
from histofactor.viewer.study import open_view


def test_the_place_under_a_click(looked_at, whole_study):
    for id_, folder in looked_at.view.slides.items():
        labels = tifffile.imread(whole_study[0] / folder / "labels.ome.tif")
        for x, y in ((0, 0), (319.9, 239.9), (100.5, 57.2), (200, 120)):
            told = looked_at.json(f"/api/slides/{id_}/point?x={x}&y={y}")
            assert told["label"] == labels[int(y), int(x)]
            assert len(told["token"]["strongest"]) <= 3
            assert 0 <= told["token"]["residual"] <= 1
        for place in ("x=320&y=0", "x=0&y=240.5", "x=a&y=0", "y=0", "x=-1&y=0"):
            assert looked_at.get(f"/api/slides/{id_}/point?{place}").status_code == 404


def test_a_damaged_label_map_is_told_and_the_slide_is_shown(viewer):
    id_ = viewer.ids[0]
    path = viewer.view.out / viewer.view.slides[id_] / "labels.ome.tif"
    content = bytearray(path.read_bytes())
    content[-100] ^= 255
    path.write_bytes(content)
    told = viewer.json(f"/api/slides/{id_}")
    assert "labels.ome.tif" in told["labels_fault"]["what"]
    assert told["labels"] is None
    assert told["source_fault"] is None
    assert viewer.get(f"/tiles/{id_}/{told['tiles_version']}/9_0_0.jpg").status_code == 200
    answer = viewer.get(f"/labels/{id_}/{told['labels_version']}/0_0_0.bin")
    assert answer.status_code == 422
    assert answer.json()["error"]["mend"] == "segment the input again"


def test_damaged_weights_are_told_and_the_map_is_shown(viewer):
    id_ = viewer.ids[0]
    folder = viewer.view.out / viewer.view.slides[id_]
    (folder / "weights.zarr" / "zarr.json").write_text("{}")
    told = viewer.json(f"/api/slides/{id_}")
    place = viewer.get(f"/api/slides/{id_}/point?x=1&y=1")
    assert place.status_code == 422
    assert "weights.zarr" in place.json()["error"]["what"]
    assert told["labels"]["sizes"][0] == [320, 240]
    assert viewer.get(f"/heat/{id_}/{told['labels_version']}/margin.bin").status_code == 422


def test_layers_of_tokens(looked_at):
    id_ = looked_at.ids[0]
    version = looked_at.json(f"/api/slides/{id_}")["labels_version"]
    for what in ("margin", "residual"):
        answer = looked_at.get(f"/heat/{id_}/{version}/{what}.bin")
        width, height = json.loads(answer.headers["x-heat"])["size"]
        assert len(answer.content) == width * height
    assert looked_at.get(f"/heat/{id_}/{version}/other.bin").status_code == 404


def test_a_slide_that_moved_is_asked_for_and_found(study, tmp_path):
    out, paths = study
    (tmp_path / "there" / "deep").mkdir(parents=True)
    moved = [shutil.move(path, tmp_path / "away.png") if path.name == "a.png" else path for path in paths]
    try:
        with open_view(out) as view:
            slide = next(view.slide(id_) for id_ in view.slides if view.slides[id_] == "a")
            with pytest.raises(ImageError, match=r"a\.png is not where it was") as error:
                slide.open_source()
            assert "--slides" in error.value.mend
            assert slide.labels.sizes[0] == (320, 240)
        shutil.copy(moved[0], tmp_path / "there" / "deep" / "a.png")
        with open_view(out, moved=tmp_path / "there") as view:
            slide = next(view.slide(id_) for id_ in view.slides if view.slides[id_] == "a")
            with slide.open_source() as opened:
                assert opened.info.size == (320, 240)
        Image.new("RGB", (64, 64)).save(tmp_path / "there" / "deep" / "a.png")
        with open_view(out, moved=tmp_path / "there") as view:
            slide = next(view.slide(id_) for id_ in view.slides if view.slides[id_] == "a")
            with pytest.raises(ImageError, match="not the input"):
                slide.open_source()
    finally:
        shutil.move(tmp_path / "away.png", paths[0])


def test_results_without_a_seal_are_told(viewer):
    id_ = viewer.ids[0]
    seal = viewer.view.out / viewer.view.slides[id_] / "segmentation.json"
    seal.write_text(seal.read_text().replace('"k": 8', '"k": 9'))
    answer = viewer.get(f"/api/slides/{id_}")
    assert answer.status_code == 422
    assert "damaged" in answer.json()["error"]["what"]
