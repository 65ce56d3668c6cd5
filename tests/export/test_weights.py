import dataclasses
import json

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    stated["attributes"]["histofactor"]["format_version"] = 3
    (path / "zarr.json").write_text(json.dumps(stated))
    with pytest.raises(ImageError, match="format_version 3"):
        SparseWeights(path)


def test_a_folder_that_cannot_be_written_is_an_output_error(weights, residual, header, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        write_weights(parts_of(weights, 50), residual, header, tmp_path / "out" / "weights.zarr")


@pytest.fixture
def written(weights, residual, header, tmp_path):
    write_weights(parts_of(weights, 50), residual, header, tmp_path / "w.zarr")
    return tmp_path / "w.zarr"


def read_all(path):
    stored = SparseWeights(path)
    return stored.rows(0, 150), stored.residual(0, 150)


def test_rows_without_tissue_are_written_too(residual, header, tmp_path):
    nothing = np.zeros((150, 20, 12), np.float32)
    write_weights(parts_of(nothing, 50), residual * 0, header, tmp_path / "w.zarr")
    chunks = [path for path in (tmp_path / "w.zarr").rglob("*") if path.is_file() and path.name != "zarr.json"]
    assert len(chunks) == 4 * 3
    assert not read_all(tmp_path / "w.zarr")[0].any()


@pytest.mark.parametrize("name", ["index", "value", "scale", "residual"])
def test_a_missing_chunk_is_told(written, name):
    next(path for path in (written / name / "c").rglob("*") if path.is_file()).unlink()
    with pytest.raises(ImageError, match=f"1 of 3 chunks of {name} are missing"):
        SparseWeights(written)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_chunk_that_is_not_as_it_was_written_is_told(written, data):
    chunks = sorted(path for path in written.rglob("*") if path.is_file() and path.name != "zarr.json")
    path = data.draw(st.sampled_from(chunks))
    content = path.read_bytes()
    if data.draw(st.booleans()):
        changed = bytearray(content)
        changed[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        changed = content[: data.draw(st.integers(0, len(content) - 1))]
    path.write_bytes(bytes(changed))
    try:
        with pytest.raises(ImageError, match=r"w\.zarr"):
            read_all(written)
    finally:
        path.write_bytes(content)


def describe(path, change):
    stated = json.loads((path / "zarr.json").read_text())
    change(stated)
    (path / "zarr.json").write_text(json.dumps(stated))


def of_header(name, value):
    return lambda stated: stated["attributes"]["histofactor"].update({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("stride_px", value) for value in (0, -8, 1.5, "8", None, 16)),
        *(("size", value) for value in ([0, 0], [159], [159, 1197, 1], "ab", [10**30, 10**30], [159, 1300])),
        *(("names", value) for value in ([], ["a"], None, 3, [1] * 12, [["a"]] * 12)),
        *(("colors", value) for value in ([], None, 3, [[0.5, 0, 0]] * 12, [[0, 0, 256]] * 12, [[0, 0]] * 12)),
        *((name, value) for name in ("slide", "method", "recipe") for value in (None, 3, ["project"])),
        *(("mpp", value) for value in (0, -1, "1", True, float("inf"), float("nan"))),
        *(("l0_per_px", value) for value in ([0, 1], [1], "ab", [1, float("nan")], 2)),
        *(("format_version", value) for value in (None, "1", 1)),
    ],
)
def test_a_header_that_no_weights_have_is_told(written, name, value):
    describe(written, of_header(name, value))
    with pytest.raises(ImageError, match=r"w\.zarr"):
        SparseWeights(written)


def test_arrays_of_other_kinds_are_not_read(written):
    """Above all those of Zarr v2, whose codecs may unpickle."""
    (written / "zarr.json").unlink()
    old = zarr.create_group(written, zarr_format=2, attributes={"histofactor": {"format_version": 2}})
    assert old.metadata.zarr_format == 2
    with pytest.raises(ImageError):
        SparseWeights(written)


@pytest.mark.parametrize("content", ["", "null", "[]", "{}", "{" * 9, '{"zarr_format": 3, "node_type": "group"}'])
def test_a_description_that_is_none_is_told(written, content):
    for name in ("zarr.json", "index/zarr.json"):
        kept = (written / name).read_text()
        (written / name).write_text(content)
        with pytest.raises(ImageError, match=r"w\.zarr"):
            SparseWeights(written)
        (written / name).write_text(kept)


def test_concepts_that_there_are_not_are_told(written):
    zarr.open_array(written / "index")[0, 0, 0] = 12
    with pytest.raises(ImageError, match="no segmentation has"):
        SparseWeights(written).rows(0, 1)
