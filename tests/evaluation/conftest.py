"""A small labelled data set."""

import json

import numpy as np
import pytest
from PIL import Image

from histofactor.slides.phantom import phantom

PATIENTS = {"a1": "A", "a2": "A", "b1": "B", "c1": "C"}


@pytest.fixture
def folder(tmp_path):
    """Four images of three patients, two classes of code 1 and 4, some pixels ignored."""
    rng = np.random.default_rng(0)
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for i, stem in enumerate(PATIENTS):
        size = (20 + i, 18)
        Image.new("RGB", size).save(tmp_path / "images" / f"{stem}.png")
        Image.fromarray(rng.choice([0, 1, 4], size[::-1], p=[0.1, 0.5, 0.4]).astype(np.uint8)).save(
            tmp_path / "labels" / f"{stem}.png"
        )
    rows = "".join(f"{stem},{patient}\n" for stem, patient in PATIENTS.items())
    (tmp_path / "images.csv").write_text("name,patient\n" + rows)
    facts = {"name": "toy", "mpp": 1.0, "classes": {"1": "stroma", "4": "tumour"}, "ignore": 0}
    (tmp_path / "dataset.json").write_text(json.dumps(facts))
    return tmp_path


@pytest.fixture
def tissue_folder(folder):
    """The same data set with tissue in its images."""
    for index, path in enumerate(sorted((folder / "images").iterdir())):
        with Image.open(path) as image:
            size = image.size
        Image.fromarray(phantom((64, 64), seed=index, mpp=1.0).image[: size[1], : size[0]]).save(path)
    return folder
