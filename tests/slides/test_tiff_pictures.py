import numpy as np
import pytest
import tifffile

from histofactor.errors import ImageError, OptionError
from histofactor.records import Region
from histofactor.slides.reader import open_slide

UM = {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
TILED = {"photometric": "rgb", "tile": (64, 64), "compression": "zlib"}


def whole_of(slide):
    return slide.read(Region(0, 0, *slide.info.size, slide.info.size))


def scene(tiff, image, name, **own):
    """Write an image of OME-XML with one SubIFD."""
    tiff.write(image, metadata={**UM, "Name": name, **own}, subifds=1, **TILED)
    tiff.write(image[::2, ::2].copy(), metadata=None, subfiletype=1, **TILED)


@pytest.fixture
def two_scenes(tmp_path, texture):
    first, second = texture(320, 256, 1), texture(256, 384, 2)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tiff:
        scene(tiff, first, "Scene 1")
        scene(tiff, second, "Scene 2")
    return tmp_path / "a.ome.tif", first, second


def test_a_second_image_of_half_the_size_is_no_level(tmp_path, texture):
    first, second = texture(512, 512, 1), texture(256, 256, 2)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tiff:
        tiff.write(first, metadata={**UM, "Name": "Core A"}, **TILED)
        tiff.write(second, metadata={**UM, "Name": "Core B"}, **TILED)
    half = Region(0, 0, 512, 512, (256, 256))
    with open_slide(tmp_path / "a.ome.tif") as slide, open_slide(first) as alone:
        assert slide.info.level_downsamples == (1.0,)
        assert np.array_equal(slide.read(half), alone.read(half))
        assert slide.info.notes == (
            "the file holds 2 images: the largest, 'Core A' (512 × 512 px), is read, not 'Core B' (256 × 256 px)",
        )
    with open_slide(tmp_path / "a.ome.tif", series="Core B") as slide:
        assert np.array_equal(whole_of(slide), second)


@pytest.mark.parametrize("seed", range(8))
def test_a_page_that_says_nothing_is_a_level_only_if_it_shows_the_same(tmp_path, texture, pyramid, seed):
    image = texture(512, 384, seed)
    levels = pyramid(image)
    for name, pages in {"same": levels, "other": [image, texture(256, 192, 100 + seed)], "coarse": levels[::2]}.items():
        with tifffile.TiffWriter(tmp_path / f"{name}.tif") as tiff:
            for page in pages:
                tiff.write(page, metadata=None, resolution=(20_000, 20_000), resolutionunit=3, **TILED)
    found = {}
    for name in ("same", "other", "coarse"):
        with open_slide(tmp_path / f"{name}.tif") as slide:
            found[name] = slide.info
    assert found["same"].level_downsamples == (1.0, 2.0, 4.0)
    assert found["same"].notes == ()
    assert found["coarse"].level_downsamples == (1.0, 4.0)
    assert found["other"].level_downsamples == (1.0,)
    assert "not 'page 1' (256 × 192 px)" in found["other"].notes[0]


def test_pages_of_glass_are_no_levels(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for side in (256, 128):
            tiff.write(np.full((side, side, 3), 240, np.uint8), metadata=None, **TILED)
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.info.level_downsamples == (1.0,)
        assert "not 'page 1' (128 × 128 px)" in slide.info.notes[0]


def test_a_reduced_page_belongs_to_the_image_before_it(tmp_path, texture):
    first, second = texture(512, 384, 1), texture(384, 288, 2)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for image in (first, second):
            tiff.write(image, metadata=None, **TILED)
            tiff.write(image[::2, ::2].copy(), metadata=None, subfiletype=1, **TILED)
    for series, image in ((None, first), (0, first), ("1", second), ("page 2", second)):
        with open_slide(tmp_path / "a.tif", series=series) as slide:
            height, width = image.shape[:2]
            assert slide.info.level_downsamples == (1.0, 2.0)
            assert np.array_equal(whole_of(slide), image)
            half = slide.read(Region(0, 0, width, height, (width // 2, height // 2)))
            assert np.array_equal(half, image[::2, ::2])


def test_the_image_that_is_named_is_read(two_scenes):
    path, first, second = two_scenes
    for series, image in (
        (None, second),
        ("Scene 1", first),
        (0, first),
        ("0", first),
        ("Scene 2", second),
        (1, second),
    ):
        with open_slide(path, series=series) as slide:
            assert np.array_equal(whole_of(slide), image)
            assert slide.info.mpp == pytest.approx(0.5)
            assert slide.info.level_downsamples == (1.0, 2.0)
            (note,) = slide.info.notes
            assert ("'Scene 1' (320 × 256 px)" in note.split("not")[1]) == (image is second)


@pytest.mark.parametrize("series", ["Scene 3", 2, -1, "", "9" * 5000, "²"])
def test_a_name_that_is_not_there_lists_those_that_are(two_scenes, series):
    expected = r"expected one of 0: 'Scene 1' \(320 × 256 px\), 1: 'Scene 2' \(256 × 384 px\); got"
    with pytest.raises(OptionError, match=expected):
        open_slide(two_scenes[0], series=series)


def test_inputs_of_one_image_know_no_other(tmp_path, texture, write_svs):
    path = write_svs(tmp_path / "a.svs", texture(256, 192))
    with open_slide(path, series=0) as slide:
        assert slide.info.size == (256, 192)
    for source in (path, texture(64, 64)):
        with pytest.raises(OptionError, match="holds one image"):
            open_slide(source, series="label")


def test_two_images_of_full_size_are_refused_by_name(tmp_path, texture):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tiff:
        scene(tiff, texture(256, 192, 1), "Left")
        scene(tiff, texture(256, 192, 2), "Right")
    with pytest.raises(ImageError, match=r"got 2: 0: 'Left' \(256 × 192 px\), 1: 'Right' .*choose one with --series"):
        open_slide(tmp_path / "a.ome.tif")
    with open_slide(tmp_path / "a.ome.tif", series="Right") as slide:
        assert np.array_equal(whole_of(slide), texture(256, 192, 2))


def test_label_and_macro_come_along(tmp_path, texture):
    label = texture(100, 100, 5)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tiff:
        tiff.write(label, photometric="rgb", metadata={"axes": "YXS", "Name": "label"})
        tiff.write(texture(200, 80, 6), photometric="rgb", metadata={"axes": "YXS", "Name": "macro"})
        scene(tiff, texture(256, 192, 1), "slide")
    with open_slide(tmp_path / "a.ome.tif") as slide:
        assert slide.info.size == (256, 192)
        assert slide.info.associated == ("label", "macro")
        assert np.array_equal(slide.read_associated("label"), label)
        with pytest.raises(OptionError, match="expected 'label' or 'macro'; got 'map'"):
            slide.read_associated("map")
    with pytest.raises(ImageError, match="is closed"):
        slide.read_associated("label")


def test_focal_planes_are_images_of_their_own(tmp_path, texture):
    planes = np.stack([texture(64, 48, seed) for seed in range(3)])
    tifffile.imwrite(tmp_path / "a.ome.tif", planes, photometric="rgb", metadata={"axes": "ZYXS"})
    with pytest.raises(ImageError, match="got 3: 0: 'Image0, plane 0'"):
        open_slide(tmp_path / "a.ome.tif")
    with open_slide(tmp_path / "a.ome.tif", series=1) as slide:
        assert np.array_equal(whole_of(slide), planes[1])


def test_a_mask_page_is_no_second_image(tmp_path, texture):
    image = texture(128, 96)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(image, photometric="rgb", metadata=None)
        tiff.write(np.ones((96, 128), bool), photometric="minisblack", subfiletype=4, metadata=None)
    with open_slide(tmp_path / "a.tif") as slide:
        assert np.array_equal(whole_of(slide), image)


def test_channels_of_imagej_are_one_image(tmp_path, texture):
    image = np.maximum(texture(96, 64), 100)
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(image, -1, 0), imagej=True, metadata={"axes": "CYX"})
    with open_slide(tmp_path / "a.tif") as slide:
        assert np.array_equal(whole_of(slide), image)
