import json

import pytest

from histofactor.base.digests import DamagedError, path_digest
from histofactor.export.seal import read_seal, write_seal

CONTENT = {"method": "project", "unlike": 0.5, "source": {"size": [3, 4]}}


def test_the_seal_tells_what_labels_and_weights_are(tmp_path):
    (tmp_path / "labels.ome.tif").write_bytes(b"labels")
    (tmp_path / "weights.zarr").mkdir()
    (tmp_path / "weights.zarr" / "zarr.json").write_text("{}")
    (tmp_path / "overlay.png").write_bytes(b"made anew where it is needed")
    write_seal(CONTENT, tmp_path)
    digests = {name: path_digest(tmp_path / name) for name in ("labels.ome.tif", "weights.zarr")}
    assert read_seal(tmp_path) == CONTENT | {"digests": digests}
    assert json.loads((tmp_path / "segmentation.json").read_text())["method"] == "project"


def test_a_seal_that_is_not_as_it_was_written_is_none(tmp_path):
    with pytest.raises(DamagedError, match="cannot be read"):
        read_seal(tmp_path)
    write_seal(CONTENT, tmp_path)
    path = tmp_path / "segmentation.json"
    path.write_text(path.read_text().replace("0.5", "0.7"))
    with pytest.raises(DamagedError, match="not as it was written"):
        read_seal(tmp_path)
