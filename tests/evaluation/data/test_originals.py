"""Images of a published data set are found with their masks, and masks are read only where they lie on their image."""

import numpy as np
import pytest
from PIL import Image

from histofactor.errors import ImageError
from histofactor.evaluation.data.originals import Original, mask_of, paired, read_files


def put(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Three images and a text; masks of two of them, one of another kind of file."""
    for name in ("b.png", "a.JPG", "c.tif"):
        put(tmp_path / "images" / name, np.full((4, 6, 3), 200, np.uint8))
    (tmp_path / "images/notes.txt").write_text("no image")
    put(tmp_path / "masks/a.png", np.zeros((4, 6), np.uint8))
    put(tmp_path / "masks/b.bmp", np.ones((4, 6), np.uint8))
    return tmp_path


def test_images_have_the_masks_of_their_stems(folder):
    put(folder / "masks/c.tiff", np.ones((4, 6), np.uint8))
    found = paired(folder / "images", folder / "masks", str.upper, "train")
    assert found == [
        Original(folder / f"images/{image}", folder / f"masks/{mask}", patient, "train")
        for image, mask, patient in (("a.JPG", "a.png", "A"), ("b.png", "b.bmp", "B"), ("c.tif", "c.tiff", "C"))
    ]


def test_patients_are_not_known_unless_told(folder):
    (folder / "images/c.tif").unlink()
    assert [(one.patient, one.split) for one in paired(folder / "images", folder / "masks")] == [("", ""), ("", "")]


def test_an_image_without_mask_is_left_out_only_where_masks_are_withheld(folder):
    with pytest.raises(ImageError, match=r"c\.tif has no mask.*expected .*masks/c\.png"):
        paired(folder / "images", folder / "masks")
    assert [one.image.name for one in paired(folder / "images", folder / "masks", withheld=True)] == ["a.JPG", "b.png"]
    assert mask_of(folder / "images/c.tif", folder / "masks", "c", withheld=True) is None
    assert mask_of(folder / "images/c.tif", folder / "masks", "b") == folder / "masks/b.bmp"


def test_no_folder_has_no_images(folder):
    assert paired(folder / "nowhere", folder / "masks") == []


def test_codes_are_read_as_they_are_stored_and_the_image_stays(folder):
    codes = np.arange(24, dtype=np.uint16).reshape(4, 6) * 2000
    mask = put(folder / "masks/c.png", codes)
    rgb, read = read_files(Original(folder / "images/c.tif", mask, ""), 1.0)
    assert rgb is None
    np.testing.assert_array_equal(read, codes)


def test_a_mask_of_another_size(folder):
    mask = put(folder / "masks/c.png", np.zeros((4, 5), np.uint8))
    with pytest.raises(ImageError, match="does not lie on its image; expected 6 × 4 px; got 5 × 4 px"):
        read_files(Original(folder / "images/c.tif", mask, ""), 1.0)


def test_what_cannot_be_read_is_named(folder):
    original = Original(folder / "images/b.png", folder / "masks/b.bmp", "")
    original.image.write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"cannot read .*images/b\.png"):
        read_files(original, 1.0)
    put(original.mask, np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(ImageError, match=r"b\.bmp holds no labels"):
        read_files(original, 1.0)
