import numpy as np
import openslide
import pytest
import tifffile

from histofactor.errors import ImageError, ResolutionError, UnreadableRegion
from histofactor.records import Region
from histofactor.slides import tiff as module
from histofactor.slides.reader import PlainImage, open_slide
from histofactor.slides.tiff import TiffSlide, is_tiff_slide
from histofactor.slides.warnings import UNKNOWN_MPP


def whole_of(slide):
    return slide.read(Region(0, 0, *slide.info.size, slide.info.size))


@pytest.fixture(scope="module")
def image(texture):
    return texture(320, 256)


@pytest.mark.parametrize("subifds", [False, True])
@pytest.mark.parametrize("compression", [None, "deflate", "lzw", "jpeg", "jpeg2000", "zstd"])
def test_every_packing_and_pyramid_is_read_as_tifffile_reads_it(tmp_path, image, write_tiff, compression, subifds):
    path = write_tiff(tmp_path / "a.ome.tif", image, compression=compression, subifds=subifds, bigtiff=subifds)
    with open_slide(path) as slide, tifffile.TiffFile(path) as oracle:
        base = oracle.pages[0]
        small = base.pages[0] if subifds else oracle.pages[1]
        assert np.array_equal(whole_of(slide), base.asarray())
        assert np.array_equal(slide.read(Region(0, 0, 320, 256, (160, 128))), small.asarray())
        assert slide.info.level_downsamples == (1.0, 2.0, 4.0)
        assert slide.info.mpp == pytest.approx(0.5)
        assert slide.info.reader == f"tifffile {tifffile.__version__}"
        assert slide.info.notes == ()


def test_jpeg_tiles_have_the_colours_that_openslide_gives_them(tmp_path, image, write_tiff):
    path = write_tiff(tmp_path / "a.tif", image, compression="jpeg", photometric="ycbcr", factors=(2,))
    with open_slide(path) as slide, openslide.OpenSlide(path) as oracle:
        expected = np.asarray(oracle.read_region((0, 0), 0, (320, 256)).convert("RGB"))
        assert np.abs(whole_of(slide).astype(int) - expected).mean() < 2  # chroma is upsampled by other filters


def test_without_a_resolution_a_small_pyramid_is_taken_as_it_is_and_a_large_one_refused(
    tmp_path, image, write_tiff, monkeypatch
):
    path = write_tiff(tmp_path / "a.tif", image, mpp=None)
    with open_slide(path) as slide:
        assert slide.info.notes == (UNKNOWN_MPP,)
        assert slide.info.mpp is None
    monkeypatch.setattr(module, "LARGE_PX", 320 * 256 - 1)
    with pytest.raises(ResolutionError, match="--source-mpp"):
        open_slide(path)
    with open_slide(path, source_mpp=0.25) as slide:
        assert slide.info.mpp == 0.25


def test_which_files_are_slides(tmp_path, image, write_tiff, monkeypatch):
    flat = write_tiff(tmp_path / "flat.tif", image, factors=())
    striped = tmp_path / "striped.tif"
    tifffile.imwrite(striped, image, photometric="rgb", rowsperstrip=16)
    (tmp_path / "a.txt").write_text("II*\0 but no TIFF")
    assert not any(map(is_tiff_slide, (flat, striped, tmp_path / "a.txt", tmp_path / "gone.tif")))
    assert isinstance(open_slide(flat), PlainImage)
    assert is_tiff_slide(write_tiff(tmp_path / "pyramid.tif", image))
    monkeypatch.setattr(module, "LARGE_PX", 320 * 256 - 1)
    assert is_tiff_slide(flat)
    assert not is_tiff_slide(striped)
    monkeypatch.setattr(module, "MAX_PIXELS", 320 * 256 - 1)
    assert is_tiff_slide(striped)
    with open_slide(striped, source_mpp=0.5) as slide:
        assert np.array_equal(whole_of(slide), image)


