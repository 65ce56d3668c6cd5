"""``histofactor demo``: the whole path, no download, and a word on how good it is."""

import json
import re

import numpy as np
from PIL import Image
from skimage.data import immunohistochemistry


def test_demo(histofactor, tmp_path):
    out = tmp_path / "demo"
    code, stdout, err = histofactor("demo", "-o", out)
    assert code == 0, err
    assert "phantom-a/report.html" in (out / "report.html").read_text()
    assert (out / "phantom-a/report.html").stat().st_size > 100_000
    run = json.loads((out / "run.json").read_text())
    assert [entry["folder"] for entry in run["inputs"]] == ["human-colon", "phantom-a", "phantom-b"]
    assert np.array_equal(np.asarray(Image.open(out / "inputs/human-colon.png")), immunohistochemistry())
    right = float(re.search(r"px right: ([\d.]+)%", stdout)[1])
    assert right > 50
    assert "necrosis" in stdout
