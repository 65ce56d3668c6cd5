"""Any published data set becomes a folder that ``load_dataset`` reads; images stay where they are."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from histofactor.errors import ImageError, OptionError
from histofactor.evaluation.data.datasets import IGNORED, load_dataset, read_truth
from histofactor.evaluation.data.layout import Adapter, lay_out
from histofactor.evaluation.data.originals import Original, paired

CODES = {0: 255, 3: 0, 7: 1}  # of the masks: 0 is ignored


def find(folder):
    return [one for split in ("train", "test") for one in paired(folder / split, folder / "masks", split=split)]


ADAPTER = Adapter("train, test and masks", find, CODES, {0: "stroma", 1: "tumour"}, 0.5)
MASK = np.random.default_rng(0).choice([0, 3, 7], (4, 6)).astype(np.uint8)


def put(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture
def source(tmp_path):
    """Two images for training and one to test on."""
    for number, name in enumerate(("train/a", "train/b", "test/c")):
        put(tmp_path / f"source/{name}.png", np.full((4, 6, 3), 80 * number, np.uint8))
        put(tmp_path / f"source/masks/{name[-1]}.png", MASK)
    return tmp_path / "source"


def test_a_data_set_is_laid_out(source, tmp_path):
    out = lay_out("toy", ADAPTER, source, tmp_path / "out", None)
    dataset = load_dataset(out)
    assert (dataset.name, dataset.mpp, dataset.ignore) == ("toy", 0.5, 255)
    assert dataset.classes == {0: "stroma", 1: "tumour"}
    assert [(item.stem, item.patient) for item in dataset.items] == [("a", "a"), ("b", "b"), ("c", "c")]
    for item in dataset.items:
        np.testing.assert_array_equal(read_truth(dataset, item), np.select([MASK == 3, MASK == 7], [0, 1], IGNORED))
    assert (out / "train.txt").read_text() == "a\nb\n"
    assert (out / "test.txt").read_text() == "c\n"


def test_without_codes_everything_above_zero_is_one_class(source, tmp_path):
    adapter = replace(ADAPTER, codes=None, classes={0: "other", 1: "gland"})
    dataset = load_dataset(lay_out("toy", adapter, source, tmp_path / "out", None))
    np.testing.assert_array_equal(read_truth(dataset, dataset.items[0]), MASK > 0)


def test_images_of_one_name_in_two_splits(source, tmp_path):
    put(source / "test/a.png", np.full((4, 6, 3), 9, np.uint8))
    dataset = load_dataset(lay_out("toy", ADAPTER, source, tmp_path / "out", None))
    assert [item.stem for item in dataset.items] == ["test_a", "test_c", "train_a", "train_b"]
    assert [np.asarray(Image.open(item.image))[0, 0, 0] for item in dataset.items] == [9, 160, 0, 80]


def test_facts_of_images_are_kept_and_are_no_formulas(source, tmp_path):
    def told(folder):
        first, *others = find(folder)
        return [replace(first, patient="=1+1", facts={"grade": "high"}), *others]

    dataset = load_dataset(lay_out("toy", replace(ADAPTER, find=told), source, tmp_path / "out", None))
    assert [(item.patient, dict(item.facts)) for item in dataset.items] == [
        ("=1+1", {"grade": "high"}), ("b", {"grade": ""}), ("c", {"grade": ""}),
    ]  # fmt: skip
    assert "\na,'=1+1,train,high\n" in (tmp_path / "out/images.csv").read_text()


def test_the_resolution_that_names_state_is_taken(source, tmp_path):
    adapter = replace(ADAPTER, stated_mpp=lambda found: 0.25 * len(found))
    assert load_dataset(lay_out("toy", adapter, source, tmp_path / "out", None)).mpp == 0.75


@pytest.mark.parametrize("mpp", [0, -1.0, float("nan"), 0.5])
def test_a_resolution_is_chosen_only_for_slides(source, tmp_path, mpp):
    with pytest.raises(OptionError, match="µm/px cannot be chosen so for toy"):
        lay_out("toy", ADAPTER, source, tmp_path / "out", mpp)


def test_images_stay_where_they_are(source, tmp_path):
    out = lay_out("toy", ADAPTER, source, tmp_path / "out", None)
    assert (out / "images/a.png").samefile(source / "train/a.png")


def test_images_are_copied_where_there_are_no_links(source, tmp_path, monkeypatch):
    def refuse(*paths):
        raise OSError("no links here")

    monkeypatch.setattr("os.symlink", refuse)
    monkeypatch.setattr("os.link", refuse)
    copy = lay_out("toy", ADAPTER, source, tmp_path / "out", None) / "images/a.png"
    assert copy.read_bytes() == (source / "train/a.png").read_bytes()
    assert not copy.samefile(source / "train/a.png")


def test_px_that_are_read_are_written(source, tmp_path):
    def read(original: Original, mpp: float):
        return np.full((4, 6, 3), round(100 * mpp), np.uint8), MASK

    dataset = load_dataset(lay_out("toy", replace(ADAPTER, read=read), source, tmp_path / "out", 2.0))
    assert dataset.mpp == 2.0
    assert (np.asarray(Image.open(dataset.items[0].image)) == 200).all()
    assert not dataset.items[0].image.is_symlink()


def test_a_folder_around_the_folder_will_do(source, tmp_path):
    (tmp_path / "around").mkdir()
    source.rename(tmp_path / "around/archive")
    assert len(load_dataset(lay_out("toy", ADAPTER, tmp_path / "around", tmp_path / "out", None)).items) == 3


def test_of_two_folders_none_is_taken(source, tmp_path):
    (tmp_path / "around").mkdir()
    for name in ("one", "other"):
        put(tmp_path / f"around/{name}/train/a.png", np.zeros((4, 6, 3), np.uint8))
        put(tmp_path / f"around/{name}/masks/a.png", MASK)
    with pytest.raises(OptionError, match="not toy as it is published; expected train, test and masks"):
        lay_out("toy", ADAPTER, tmp_path / "around", tmp_path / "out", None)


def test_a_folder_with_another_data_set(source, tmp_path):
    out = lay_out("toy", ADAPTER, source, tmp_path / "out", None)
    with pytest.raises(OptionError, match="holds another data set; expected other; got toy"):
        lay_out("other", ADAPTER, source, out, None)
    (out / "dataset.json").write_text("{")
    with pytest.raises(OptionError, match="cannot read"):
        lay_out("toy", ADAPTER, source, out, None)


def test_what_is_done_is_not_done_again(source, tmp_path):
    out = lay_out("toy", ADAPTER, source, tmp_path / "out", None)
    before = {path: path.lstat().st_mtime_ns for path in out.rglob("*")}
    assert lay_out("toy", ADAPTER, tmp_path / "nowhere", out, None) == out
    assert {path: path.lstat().st_mtime_ns for path in out.rglob("*")} == before


def test_codes_that_nobody_told_of(source, tmp_path):
    put(source / "masks/b.png", np.array([[0, 3, 7], [9, 9, 8]], np.uint8).repeat(2, 0).repeat(2, 1))
    with pytest.raises(ImageError, match=r"b\.png holds unknown codes; expected \[0, 3, 7\]; got \[8, 9\]"):
        lay_out("toy", ADAPTER, source, tmp_path / "out", None)
    assert not (tmp_path / "out/dataset.json").exists()
    put(source / "masks/b.png", MASK)
    facts = json.loads((lay_out("toy", ADAPTER, source, tmp_path / "out", None) / "dataset.json").read_text())
    assert facts["ignore"] == 255