def test_an_image_in_one_piece_is_refused(tmp_path, image, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    monkeypatch.setattr(module, "_MAX_TILE_PX", 10_000)
    with pytest.raises(ImageError, match=r"cannot be read in parts; expected tiles .*81,920 px; export"):
        TiffSlide(tmp_path / "a.tif", 0.5)


def test_ome_states_the_mpp_of_the_largest_image(tmp_path, image):
    path = tmp_path / "a.ome.tif"
    options = {"photometric": "rgb", "tile": (64, 64), "compression": "deflate"}
    with tifffile.TiffWriter(path, ome=True) as tiff:
        macro = {"axes": "YXS", "PhysicalSizeX": 8.0, "PhysicalSizeY": 8.0}
        tiff.write(image[:100, :80], **options, metadata=macro)
        own = {"axes": "YXS", "PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.25}
        tiff.write(image, **options, subifds=1, metadata=own)
        tiff.write(image[::2, ::2], **options, subfiletype=1)
    with open_slide(path) as slide:
        assert slide.info.level_downsamples == (1.0, 2.0)  # the macro image is no level
        assert slide.info.mpp == pytest.approx(0.25)
        assert np.array_equal(whole_of(slide), image)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_depths_and_planes(tmp_path, image, write_tiff, bits, planar):
    full = 2**bits - 1
    values = np.round(image / 255 * full).astype(np.uint8 if bits == 8 else np.uint16)
    path = tmp_path / "a.tif"
    write_tiff(path, values, factors=(2,)) if planar == "contig" else planar_pyramid(path, values)
    with open_slide(path) as slide:
        read, notes = whole_of(slide), slide.info.notes
    assert np.abs(read - values / full * 255).max() <= 0.5
    assert notes == (() if bits == 8 else (f"16-bit channels, taken as {bits}-bit data, scaled to 8 bits",))


def planar_pyramid(path, values):
    options = {"photometric": "rgb", "planarconfig": "separate", "tile": (64, 64), "compression": "deflate"}
    density = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(np.moveaxis(values, -1, 0), **options, **density)
        tiff.write(np.moveaxis(values[::2, ::2], -1, 0), **options, subfiletype=1)


def test_grey_and_alpha(tmp_path, image, write_tiff):
    with open_slide(write_tiff(tmp_path / "grey.tif", image[..., 0].copy(), photometric="minisblack")) as slide:
        assert np.array_equal(whole_of(slide), np.repeat(image[..., :1], 3, axis=2))
        assert slide.info.notes == ("grey image converted to RGB",)
    alpha = np.full((256, 320, 1), 255, np.uint8)
    alpha[:100] = 0
    rgba = np.dstack([image, alpha])
    path = write_tiff(tmp_path / "rgba.tif", rgba, extrasamples=["unassalpha"])
    with open_slide(path) as slide:
        over_white = whole_of(slide)
        assert slide.info.notes == ("image with alpha laid over white",)
    assert (over_white[:100] == 255).all()
    assert np.array_equal(over_white[100:], image[100:])
    path = write_tiff(tmp_path / "rgbx.tif", rgba, extrasamples=["unspecified"])
    with open_slide(path) as slide:
        assert np.array_equal(whole_of(slide), image)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.zeros((256, 256, 3), np.float32), {}, "float32 pixels"),
        (np.zeros((256, 256, 5), np.uint8), {"photometric": "minisblack", "planarconfig": "contig"}, "5 grey channels"),
    ],
)
def test_px_of_unknown_meaning_are_refused(tmp_path, values, options, message, write_tiff):
    path = tmp_path / "a.tif"
    options = {"photometric": "rgb", "tile": (64, 64), **options}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(values, **options)
        tiff.write(np.ascontiguousarray(values[::2, ::2]), subfiletype=1, **options)
    with pytest.raises(ImageError, match=message):
        open_slide(path)


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_pyramid_that_is_stored_turned_is_told_to_be(tmp_path, image, write_tiff, orientation):
    path = write_tiff(tmp_path / "a.tif", image, extratags=[(274, "H", 1, orientation, True)])
    with pytest.raises(ImageError, match=rf"a\.tif is stored turned.*got orientation {orientation}; turn it") as told:
        open_slide(path)
    assert "meaning" not in str(told.value)


@pytest.mark.parametrize(("pages", "hint"), [(2, False), (3, True), (4, False)])
def test_three_grey_pages_of_no_name_may_be_red_green_and_blue(tmp_path, image, pages, hint):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for number in range(pages):
            tiff.write(np.ascontiguousarray(image[..., number % 3]), photometric="minisblack", metadata=None)
    with pytest.raises(ImageError, match=r"several images of full size.*choose one with --series") as told:
        open_slide(tmp_path / "a.tif", source_mpp=0.5)
    assert ("red, green and blue" in str(told.value)) == hint


