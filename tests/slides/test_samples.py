import numpy as np
import pytest
import tifffile

from histofactor.errors import ImageError
from histofactor.records import Region
from histofactor.slides.reader import open_slide

NAMES = {"axes": "CYX", "Channel": {"Name": ["DAPI", "CD3", "CD8", "panCK"]}}


def whole_of(path):
    with open_slide(path) as slide:
        return slide.read(Region(0, 0, *slide.info.size, slide.info.size)), slide.info.notes


def write(path, values, *, pyramid, small=None, **options):
    """Write an image, plain or with a SubIFD."""
    with tifffile.TiffWriter(path) as tiff:
        if not pyramid:
            tiff.write(values, **options)
        else:
            tiff.write(values, tile=(32, 32), subifds=1, **options)
            tiff.write(small, tile=(32, 32), subfiletype=1, **{**options, "metadata": None})
    return path


@pytest.mark.parametrize("pyramid", [False, True])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_fluorescence_is_told_as_such(tmp_path, texture, pyramid, depth):
    four = np.dstack([texture(96, 64), texture(96, 64)[..., :1]]).astype(depth)
    pages = np.ascontiguousarray(np.moveaxis(four, -1, 0))
    half, half_pages = np.ascontiguousarray(four[::2, ::2]), np.ascontiguousarray(pages[:, ::2, ::2])
    grey = {"photometric": "minisblack"}
    paths = [
        write(tmp_path / "a.ome.tif", pages, pyramid=pyramid, small=half_pages, metadata=NAMES, **grey),
        write(tmp_path / "b.tif", four, pyramid=pyramid, small=half, planarconfig="contig", **grey),
        write(tmp_path / "c.tif", pages, pyramid=pyramid, small=half_pages, planarconfig="separate", **grey),
    ]
    for path in paths:
        with pytest.raises(ImageError, match=r"fluorescence.*got 4 grey channels"):
            open_slide(path)
    with pytest.raises(ImageError, match=r"\(DAPI, CD3, CD8, panCK\)"):
        open_slide(paths[0])


@pytest.mark.parametrize("pyramid", [False, True])
def test_three_grey_channels_are_colours_if_they_are_named_so_or_bright(tmp_path, texture, pyramid):
    bright = np.maximum(texture(96, 64), 140)
    dark = bright // 4
    for image, names, read in (
        (bright, ["", "", ""], True), (dark, ["", "", ""], False), (dark, ["R", "G", "B"], True),
        (bright, ["DAPI", "FITC", "Cy3"], False), (bright, ["Blue", "Green", "Red"], False),
    ):  # fmt: skip
        pages = np.ascontiguousarray(np.moveaxis(image, -1, 0))
        metadata = {"axes": "CYX", **({"Channel": {"Name": names}} if any(names) else {})}
        path = tmp_path / "a.ome.tif"
        write(
            path, pages, pyramid=pyramid, small=pages[:, ::2, ::2].copy(), metadata=metadata, photometric="minisblack"
        )
        if read:
            assert np.array_equal(whole_of(path)[0], image)
        else:
            with pytest.raises(ImageError, match="no image of a stained section"):
                open_slide(path)


@pytest.mark.parametrize("pyramid", [False, True])
def test_a_fourth_sample_of_no_meaning_is_left_out_and_told(tmp_path, texture, pyramid):
    image = texture(96, 64)
    four = np.dstack([image, np.zeros((64, 96, 1), np.uint8)])
    options = {"photometric": "rgb", "pyramid": pyramid, "small": four[::2, ::2].copy()}
    declared = write(tmp_path / "a.tif", four, extrasamples=["unspecified"], **options)
    undeclared = write(tmp_path / "b.tif", four, extrasamples=["unassalpha"], **options)
    with tifffile.TiffFile(undeclared, mode="r+") as tiff:
        for page in (tiff.pages[0], *(tiff.pages[0].pages or ())):
            tag = page.tags["ExtraSamples"]
            tiff.filehandle.seek(tag.offset)
            tiff.filehandle.write(b"\xff\xff")  # a tag of no known meaning
    for path in (declared, undeclared):
        px, notes = whole_of(path)
        assert np.array_equal(px, image)
        assert "the fourth sample of every px, of no declared meaning, is left out" in notes


def test_16_bit_white_is_zero_is_inverted(tmp_path, texture):
    grey = texture(96, 64)[..., 0].astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "a.tif", 65_535 - grey, photometric="miniswhite")
    px, notes = whole_of(tmp_path / "a.tif")
    assert np.abs(px[..., 0] - grey / 257.0).max() <= 0.5
    assert "grey image converted to RGB" in notes
    tifffile.imwrite(tmp_path / "a.tif", (65_535 - grey) // 16, photometric="miniswhite")
    with pytest.raises(ImageError, match=r"white is zero and whose largest value is .*of unknown range"):
        open_slide(tmp_path / "a.tif")


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_fill_the_scale(tmp_path, bits):
    full = 2**bits - 1
    grey = np.random.default_rng(0).integers(0, full + 1, (64, 96)).astype(np.uint8)
    options = {"photometric": "minisblack", "tile": (32, 32)}
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for page in (grey, grey[::2, ::2].copy()):
            data, more = (page.astype(bool), {}) if bits == 1 else (page, {"bitspersample": bits})
            tiff.write(data, subfiletype=int(page is not grey), **options, **more)
    assert np.abs(whole_of(tmp_path / "a.tif")[0][..., 1] - grey * (255 / full)).max() <= 0.5
