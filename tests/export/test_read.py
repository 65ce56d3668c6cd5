import json
import shutil

import numpy as np
import pytest
import tifffile

from histofactor.errors import ImageError, OptionError
from histofactor.export.read import open_results
from histofactor.export.seal import read_seal, write_seal


def test_results_are_what_was_segmented(kept_weights):
    dense, folder = kept_weights()
    with open_results(folder) as results:
        np.testing.assert_array_equal(results.labels[:], dense.label_map.labels)
        assert results.weights.header.names == dense.label_map.names
        np.testing.assert_allclose(results.weights.rows(0, 4), dense.weights.values[:4], atol=1e-3)
        assert results.recipe["bank"] == dense.recipe["bank"]
        assert results.recipe["source"]["size"] == list(dense.slide.size)
        assert {"digests", "sha256"}.isdisjoint(results.recipe)
    shutil.rmtree(folder / "weights.zarr")
    with open_results(folder) as results:
        assert results.weights is None


def test_what_is_not_as_it_was_written_is_told(kept_weights, tmp_path):
    _, folder = kept_weights()
    with pytest.raises(OptionError, match="no finished results"), open_results(tmp_path):
        pass
    for name in (
        "labels.ome.tif",
        "weights.zarr/zarr.json",
        "weights.zarr/scale/zarr.json",
        "weights.zarr/value/c/0/0/0",
    ):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(ImageError, match=f"{name.split('/')[0]} is not as it was written"), open_results(folder):
            pass
        (folder / name).write_bytes(content)
    (folder / "weights.zarr" / "more").write_text("")
    with pytest.raises(ImageError, match=r"weights\.zarr is not"), open_results(folder):
        pass
    (folder / "labels.ome.tif").unlink()
    with pytest.raises(ImageError, match=r"labels\.ome\.tif cannot be read"), open_results(folder):
        pass


@pytest.mark.parametrize(
    "change",
    [
        {"unlike": -1},
        {"unlike": "0.5"},
        {"source": {"size": [3], "mpp": None, "reader": "image"}},
        {"source": {"size": [3, 0], "mpp": None, "reader": "image"}},
        {"source": None},
        {"bank": {}},
        {"recipe_sha256": 7},
    ],
)
def test_a_seal_that_lacks_what_belongs_in_it_is_told(kept_weights, change):
    _, folder = kept_weights()
    write_seal(read_seal(folder) | change, folder)
    with pytest.raises(ImageError, match="damaged, or of another version"), open_results(folder):
        pass


def test_results_of_several_runs_are_told(kept_weights):
    _, folder = kept_weights()
    sealed = read_seal(folder)
    write_seal(sealed | {"recipe_sha256": "0" * 64}, folder)
    with pytest.raises(ImageError, match="another run"), open_results(folder):
        pass
    tifffile.imwrite(folder / "labels.ome.tif", np.zeros((3, 4), np.uint8))
    write_seal(sealed, folder)
    with pytest.raises(ImageError, match="differ in size"), open_results(folder):
        pass


def test_results_of_the_version_before_are_told(kept_weights):
    _, folder = kept_weights()
    sealed = read_seal(folder)
    del sealed["digests"]
    (folder / "segmentation.json").write_text(json.dumps(sealed))
    with pytest.raises(ImageError, match="of another version"), open_results(folder):
        pass
