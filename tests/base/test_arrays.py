import json

import google_crc32c
import numpy as np
import pytest
import zarr

from histofactor.base.arrays import create_array, open_array


@pytest.fixture
def group(tmp_path):
    return zarr.create_group(tmp_path / "g")


def test_what_is_written_comes_back_and_chunks_end_with_their_checksum(group, tmp_path):
    values = np.arange(35, dtype=np.uint16).reshape(7, 5)
    create_array(group, "a", (7, 5), (3, 5), values.dtype)[:] = values
    np.testing.assert_array_equal(open_array(group, "a", (7, 5), np.uint16)[:], values)
    chunks = [path for path in (tmp_path / "g/a/c").rglob("*") if path.is_file()]
    assert len(chunks) == 3
    for chunk in chunks:
        content = chunk.read_bytes()
        assert int.from_bytes(content[-4:], "little") == google_crc32c.value(content[:-4])


def test_arrays_that_are_not_as_they_should_be_are_refused(group, tmp_path):
    create_array(group, "a", (7, 5), (3, 5), np.uint16)[:] = 0
    group.create_array("plain", shape=(7, 5), dtype=np.uint16)
    group.create_group("folder")
    for shape, dtype in (((5, 7), np.uint16), ((7, 5), np.uint8), ((7, 5, 1), np.uint16)):
        with pytest.raises(ValueError, match="a is uint16"):
            open_array(group, "a", shape, dtype)
    with pytest.raises(ValueError, match="by bytes, zstd"):
        open_array(group, "plain", (7, 5), np.uint16)
    with pytest.raises(TypeError, match="no array"):
        open_array(group, "folder", (7, 5), np.uint16)
    with pytest.raises(KeyError):
        open_array(group, "none", (7, 5), np.uint16)
    (tmp_path / "g/a/c/1/0").unlink()
    with pytest.raises(ValueError, match="1 of 3 chunks of a are missing"):
        open_array(zarr.open_group(tmp_path / "g", mode="r"), "a", (7, 5), np.uint16)


def test_a_shape_that_was_edited_is_refused(group, tmp_path):
    create_array(group, "a", (7, 5), (3, 5), np.uint16)[:] = 0
    path = tmp_path / "g/a/zarr.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"shape": [10**9, 5]}))
    with pytest.raises(ValueError, match="of 333333334 chunks of a are missing"):
        open_array(zarr.open_group(tmp_path / "g", mode="r"), "a", (10**9, 5), np.uint16)
