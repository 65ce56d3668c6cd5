"""Patches are those of the places that the bank tells."""

import numpy as np
import pytest
from PIL import Image

from histofactor.concepts.bank import new_bank
from histofactor.concepts.bank_file import BankFile
from histofactor.pipeline.examples import PATCH_PX, read_examples
from histofactor.records import EncoderKey


@pytest.fixture
def setting(tmp_path):
    rgb = np.zeros((300, 400, 3), np.uint8)
    rgb[100:196, 200:296] = (200, 30, 60)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    examples = [
        [{"slide": 0, "x": 200.0, "y": 100.0, "side": 96.0}, {"slide": 1, "x": 0.0, "y": 0.0, "side": 96.0}],
        [{"slide": 0, "x": -40.0, "y": 290.0, "side": 96.0}],
    ]
    bank = new_bank(np.eye(2, dtype=np.float32), EncoderKey("e", None, "l", "relu"), provenance={"examples": examples})
    return BankFile({2: bank}, {"slides": [{"name": "x/a.png"}, {"name": "b.png"}]}), tmp_path


def test_patches_of_the_slides_that_are_there(setting):
    file, folder = setting
    patches, missing = read_examples(file, [folder / "a.png"])
    assert sorted(patches) == [(2, 1), (2, 2)]
    assert patches[2, 1][0].shape == (PATCH_PX, PATCH_PX, 3)
    assert (patches[2, 1][0] == (200, 30, 60)).all()
    assert not patches[2, 2][0].any()  # moved inwards
    assert missing == ["b.png is not among the inputs"]


def test_a_slide_that_cannot_be_read_is_told(setting):
    file, folder = setting
    (folder / "b.png").write_text("no image")
    patches, missing = read_examples(file, [folder / "a.png", folder / "b.png"])
    assert len(patches[2, 1]) == 1
    assert len(missing) == 1
    assert "not an image" in missing[0]
