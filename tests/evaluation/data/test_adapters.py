"""Public data sets in the layout of their publishers, made small."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from histofactor.errors import ImageError, OptionError
from histofactor.evaluation.data.adapters import ADAPTERS, adapt
from histofactor.evaluation.data.datasets import IGNORED, load_dataset, read_truth

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


def camelyon(folder):
    """Two slides of 0.5 µm/px whose masks are blocks of 32 px: 16 µm, two px of the labels."""
    masks = {}
    for stem, held in (("normal_001", (0, 1)), ("patient_012_node_1", (0, 1, 2))):
        blocks = RNG.choice(held, (12, 16)).astype(np.uint8)
        blocks[0, :3] = held[1]
        masks[stem] = np.kron(blocks, np.ones((2, 2), np.uint8))
        full = np.kron(blocks, np.ones((32, 32), np.uint8))
        density = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
        for path, levels, photometric in (
            (folder / f"images/{stem}.tif", [np.full((*full.shape, 3), 200, np.uint8)], "rgb"),
            (folder / f"masks/{stem}_mask.tif", [full, full[::4, ::4], full[::32, ::32]], "minisblack"),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            with tifffile.TiffWriter(path) as tiff:
                for number, level in enumerate(levels):
                    options = {"photometric": photometric, "tile": (64, 64), "compression": "deflate"}
                    tiff.write(level, subfiletype=int(number > 0), **options, **(density if number == 0 else {}))
    return masks


MADE = {"bcss": bcss, "glas": glas, "crag": crag, "camelyon": camelyon, "wsss4luad": wsss4luad}


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
        assert np.asarray(Image.open(item.image)).shape == (*mask.shape, 3)


def test_what_the_publishers_tell_is_kept(tmp_path):
    glas(tmp_path / "glas")
    bcss(tmp_path / "bcss")
    camelyon(tmp_path / "camelyon")
    read = {name: (adapt(name, tmp_path / name, tmp_path / f"{name}_out") / "images.csv").read_text().splitlines()
            for name in ("glas", "bcss", "camelyon")}  # fmt: skip
    assert read["glas"][0] == "name,patient,split,grade"
    assert set(read["glas"][1:]) == {"train_1,7,train,benign", "testA_2,9,testA,malignant"}
    assert read["bcss"][0] == "name,patient,split,institute"
    assert [row.split(",")[1:] for row in read["bcss"][1:]] == [
        ["TCGA-A1-A0SK", "train", "A1"],
        ["TCGA-OL-A66H", "test", "OL"],
    ]
    assert (tmp_path / "glas_out/train.txt").read_text() == "train_1\n"
    assert (tmp_path / "glas_out/test.txt").read_text() == "testA_2\n"
    assert read["camelyon"][1:] == ["normal_001,normal_001,train,", "patient_012_node_1,patient_012,train,center_0"]
    assert not (tmp_path / "camelyon_out/train.txt").exists()  # nothing to test on


def test_names_of_bcss_state_the_resolution(tmp_path):
    bcss(tmp_path / "source")
    for path in list((tmp_path / "source").rglob("*.png")):
        path.rename(path.with_name(path.name.replace("0.2500", "0.5000")))
    assert load_dataset(adapt("bcss", tmp_path / "source", tmp_path / "out")).mpp == 0.5
    bcss(tmp_path / "source")
    with pytest.raises(OptionError, match=r"not of one resolution.*got 0\.2500, 0\.5000"):
        adapt("bcss", tmp_path / "source", tmp_path / "other")


def test_glas_without_patients(tmp_path):
    glas(tmp_path / "source")
    (tmp_path / "source/Grade.csv").write_text("name, patient ID\ntrain_1, 7\n")
    with pytest.raises(OptionError, match=r"does not tell whose testA_2\.bmp is"):
        adapt("glas", tmp_path / "source", tmp_path / "out")
    (tmp_path / "source/Grade.csv").unlink()
    with pytest.raises(OptionError, match=r"cannot read .*Grade\.csv"):
        adapt("glas", tmp_path / "source", tmp_path / "out")


def test_masks_that_were_withheld(tmp_path):
    wsss4luad(tmp_path / "source")
    put(tmp_path / "source/3.testing/img/01.png", picture())
    dataset = load_dataset(adapt("wsss4luad", tmp_path / "source", tmp_path / "out"))
    assert [item.stem for item in dataset.items] == ["test_00", "validation_00"]


def test_slides_at_another_resolution(tmp_path):
    masks = camelyon(tmp_path / "source")
    dataset = load_dataset(adapt("camelyon", tmp_path / "source", tmp_path / "out", mpp=4.0))
    assert dataset.mpp == 4.0
    for item in dataset.items:
        expected = np.kron(masks[item.stem], np.ones((2, 2), np.uint8)).astype(int) - 1
        np.testing.assert_array_equal(read_truth(dataset, item), expected)
        assert np.asarray(Image.open(item.image)).shape == (*expected.shape, 3)
    with pytest.raises(OptionError, match=r"holds another data set; expected camelyon at 8 µm/px; got camelyon at 4"):
        adapt("camelyon", tmp_path / "source", tmp_path / "out", mpp=8.0)
    with pytest.raises(OptionError, match=r"not read at 0\.25 µm/px"):
        adapt("camelyon", tmp_path / "source", tmp_path / "fine", mpp=0.25)
    with pytest.raises(OptionError, match="cannot be chosen so for glas"):
        adapt("glas", tmp_path / "source", tmp_path / "glas", mpp=0.5)


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
    with pytest.raises(ImageError, match="cannot read the labels"):
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
    with pytest.raises(OptionError, match="bcss, glas, crag, camelyon, wsss4luad"):
        adapt("voc", tmp_path, tmp_path / "out")


def test_classes_have_all_codes():
    for adapter in ADAPTERS.values():
        used = {0, 1} if adapter.codes is None else {*adapter.codes.values()} - {255}
        assert used == set(adapter.classes)
        assert json.dumps(adapter.classes)
