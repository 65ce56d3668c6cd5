import dataclasses
import json

import numpy as np
import pytest

from histofactor.base.colors import palette
from histofactor.errors import ImageError, OutputError
from histofactor.export.weights import SparseWeights, WeightsHeader, write_weights
from histofactor.masks.sparse import quantise, restore


@pytest.fixture
def header():
    names = tuple(f"Phenotype {i + 1}" for i in range(12))
    return WeightsHeader("case 1.svs", (159, 1197), 0.5, (2.0, 2.0), 8, "project", "ab" * 32, names, palette(12))


@pytest.fixture
def weights():
    """Two of three tokens hold something, most of it in few concepts."""
    rng = np.random.default_rng(0)
    return (rng.gamma(0.3, 1, (150, 20, 12)) * (rng.random((150, 20, 1)) > 1 / 3)).astype(np.float32)


@pytest.fixture
def residual():
    return np.random.default_rng(1).random((150, 20), np.float32)


def parts_of(weights, rows):
    return (quantise(weights[top : top + rows]) for top in range(0, len(weights), rows))


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_rows_come_back_as_they_went_in(weights, residual, header, tmp_path):
    write_weights(parts_of(weights, 32), residual, header, tmp_path / "case 1" / "weights.zarr")
    stored = SparseWeights(tmp_path / "case 1" / "weights.zarr")
    assert stored.header == header
    for start, stop in ((0, 150), (3, 90), (149, 150)):
        np.testing.assert_array_equal(stored.rows(start, stop), restore(quantise(weights[start:stop]), 12))
        np.testing.assert_allclose(stored.residual(start, stop), residual[start:stop], atol=1 / 131000)
    assert stored.residual(0, 1).dtype == np.float32


def test_equal_weights_give_equal_bytes_however_they_are_cut(weights, residual, header, tmp_path):
    for name, rows in (("a", 150), ("b", 37), ("c", 1)):
        write_weights(parts_of(weights, rows), residual, header, tmp_path / name)
    assert content(tmp_path / "a") == content(tmp_path / "b") == content(tmp_path / "c")


def test_a_folder_of_old_weights_is_replaced(weights, residual, header, tmp_path):
    for name in ("old", "new"):
        write_weights(parts_of(weights, 50), residual, dataclasses.replace(header, slide=name), tmp_path / "w")
    assert SparseWeights(tmp_path / "w").header.slide == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["w"]


def test_what_cannot_be_read_is_named(weights, residual, header, tmp_path):
    with pytest.raises(ImageError, match=r"none\.zarr"):
        SparseWeights(tmp_path / "none.zarr")
    path = tmp_path / "w.zarr"
    write_weights(parts_of(weights, 50), residual, header, path)
    stated = json.loads((path / "zarr.json").read_text())
    stated["attributes"]["histofactor"]["format_version"] = 2
    (path / "zarr.json").write_text(json.dumps(stated))
    with pytest.raises(ImageError, match="format_version 2"):
        SparseWeights(path)


def test_a_folder_that_cannot_be_written_is_an_output_error(weights, residual, header, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        write_weights(parts_of(weights, 50), residual, header, tmp_path / "out" / "weights.zarr")
