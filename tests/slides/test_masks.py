"""Masks of the user's are taken px by px, and refused where they cannot fit."""

import numpy as np
import pytest
from PIL import Image

from histofactor.errors import ImageError
from histofactor.slides.masks import read_mask


def save(path, mask):
    Image.fromarray(mask).save(path)
    return path


def test_every_px_above_0_is_tissue(tmp_path):
    mask = np.random.default_rng(0).integers(0, 3, (30, 40)).astype(np.uint8)
    path = save(tmp_path / "mask.png", mask)
    np.testing.assert_array_equal(read_mask(path, (30, 40)), mask > 0)
    np.testing.assert_array_equal(read_mask(path, (90, 120)), (mask > 0).repeat(3, 0).repeat(3, 1))


def test_colour_counts_too(tmp_path):
    mask = np.zeros((30, 40, 3), np.uint8)
    mask[5:9, 6:8, 2] = 1
    assert read_mask(save(tmp_path / "mask.png", mask), (30, 40)).sum() == 8


def test_rounding_of_the_aspect_ratio_is_forgiven(tmp_path):
    assert read_mask(save(tmp_path / "mask.png", np.ones((33, 50), np.uint8)), (2000, 3001)).all()


@pytest.mark.parametrize("shape", [(40, 30), (30, 80)])
def test_another_aspect_ratio_is_refused(tmp_path, shape):
    with pytest.raises(ImageError, match="aspect ratio"):
        read_mask(save(tmp_path / "mask.png", np.ones((30, 40), np.uint8)), shape)


def test_what_is_no_image_is_refused(tmp_path):
    (tmp_path / "mask.png").write_text("no image")
    with pytest.raises(ImageError, match=r"mask\.png"):
        read_mask(tmp_path / "mask.png", (30, 40))
    with pytest.raises(ImageError, match="does not exist"):
        read_mask(tmp_path / "none.png", (30, 40))
