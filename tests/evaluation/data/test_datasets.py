import json

import numpy as np
import pytest
from PIL import Image

from histofactor.errors import ImageError, OptionError
from histofactor.evaluation.data.datasets import load_dataset, read_truth

FACTS = {"name": "toy", "mpp": 0.5, "classes": {"3": "tumour", "1": "stroma"}, "ignore": 0}
TRUTH = np.array([[0, 1, 3], [3, 3, 1]], np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Three images of two patients; the third has no row to spare."""
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for stem, suffix in (("s1", ".png"), ("s2", ".jpg"), ("s10", ".tif")):
        Image.new("RGB", (3, 2)).save(tmp_path / "images" / (stem + suffix))
        Image.fromarray(TRUTH).save(tmp_path / "labels" / f"{stem}.png")
    (tmp_path / "images.csv").write_text("name,patient,grade\ns10,A,low\ns1,B,high\ns2,A,low\nelsewhere,C,low\n")
    write_facts(tmp_path)
    return tmp_path


def write_facts(folder, **changes):
    (folder / "dataset.json").write_text(json.dumps({**FACTS, **changes}))


def test_a_data_set(folder):
    dataset = load_dataset(folder)
    assert (dataset.name, dataset.mpp, dataset.ignore) == ("toy", 0.5, 0)
    assert list(dataset.classes.items()) == [(1, "stroma"), (3, "tumour")]
    assert [(item.stem, item.image.suffix, item.patient) for item in dataset.items] == [
        ("s1", ".png", "B"),
        ("s2", ".jpg", "A"),
        ("s10", ".tif", "A"),
    ]


def test_facts_are_kept(folder):
    assert [item.facts for item in load_dataset(folder).items] == [
        {"grade": "high"},
        {"grade": "low"},
        {"grade": "low"},
    ]
    (folder / "images.csv").write_text(
        "name,patient,split,stain,,site\ns10,A,train,x,y,\ns1,B,test\ns2,A,test,x,y,z,a,b\n"
    )
    told = [{"stain": "", "site": ""}, {"stain": "x", "site": "z"}, {"stain": "x", "site": ""}]
    assert [item.facts for item in load_dataset(folder).items] == told
    (folder / "images.csv").unlink()
    assert [item.facts for item in load_dataset(folder).items] == [{}, {}, {}]


def test_truth_is_the_index_of_the_class(folder):
    dataset = load_dataset(folder)
    np.testing.assert_array_equal(read_truth(dataset, dataset.items[0]), [[-1, 0, 1], [1, 1, 0]])


@pytest.mark.parametrize("kind", ["palette", "16 bit"])
def test_integer_images_of_other_kinds(folder, kind):
    dataset = load_dataset(folder)
    if kind == "palette":
        image = Image.fromarray(TRUTH)
        image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200, 9, 9, 9])
    else:
        image = Image.fromarray(TRUTH.astype(np.uint16))
    image.save(dataset.items[0].labels)
    np.testing.assert_array_equal(read_truth(dataset, dataset.items[0]), [[-1, 0, 1], [1, 1, 0]])


def test_two_level_masks(folder):
    write_facts(folder, classes={"0": "other", "1": "gland"}, ignore=None)
    dataset = load_dataset(folder)
    Image.fromarray(TRUTH > 1).save(dataset.items[0].labels)
    np.testing.assert_array_equal(read_truth(dataset, dataset.items[0]), [[0, 0, 1], [1, 1, 0]])


def test_without_images_csv_every_image_is_a_patient_and_this_is_known(folder):
    assert load_dataset(folder).patients_given
    (folder / "images.csv").unlink()
    for _ in range(2):
        dataset = load_dataset(folder)
        assert [item.patient for item in dataset.items] == ["s1", "s2", "s10"]
        assert not dataset.patients_given
        (folder / "images.csv").write_text("name,grade\ns10,1\ns1,2\ns2,1\n")


def test_the_ignored_code_is_no_class_even_if_it_has_a_name(folder):
    write_facts(folder, classes={"0": "outside", "1": "stroma", "3": "tumour"}, mpp=None)
    dataset = load_dataset(folder)
    assert (list(dataset.classes), dataset.mpp) == ([1, 3], None)


FACTS_WRONG = [
    ({"name": ""}, "name as text"),
    ({"name": 3}, "name as text"),
    ({"mpp": 0}, "mpp in µm/px"),
    ({"mpp": "0.5"}, "mpp in µm/px"),
    ({"mpp": True}, "mpp in µm/px"),
    ({"ignore": "0"}, "ignore as an integer"),
    ({"ignore": 0.5}, "ignore as an integer"),
    ({"classes": {}}, "classes as"),
    ({"classes": ["a"]}, "classes as"),
    ({"classes": {"gland": 1}}, "classes as"),
    ({"classes": {"-1": "gland"}}, "classes as"),
    ({"classes": {"01": "gland"}}, "classes as"),
    ({"classes": {"1": ""}}, "classes as"),
    ({"classes": {"1": "a", "2": "a"}}, "classes as"),
    ({"classes": {"0": "ignored only"}}, "classes as"),
]


@pytest.mark.parametrize(("changes", "told"), FACTS_WRONG)
def test_wrong_facts(folder, changes, told):
    write_facts(folder, **changes)
    with pytest.raises(OptionError, match=told) as error:
        load_dataset(folder)
    assert str(folder / "dataset.json") in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "toy"}', "[" * 100_000, "\xff"])
def test_damaged_facts(folder, text):
    (folder / "dataset.json").write_text(text, encoding="latin-1")
    with pytest.raises(OptionError, match=r"dataset\.json is not as"):
        load_dataset(folder)


def test_missing_parts(folder):
    with pytest.raises(OptionError, match="no such folder"):
        load_dataset(folder / "elsewhere")
    (folder / "labels" / "s2.png").unlink()
    with pytest.raises(ImageError, match=r"s2\.jpg has no labels.*labels/s2\.png"):
        load_dataset(folder)
    for path in (folder / "images").iterdir():
        path.unlink()
    with pytest.raises(ImageError, match="no image"):
        load_dataset(folder)
    (folder / "dataset.json").unlink()
    with pytest.raises(OptionError, match="no such file"):
        load_dataset(folder)


def test_two_images_of_one_stem(folder):
    Image.new("RGB", (3, 2)).save(folder / "images" / "s1.jpg")
    with pytest.raises(ImageError, match="two images are named s1"):
        load_dataset(folder)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "a row with a patient for s1"),
        ("name,patient\ns1,A\ns2,A\n", "a row with a patient for s10"),
        ("name,patient\ns1,A\ns2,\ns10,A\n", "a row with a patient for s2"),
        ("name,patient\ns1,A\ns2\ns10,A\n", "a row with a patient for s2"),
        ("name,patient\ns1,A\ns1,B\ns2,A\ns10,A\n", "every stem once"),
        ("stem,patient\ns1,A\n", "a column name"),
        ("name,patient\n\xff,A\n", "a CSV file"),
    ],
)
def test_wrong_images_csv(folder, text, told):
    (folder / "images.csv").write_text(text, encoding="latin-1")
    with pytest.raises(OptionError, match=told) as error:
        load_dataset(folder)
    assert str(folder / "images.csv") in str(error.value)


def test_unknown_codes_are_listed(folder):
    dataset = load_dataset(folder)
    Image.fromarray(TRUTH + np.uint8(1)).save(dataset.items[1].labels)
    with pytest.raises(ImageError, match=r"s2\.png.*expected 1, 3, ignore 0; got 2, 4"):
        read_truth(dataset, dataset.items[1])


def test_labels_that_are_no_integers(folder):
    dataset = load_dataset(folder)
    path = dataset.items[0].labels
    Image.new("RGB", (3, 2)).save(path)
    with pytest.raises(ImageError, match="one integer per pixel; got mode RGB"):
        read_truth(dataset, dataset.items[0])
    for content in (b"", b"no image", (folder / "labels" / "s2.png").read_bytes()[:45]):
        path.write_bytes(content)
        with pytest.raises(ImageError, match="cannot read the labels"):
            read_truth(dataset, dataset.items[0])


def test_a_real_data_set(shared):
    dataset = load_dataset(shared / "data" / "glas-dev")
    assert (len(dataset.items), len({item.patient for item in dataset.items}), dataset.mpp) == (82, 8, 0.62)
    assert dict(dataset.classes) == {0: "stroma and other", 1: "gland"}
    truth = read_truth(dataset, dataset.items[0])
    with Image.open(dataset.items[0].image) as image:
        assert truth.shape == (image.height, image.width)
    assert 0.1 < truth.mean() < 0.9
