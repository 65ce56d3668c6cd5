"""A fixed split: what it keeps, and what it does not take."""

import numpy as np
import pytest

from histofactor.errors import OptionError
from histofactor.evaluation.data.datasets import load_dataset
from histofactor.evaluation.data.split import Split, describe, divide, read_split
from histofactor.evaluation.scores import metrics
from histofactor.evaluation.scores.protocol import class_maps, score_tables


def test_names_are_images_or_patients(folder):
    dataset, scored = divide(load_dataset(folder), Split(("A",), ("c1",)))
    assert [item.stem for item in dataset.items] == ["a1", "a2", "c1"]
    assert scored.tolist() == [False, False, True]
    assert describe(dataset, scored).endswith(
        "2 images of 1 patient; scored is the result on 1 other image of 1 patient"
    )


def test_patients_in_both_parts_are_told(folder):
    dataset, scored = divide(load_dataset(folder), Split(("a1", "b1"), ("a2", "C")))
    assert scored.tolist() == [False, True, False, True]
    assert "; in both parts: 1 patient" in describe(dataset, scored)


def test_classes_come_from_the_one_part_and_scores_from_the_other(folder):
    dataset, scored = divide(load_dataset(folder), Split(("a1", "b1"), ("a2", "c1")))
    tables = np.random.default_rng(0).integers(0, 50, (4, 6, 2))
    scores = score_tables(dataset, tables, scored)
    classes = metrics.majority_map(tables[0] + tables[2])
    matrices = [metrics.apply_map(tables[i], classes) for i in (1, 3)]
    assert scores.mean_iou == metrics.mean_iou(sum(matrices))
    assert [image.matrix for image in scores.images] == [tuple(map(tuple, one.tolist())) for one in matrices]
    assert scores.nmi == metrics.nmi(tables[1] + tables[3])
    assert [point.images for point in scores.labelled_images] == [1, 2]
    assert scores.labelled_images[-1].mean_iou == pytest.approx(scores.mean_iou)
    maps = class_maps([item.patient for item in dataset.items], tables, scored)
    np.testing.assert_array_equal(maps[[1, 3]], [classes, classes])


@pytest.mark.parametrize(
    ("train", "test", "told"),
    [
        (("A", "d9"), ("c1",), r"train split names what the data set does not have.*got d9"),
        (("A",), ("X",), r"test split names what .*such as A, B, C, a1.*got X"),
        (("A",), ("a2", "c1"), "in both parts of the split.*got a2"),
        (("A",), (), "test split names nothing"),
    ],
)
def test_splits_that_do_not_fit(folder, train, test, told):
    with pytest.raises(OptionError, match=told):
        divide(load_dataset(folder), Split(train, test))


def test_a_name_that_means_two_things(folder):
    (folder / "images.csv").write_text("name,patient\na1,P\na2,P\nb1,a1\nc1,a1\n")
    with pytest.raises(OptionError, match=r"an image that are names of a patient.*got a1"):
        divide(load_dataset(folder), Split(("a1",), ("c1",)))


def test_files_of_names(tmp_path):
    (tmp_path / "train.txt").write_text("\ufeff# institutes\n s1 \n\ns2\n", encoding="utf-8")
    (tmp_path / "test.txt").write_text("s3")
    assert read_split(tmp_path / "train.txt", tmp_path / "test.txt") == Split(("s1", "s2"), ("s3",))
    (tmp_path / "test.txt").write_text("# nothing\n")
    with pytest.raises(OptionError, match=r"test\.txt names nothing"):
        read_split(tmp_path / "train.txt", tmp_path / "test.txt")
    (tmp_path / "test.txt").write_bytes(b"\xff\xfe\xfd")
    for path in (tmp_path / "test.txt", tmp_path / "none.txt", tmp_path):
        with pytest.raises(OptionError, match="cannot read the split"):
            read_split(tmp_path / "train.txt", path)
