import pytest
from PIL import Image

from histofactor.errors import ImageError
from histofactor.slides.reader import open_slide
from histofactor.slides.slide_files import SLIDE_SUFFIXES, check_slide_file


@pytest.mark.parametrize("suffix", sorted(SLIDE_SUFFIXES))
def test_a_preview_is_never_read_as_the_slide(tmp_path, suffix):
    path = tmp_path / f"case{suffix.upper()}"
    Image.new("RGB", (400, 300), "pink").save(path, "JPEG")
    with pytest.raises(ImageError, match=r"as the whole slide it is named as.*got a JPEG image"):
        open_slide(path)


def test_what_is_missing_is_named(tmp_path):
    Image.new("RGB", (400, 300)).save(tmp_path / "a.mrxs", "JPEG")
    with pytest.raises(ImageError, match=r"expected the folder a with its data beside a\.mrxs.*copy that folder too"):
        open_slide(tmp_path / "a.mrxs")
    (tmp_path / "a").mkdir()
    with pytest.raises(ImageError, match="copy that folder again, with all its files"):
        open_slide(tmp_path / "a.mrxs")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "an empty file"), (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"), (b"abcd", "starts with b'abcd'"),
        (b"II*\0rest", "a TIFF of no known scanner"),
    ],
)  # fmt: skip
def test_what_it_is_instead_is_told(tmp_path, content, kind):
    (tmp_path / "a.svs").write_bytes(content)
    with pytest.raises(ImageError, match=kind):
        check_slide_file(tmp_path / "a.svs")


def test_a_tiled_pyramid_of_no_vendor_is_read(tmp_path, texture, write_tiff):
    with open_slide(write_tiff(tmp_path / "a.svs", texture(256, 192))) as slide:
        assert slide.info.size == (256, 192)
