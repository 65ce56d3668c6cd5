import math
from fractions import Fraction

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from histofactor.errors import ImageError
from histofactor.slides.user_mask import read_mask

MARKS = np.random.default_rng(0).random((30, 40)) > 0.6


def written(folder, values, name="mask.png"):
    Image.fromarray(values).save(folder / name)
    return folder / name


@pytest.mark.parametrize(
    "values",
    [
        MARKS,
        MARKS.astype(np.uint8),
        MARKS.astype(np.uint8) * 255,
        MARKS.astype(np.uint16),  # a label of 1 in 16 bits
        np.stack([0 * MARKS, MARKS, 0 * MARKS], axis=2).astype(np.uint8),
        np.stack([*3 * [MARKS * 9], np.full(MARKS.shape, 255)], axis=2).astype(np.uint8),
    ],
    ids=["bits", "0 and 1", "0 and 255", "16 bits", "one colour", "opaque black"],
)
@pytest.mark.parametrize("name", ["mask.png", "mask.tif"])
def test_px_above_zero_are_tissue_in_every_kind_of_image(tmp_path, values, name):
    assert np.array_equal(read_mask(written(tmp_path, values, name), MARKS.shape), MARKS)


def test_palettes_are_read_by_index_and_opacity_does_not_count(tmp_path):
    indexed = Image.fromarray(MARKS.astype(np.uint8))
    indexed.putpalette([255, 255, 255, 0, 0, 0])  # tissue is drawn black
    indexed.save(tmp_path / "palette.png")
    assert np.array_equal(read_mask(tmp_path / "palette.png", MARKS.shape), MARKS)
    grey_and_opacity = Image.merge("LA", [Image.fromarray(MARKS.astype(np.uint8)), Image.new("L", (40, 30), 255)])
    grey_and_opacity.save(tmp_path / "la.png")
    assert np.array_equal(read_mask(tmp_path / "la.png", MARKS.shape), MARKS)


def test_tiled_big_and_floating_tiff_is_read(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", MARKS.astype(np.uint8), bigtiff=True, tile=(16, 16), compression="zlib")
    tifffile.imwrite(tmp_path / "b.tif", MARKS.astype(np.float32))
    for name in ("a.tif", "b.tif"):
        assert np.array_equal(read_mask(tmp_path / name, MARKS.shape), MARKS)


@given(st.integers(1, 200), st.sampled_from([(30, 40), (60, 80), (90, 120), (121, 161)]), st.integers(0, 9))
def test_it_is_resized_by_nearest_neighbour(tmp_path_factory, rows, held, seed):
    values = (np.random.default_rng(seed).random(held) > 0.5).astype(np.uint8)
    shape = (3 * rows, 4 * rows)
    mask = read_mask(written(tmp_path_factory.getbasetemp(), values), shape)
    rows, cols = (
        [math.floor((i + Fraction(1, 2)) / n * old) for i in range(n)] for n, old in zip(shape, held, strict=True)
    )
    assert np.array_equal(mask, values[np.ix_(rows, cols)] > 0)


@pytest.mark.parametrize("shape", [(30, 40), (59, 79), (300, 402), (297, 400)])
def test_a_ratio_within_two_percent_will_do(tmp_path, shape):
    assert read_mask(written(tmp_path, MARKS), shape).shape == shape


@pytest.mark.parametrize("shape", [(40, 30), (30, 42), (32, 40)])
def test_another_ratio_is_refused(tmp_path, shape):
    with pytest.raises(ImageError, match=r"another shape.*within 2%.*40 × 30 px"):
        read_mask(written(tmp_path, MARKS), shape)


def test_a_mask_without_tissue_is_refused(tmp_path):
    with pytest.raises(ImageError, match="marks no tissue"):
        read_mask(written(tmp_path, 0 * MARKS.astype(np.uint8)), MARKS.shape)


def test_files_that_are_no_masks_are_told_apart(tmp_path):
    (tmp_path / "text.png").write_text("tissue")
    (tmp_path / "empty.png").touch()
    noise = np.random.default_rng(0).integers(0, 255, (300, 400), np.uint8)
    whole = written(tmp_path, noise, "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    written(tmp_path, noise, "mask.jpg")
    for name, told in {
        "none.png": "does not exist",
        ".": "is a folder",
        "text.png": "can be read",
        "empty.png": "can be read",
        "mask.jpg": "can be read",
        "cut.png": "damaged or cut off",
    }.items():
        with pytest.raises(ImageError, match=told):
            read_mask(tmp_path / name, (300, 400))


def test_a_mask_beyond_all_measure_is_refused(tmp_path):
    Image.new("1", (10_000, 9_500)).save(tmp_path / "huge.png")
    with pytest.raises(ImageError, match=r"too large.*lower resolution"):
        read_mask(tmp_path / "huge.png", (300, 400))
