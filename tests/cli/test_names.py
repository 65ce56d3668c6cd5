"""Inputs with any name that the file system allows are segmented, and all that is written of them is valid text."""

import gzip
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
import tifffile
from PIL import Image

from histofactor.slides.phantom import phantom

NAMES = [b"caf\xe9.png", "µ 基质.png".encode(), b"=cmd|x.png", b"e\x1b[31mf\n.png"]


@pytest.mark.parametrize(
    "environment", [{"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}, {"LC_ALL": "C.UTF-8"}]
)
def test_names_of_any_kind(tmp_path, environment):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    image = Image.fromarray(phantom((64, 64), seed=1, mpp=1.0).image)
    for name in NAMES:
        with open(os.fsencode(folder) + b"/" + name, "wb") as file:  # noqa: PTH123 - a name of bytes
            image.save(file, format="PNG", dpi=(25_400, 25_400))
    code = "from histofactor.cli.main import main; main()"
    found = subprocess.run(
        [sys.executable, "-c", code, "segment", folder, "--concepts", "embedded", "-o", out, "--fast", "--ome-zarr"],
        env={**os.environ, **environment}, capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr.decode()
    assert b"4 of 4 segmented" in found.stdout
    assert b"\x1b" not in found.stdout + found.stderr
    written = [path for path in out.rglob("*") if path.suffix in {".json", ".csv", ".html"}]
    assert len(written) >= 2 + 4 * 3
    for path in written:
        text = path.read_bytes().decode("utf-8")
        assert not {"\x00", "\x1b"} & {*text}
        if path.suffix == ".json":
            json.loads(text)
    for path in out.rglob("*.geojson.gz"):
        assert json.loads(gzip.decompress(path.read_bytes()).decode("utf-8"))["features"]
    for path in out.rglob("labels.ome.tif"):
        with tifffile.TiffFile(path) as tiff:
            ET.fromstring(tiff.ome_metadata)
