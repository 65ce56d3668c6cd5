"""Public data sets in the layout of their publishers, made small."""

import json

import numpy as np
import pytest
from PIL import Image

from histofactor.errors import ImageError, OptionError
from histofactor.evaluation.adapters import ADAPTERS, adapt
from histofactor.evaluation.datasets import IGNORED, load_dataset, read_truth

RNG = np.random.default_rng(0)


def put(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def picture():
    return RNG.integers(0, 255, (12, 16, 3), np.uint8)


def bcss(folder):
    masks = {}
    for stem in ("TCGA-A1-A0SK-DX1_xmin1_ymin2_MPP-0.2500", "TCGA-OL-A66H-DX1_xmin3_ymin4_MPP-0.2500"):
        masks[stem] = RNG.integers(0, 22, (12, 16), np.uint8)
        put(folder / f"rgbs_colorNormalized/{stem}.png", picture())
        put(folder / f"masks/{stem}.png", masks[stem])
    return masks


def glas(folder):
    masks = {}
    for stem in ("train_1", "testA_2"):
        masks[stem] = RNG.integers(0, 4, (12, 16), np.uint8)
        put(folder / f"{stem}.bmp", picture())
        put(folder / f"{stem}_anno.bmp", masks[stem])
    (folder / "Grade.csv").write_text("name, patient ID, grade (GlaS)\ntrain_1, 7, benign\ntestA_2, 9, malignant\n")
    return masks


def crag(folder):
    masks = {}
    for split, stem in (("train", "train_1"), ("valid", "test_1")):
        masks[stem] = RNG.integers(0, 4, (12, 16), np.uint8)
        put(folder / f"{split}/Images/{stem}.png", picture())
        put(folder / f"{split}/Annotation/{stem}.png", masks[stem])
    return masks


def wsss4luad(folder):
    masks = {}
    for split, part in (("validation", "2.validation"), ("test", "3.testing")):
        masks[f"{split}_00"] = RNG.integers(0, 4, (12, 16), np.uint8)
        put(folder / f"{part}/img/00.png", picture())
        mask = Image.fromarray(masks[f"{split}_00"], mode="P")
        mask.putpalette(range(12))
        (folder / f"{part}/mask").mkdir()
        mask.save(folder / f"{part}/mask/00.png")
    return masks


MADE = {"bcss": bcss, "glas": glas, "crag": crag, "wsss4luad": wsss4luad}


@pytest.mark.parametrize("name", ADAPTERS)
def test_contract(tmp_path, name):
    masks = MADE[name](tmp_path / "source")
    dataset = load_dataset(adapt(name, tmp_path / "source", tmp_path / "out"))
    assert dataset.name == name
    assert dataset.mpp == ADAPTERS[name].mpp
    assert {item.stem for item in dataset.items} == set(masks)
    assert len({item.patient for item in dataset.items}) == 2
    for item in dataset.items:
        truth, mask = read_truth(dataset, item), masks[item.stem]
        codes = ADAPTERS[name].codes
        expected = (mask > 0).astype(int) if codes is None else np.vectorize(codes.get)(mask)
        np.testing.assert_array_equal(truth, np.where(expected == 255, IGNORED, expected))
        assert np.asarray(Image.open(item.image)).shape == (12, 16, 3)


def test_what_the_publishers_tell_is_kept(tmp_path):
    glas(tmp_path / "glas")
    bcss(tmp_path / "bcss")
    read = {name: (adapt(name, tmp_path / name, tmp_path / f"{name}_out") / "images.csv").read_text().splitlines()
            for name in ("glas", "bcss")}  # fmt: skip
    assert set(read["glas"][1:]) == {"train_1,7,train", "testA_2,9,testA"}
    assert [row.split(",")[1:] for row in read["bcss"][1:]] == [["TCGA-A1-A0SK", "train"], ["TCGA-OL-A66H", "test"]]


def test_what_is_done_is_not_done_again(tmp_path):
    crag(tmp_path / "source")
    out = adapt("crag", tmp_path / "source", tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    adapt("crag", tmp_path / "nowhere", tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.png")} == before


def test_a_mask_that_is_missing_or_wrong(tmp_path):
    masks = bcss(tmp_path / "source")
    first, second = (tmp_path / f"source/masks/{stem}.png" for stem in masks)
    put(first, np.full((12, 16), 99, np.uint8))
    with pytest.raises(ImageError, match=r"unknown codes.*99"):
        adapt("bcss", tmp_path / "source", tmp_path / "out")
    assert not (tmp_path / "out/dataset.json").exists()
    put(first, picture())
    with pytest.raises(ImageError, match="holds no labels"):
        adapt("bcss", tmp_path / "source", tmp_path / "out")
    first.write_bytes(b"no image")
    with pytest.raises(ImageError, match="cannot read the mask"):
        adapt("bcss", tmp_path / "source", tmp_path / "out")
    second.unlink()
    with pytest.raises(ImageError, match="has no mask"):
        adapt("bcss", tmp_path / "source", tmp_path / "out")


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_empty_folder(tmp_path, name):
    (tmp_path / "source").mkdir()
    with pytest.raises(OptionError, match=f"not {name} as it is published"):
        adapt(name, tmp_path / "source", tmp_path / "out")
    with pytest.raises(OptionError, match="no such folder"):
        adapt(name, tmp_path / "nowhere", tmp_path / "out")


def test_an_unknown_name(tmp_path):
    with pytest.raises(OptionError, match="bcss, glas, crag, wsss4luad"):
        adapt("voc", tmp_path, tmp_path / "out")


def test_classes_have_all_codes():
    for adapter in ADAPTERS.values():
        used = {0, 1} if adapter.codes is None else {*adapter.codes.values()} - {255}
        assert used == set(adapter.classes)
        assert json.dumps(adapter.classes)
