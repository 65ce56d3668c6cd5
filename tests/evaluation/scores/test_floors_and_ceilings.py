"""Floor and ceilings: the majority of a cell, no look at the held-out patient, the same patients as the methods."""

from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as oracle

from histofactor.evaluation.data.datasets import Dataset, Item
from histofactor.evaluation.scores import floors_and_ceilings as module
from histofactor.evaluation.scores import metrics
from histofactor.evaluation.scores.cells import Cells
from histofactor.evaluation.scores.floors_and_ceilings import brackets, colour_tables, drawn_per_image, probe_matrices


def dataset_of(patients):
    items = tuple(Item(f"s{i}", Path("x"), Path("y"), patient) for i, patient in enumerate(patients))
    return Dataset("toy", 1.0, {0: "stroma", 1: "gland"}, None, items)


def cells_of(classes, features=None, densities=None, px=10, spill=0, drawn=None):
    """Cells of one class each but for ``spill`` px of the other."""
    classes = np.asarray(classes)
    counts = np.where(np.arange(2) == classes[:, None], px - spill, spill).astype(np.int64)
    rng = np.random.default_rng(len(classes))
    features = rng.random((len(classes), 4)) if features is None else features
    densities = rng.random((len(classes), 3)) if densities is None else densities
    drawn = np.arange(len(classes)) if drawn is None else np.asarray(drawn, np.intp)
    return Cells(counts, densities.astype(np.float32), drawn, features[drawn].astype(np.float16))


def telling(patients, n=60, sign=None):
    """Cells whose features and colours tell their class, with another sign by patient if asked for."""
    rng, found = np.random.default_rng(0), []
    for patient in patients:
        classes = rng.integers(0, 2, n)
        side = (2 * classes - 1) * (1 if sign is None else sign[patient])
        features = side[:, None] + rng.normal(0, 0.1, (n, 4))
        densities = np.where(classes[:, None] == 1, 0.8, 0.2) + rng.normal(0, 0.01, (n, 3))
        found.append(cells_of(classes, features, densities, spill=2))
    return found


def by_name(found):
    return {(one.name, one.k): one for one in found}


def test_what_tells_the_class_reaches_the_oracle_and_the_oracle_is_exact():
    patients = "PPQR"
    cells = telling(patients)
    found = by_name(brackets(dataset_of(patients), cells, (2, 5, 2)))
    assert list(found) == [("colour", 2), ("colour", 5), ("linear probe", None), ("grid oracle", None)]
    px = [(one.argmax(), code) for image in cells for one in image.counts for code in (0, 1) for _ in range(one[code])]
    predicted, true = np.array(px).T
    expected = oracle.jaccard_score(true, predicted, average="macro")
    for one in found.values():
        assert one.mean_iou == pytest.approx(expected)
        assert one.mean_dice == pytest.approx(oracle.f1_score(true, predicted, average="macro"))
        assert one.accuracy == pytest.approx(0.8)
        assert one.mean_iou_interval[0] <= one.mean_iou <= one.mean_iou_interval[1]


def test_the_oracle_bounds_whatever_is_constant_in_cells():
    patients = "PQRS"
    cells = [cells_of(np.random.default_rng(seed).integers(0, 2, 50), spill=3) for seed in range(4)]
    found = by_name(brackets(dataset_of(patients), cells, (8,)))
    assert found["grid oracle", None].accuracy == pytest.approx(0.7)
    for name in (("colour", 8), ("linear probe", None)):
        assert found[name].accuracy < 0.6  # features and colours tell nothing


def test_the_probe_never_sees_the_held_out_patient():
    patients, sign = "PPQR", {"P": -1, "Q": 1, "R": 1}
    cells = telling(patients, sign=sign)
    matrices = probe_matrices(cells, metrics.held_out_and_rest(patients))
    assert np.trace(matrices[0]) == np.trace(matrices[1]) == 60 * 2  # only what spills is right


def test_cells_weigh_as_many_px_as_they_have():
    """The same features: the class of few large cells wins over that of many small ones."""
    same = np.ones((12, 2))
    cells = cells_of([0] * 9 + [1] * 3, same)
    counts = cells.counts.copy()
    counts[9:] *= 100
    heavy = Cells(counts, cells.densities, cells.drawn, cells.features)
    folds = metrics.held_out_and_rest("PQ")
    for one, predicted in ((cells, 0), (heavy, 1)):
        matrices = probe_matrices([one, one], folds)
        assert matrices.sum(axis=(0, 2))[predicted] == 2 * one.counts.sum()


def test_more_than_ten_patients_are_held_out_in_ten_groups(monkeypatch):
    fits, real = [], module._fit
    monkeypatch.setattr(module, "_fit", lambda *given: fits.append(len(given[0])) or real(*given))
    patients = [f"p{i}" for i in range(23)]
    found = brackets(dataset_of(patients), telling(patients, n=20), (2,))
    assert len(fits) == 10
    assert by_name(found)["linear probe", None].accuracy == pytest.approx(0.8)


def test_a_fixed_split_scores_its_part_only():
    patients, scored = "PPQQ", np.array([False, False, True, True])
    cells = telling(patients)
    cells[0] = cells_of([0, 0, 1], cells[0].features[:3], cells[0].densities[:3], px=90, spill=40)
    found = by_name(brackets(dataset_of(patients), cells, (2,), scored))
    held_out = brackets(dataset_of("QR"), cells[2:], (2,))[-1]
    for one in found.values():
        assert one.accuracy == pytest.approx(0.8)
        assert one.mean_iou == pytest.approx(held_out.mean_iou)


def test_images_that_have_little_to_learn_from():
    one_class = [cells_of([1] * 4), cells_of([1] * 4), cells_of([0, 1], drawn=[])]
    matrices = probe_matrices(one_class, metrics.held_out_and_rest("PQR"))
    np.testing.assert_array_equal(matrices[:2].sum(axis=0), [[0, 0], [0, 80]])
    assert not matrices[2].any()
    nothing = [cells_of([0, 1], drawn=[]), cells_of([0, 1])]
    assert probe_matrices(nothing, metrics.held_out_and_rest("PQ"))[1].sum() == 20


def test_clusters_of_colours_hold_all_px_and_no_more_than_there_are_colours():
    flat = np.zeros((6, 3))
    flat[3:] = 1
    tables = colour_tables([cells_of([0, 0, 0, 1, 1, 1], densities=flat)] * 2, 16)
    assert tables.shape == (2, 16, 2)
    assert sorted(map(tuple, tables[0][tables[0].any(axis=1)])) == [(0, 30), (30, 0)]


def test_many_cells_are_sampled(monkeypatch):
    monkeypatch.setattr(module, "_COLOURED", 50)
    tables = colour_tables(telling("PQ"), 2)
    assert tables.sum() == 2 * 60 * 10
    assert sorted(tables.sum(axis=(0, 1))) == sorted(np.sum([one.counts for one in telling("PQ")], axis=(0, 1)))
    assert tables.max(axis=2).sum() == pytest.approx(0.8 * tables.sum())


def test_so_many_cells_that_all_images_fit():
    assert drawn_per_image(1) == drawn_per_image(25) == 2000
    assert drawn_per_image(100) == 500
    assert drawn_per_image(10**6) == 1