def test_three_pages_of_colours_are_no_channels(tmp_path, image):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for _ in range(3):
            tiff.write(image, photometric="rgb", metadata=None)
    with pytest.raises(ImageError, match="several images of full size") as told:
        open_slide(tmp_path / "a.tif", source_mpp=0.5)
    assert "red, green and blue" not in str(told.value)


def test_stacks_and_strips_of_paper_are_refused(tmp_path, image):
    options = {"photometric": "rgb", "tile": (64, 64)}
    with tifffile.TiffWriter(tmp_path / "stack.tif") as tiff:
        for level in (image, image, image[::2, ::2]):
            tiff.write(level, **options)
    with pytest.raises(ImageError, match="several images of full size; expected one; got 2"):
        open_slide(tmp_path / "stack.tif")
    tifffile.imwrite(tmp_path / "thin.tif", image[:10], **options)
    with pytest.raises(ImageError, match="too small"):
        TiffSlide(tmp_path / "thin.tif", 0.5)


def test_tiles_that_were_never_written_are_white(tmp_path, image, write_tiff, forget_tile):
    path = write_tiff(tmp_path / "a.tif", image)
    expected = forget_tile(path, image)
    with open_slide(path) as slide:
        assert np.array_equal(whole_of(slide), expected)


@pytest.mark.parametrize("compression", ["deflate", "lzw", "jpeg", "jpeg2000"])
def test_damage_is_met_where_it_is_and_nowhere_else(tmp_path, image, write_tiff, compression):
    path = write_tiff(tmp_path / "a.tif", image, compression=compression)
    with tifffile.TiffFile(path) as tiff:
        sound = tiff.pages[0].asarray()
        offset, count = tiff.pages[0].dataoffsets[6], tiff.pages[0].databytecounts[6]  # x and y from 64 to 128
    content = bytearray(path.read_bytes())
    content[offset : offset + count] = bytes(count)
    path.write_bytes(content)
    bad, good = Region(40, 70, 50, 50, (50, 50)), Region(130, 64, 50, 50, (50, 50))
    with open_slide(path) as slide:
        for _ in range(2):
            with pytest.raises(UnreadableRegion, match="damaged at x 40, y 70") as caught:
                slide.read(bad)
            assert caught.value.region == bad
            assert np.array_equal(slide.read(good), sound[64:114, 130:180])
        assert slide.read(Region(0, 0, 320, 256, (160, 128))).shape == (128, 160, 3)  # from the sound level


def test_a_file_that_was_cut_off(tmp_path, image, write_tiff):
    path = write_tiff(tmp_path / "a.tif", image, compression=None, factors=(2,), subifds=True)
    content = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        end = max(tiff.pages[0].pages[0].dataoffsets)
    (tmp_path / "late.tif").write_bytes(content[: end + 100])
    with open_slide(tmp_path / "late.tif") as slide:
        assert np.array_equal(whole_of(slide), image)
        assert slide.info.level_downsamples == (1.0,)
        assert "level 1 (160 × 128 px) is cut off: finer ones are read in its place" in slide.info.notes
        small = slide.read(Region(0, 0, 320, 256, (160, 128)))
    with open_slide(image) as plain:
        assert np.array_equal(small, plain.read(Region(0, 0, 320, 256, (160, 128))))
    (tmp_path / "early.tif").write_bytes(content[:100])
    for opened in (open_slide, lambda cut: TiffSlide(cut, None)):
        with pytest.raises(ImageError, match=r"damaged or cut off; expected .*; got .*; copy"):
            opened(tmp_path / "early.tif")


def test_a_coarsest_level_that_is_damaged_hides_the_depth(tmp_path, image, write_tiff):
    path = write_tiff(tmp_path / "a.tif", image.astype(np.uint16) * 200, factors=(2,))
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[1].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + 50] = bytes(50)
    path.write_bytes(content)
    with pytest.raises(ImageError, match="damaged or cut off"):
        open_slide(path)


@pytest.mark.parametrize("name", ["a.svs", "a.tif"])
def test_a_side_beyond_any_slide_is_a_damaged_header(tmp_path, texture, write_svs, write_tiff, name):
    path = (write_svs if name == "a.svs" else write_tiff)(tmp_path / name, texture(256, 192))
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tag = tiff.pages[0].tags["ImageLength"]
        tag.overwrite(2**22 + 1, dtype="I")
    with pytest.raises(ImageError, match=r"too large; expected at most 4,194,304 px a side; got 256 × 4194305 px"):
        open_slide(path)
