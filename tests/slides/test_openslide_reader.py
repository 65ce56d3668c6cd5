import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openslide
import pytest
import tifffile

from histofactor.errors import ImageError, OptionError, ResolutionError, UnreadableRegion
from histofactor.records import Region
from histofactor.slides.openslide_reader import VendorSlide, is_vendor_slide
from histofactor.slides.reader import open_slide


def whole_of(slide):
    return slide.read(Region(0, 0, *slide.info.size, slide.info.size))


def damage_tile(path, index):
    """Overwrite a tile of the first page with zeros."""
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages[0].dataoffsets[index], tiff.pages[0].databytecounts[index]
    content = bytearray(path.read_bytes())
    content[offset : offset + count] = bytes(count)
    path.write_bytes(content)


def test_scanner_files_are_told_from_others(tmp_path, texture, write_svs, write_tiff):
    assert is_vendor_slide(write_svs(tmp_path / "a.svs", texture(256, 256)))
    assert not is_vendor_slide(write_tiff(tmp_path / "a.tif", texture(256, 256)))
    (tmp_path / "b.svs").write_text("no slide")
    assert not is_vendor_slide(tmp_path / "b.svs")
    with pytest.raises(ImageError, match="not an image that can be read"):
        open_slide(tmp_path / "b.svs")


def test_level_0_is_what_was_written(tmp_path, texture, write_svs):
    image = texture(601, 503)
    path = write_svs(tmp_path / "a.svs", image, mpp=0.2534)
    with open_slide(path) as slide, openslide.OpenSlide(path) as oracle:
        assert np.array_equal(whole_of(slide), image)
        assert slide.info.size == oracle.dimensions
        assert slide.info.level_downsamples == oracle.level_downsamples
        assert slide.info.mpp == 0.2534
        assert slide.info.reader == f"OpenSlide {openslide.__library_version__}"
        assert slide.info.notes == ()


def test_a_level_whose_downsample_is_whole_is_copied(tmp_path, texture, pyramid, write_svs):
    image = texture(640, 512)
    with open_slide(write_svs(tmp_path / "a.svs", image)) as slide:
        for factor, level in zip((2, 4), pyramid(image)[1:], strict=True):
            assert np.array_equal(slide.read(Region(0, 0, 640, 512, (640 // factor, 512 // factor))), level)


def test_what_the_header_tells_is_kept(tmp_path, texture, write_svs):
    path = write_svs(tmp_path / "a.svs", texture(256, 192))
    with tifffile.TiffWriter(path, append=True) as tiff:
        description = "Aperio Image Library v11.2.1 \r\nlabel 60x40"
        tiff.write(texture(60, 40, 7), photometric="rgb", subfiletype=1, description=description, metadata=None)
    with open_slide(path) as slide, openslide.OpenSlide(path) as oracle:
        info = slide.info
        assert (info.vendor, info.objective) == ("aperio", 20.0)
        assert info.properties["aperio.MPP"] == "0.5"
        assert info.associated == tuple(oracle.associated_images) == ("label",)
        assert np.array_equal(slide.read_associated("label"), texture(60, 40, 7))
        with pytest.raises(OptionError, match="expected 'label'; got 'macro'"):
            slide.read_associated("macro")


def test_a_damaged_level_gives_way_to_a_finer_one(tmp_path, texture, write_svs):
    image = texture(640, 512)
    path = write_svs(tmp_path / "a.svs", image)
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages[1].dataoffsets[0], tiff.pages[1].databytecounts[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + count] = bytes(count)
    path.write_bytes(content)
    bad, good = Region(0, 0, 64, 64, (32, 32)), Region(256, 256, 64, 64, (32, 32))
    with open_slide(path) as slide, open_slide(image) as plain:
        slide.read(good)
        assert slide.info.notes == ()
        assert np.array_equal(slide.read(bad), plain.read(bad))
        slide.read(bad)
        assert slide.info.notes == ("level 1 (320 × 256 px) is damaged in part: finer ones are read in its place",)


def test_mpp_is_needed_and_may_be_stated(tmp_path, texture, write_svs):
    path = write_svs(tmp_path / "a.svs", texture(256, 256), mpp=None)
    with pytest.raises(ResolutionError, match=r"a\.svs states no µm/px.*got none.*--source-mpp"):
        open_slide(path)
    assert open_slide(path, source_mpp=0.25).info.mpp == 0.25
    other = write_svs(tmp_path / "b.svs", texture(256, 256), mpp=0.5)
    assert "replaces the header's 0.5" in open_slide(other, source_mpp=0.25).info.notes[0]
    with pytest.raises(ResolutionError, match=r"353.*is none of a microscope"):
        open_slide(write_svs(tmp_path / "c.svs", texture(256, 256), mpp=353))


def test_bounds_are_the_slide_and_what_was_not_scanned_is_background(tmp_path, texture, write_scn):
    areas = {(301, 203): texture(256, 192), (700, 520): texture(128, 128, 1)}
    path = write_scn(tmp_path / "a.scn", (2000, 1500), areas)
    with open_slide(path) as slide, openslide.OpenSlide(path) as oracle:
        assert slide.info.size == (527, 445)
        assert slide.info.mpp == pytest.approx(0.5)
        assert "x 301, y 203 of a canvas of 2000 × 1500 px" in slide.info.notes[0]
        read, rgba = whole_of(slide), np.asarray(oracle.read_region((301, 203), 0, (527, 445)))
    scanned = rgba[..., 3] == 255
    assert 0.1 < scanned.mean() < 0.5
    assert np.array_equal(read[scanned], rgba[scanned][:, :3])
    assert (read[rgba[..., 3] == 0] == 255).all()


def test_damage_is_met_where_it_is_and_nowhere_else(tmp_path, texture, write_svs):
    image = texture(640, 512)
    path = write_svs(tmp_path / "a.svs", image)
    damage_tile(path, 10 + 2)  # x 128 to 192, y 64 to 128
    bad, good = Region(100, 100, 50, 50, (50, 50)), Region(200, 64, 50, 50, (50, 50))
    with open_slide(path) as slide:
        for _ in range(2):
            with pytest.raises(UnreadableRegion, match="damaged at x 100, y 100") as caught:
                slide.read(bad)
            assert caught.value.region == bad
            assert np.array_equal(slide.read(good), image[64:114, 200:250])


def test_damage_met_by_one_thread_does_not_reach_the_others(tmp_path, texture, write_svs):
    image = texture(640, 512)
    path = write_svs(tmp_path / "a.svs", image)
    damage_tile(path, 10 + 2)
    barrier = threading.Barrier(4)

    def read(number):
        barrier.wait()
        for turn in range(20):
            if number % 2:
                with pytest.raises(UnreadableRegion):
                    slide.read(Region(130, 70, 20, 20, (20, 20)))
            else:
                x = 200 + turn
                assert np.array_equal(slide.read(Region(x, 64, 50, 50, (50, 50))), image[64:114, x : x + 50])
        return True

    with open_slide(path) as slide, ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(4)))


def test_a_file_that_is_no_whole_slide_is_refused(tmp_path, texture, write_svs):
    path = write_svs(tmp_path / "a.svs", texture(640, 512))
    content = path.read_bytes()
    (tmp_path / "cut.svs").write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError, match="expected"):
        open_slide(tmp_path / "cut.svs")
    with pytest.raises(ImageError, match=r"cannot be opened as a whole slide; expected .*OpenSlide"):
        VendorSlide(tmp_path / "gone.svs", None)


# --- real slides ------------------------------------------------------------------------------------


def test_a_real_slide(shared):
    path = shared / "data" / "slides" / "cmu-1-small-region.svs"
    with open_slide(path) as slide, openslide.OpenSlide(path) as oracle:
        assert slide.info.mpp == 0.499
        assert slide.info.size == (2220, 2967)
        expected = np.asarray(oracle.read_region((500, 700), 0, (300, 200)).convert("RGB"))
        assert np.array_equal(slide.read(Region(500, 700, 300, 200, (300, 200))), expected)


def test_a_real_slide_without_mpp(shared):
    path = shared / "data" / "slides" / "tcga-cr-7395-01a-01-ts1.svs"
    with pytest.raises(ResolutionError, match="--source-mpp"):
        open_slide(path)
    with open_slide(path, source_mpp=0.25) as slide, tifffile.TiffFile(path) as oracle:
        assert slide.info.mpp == 0.25
        assert len(slide.info.level_downsamples) == 2
        level = oracle.series[0].levels[1].asarray()
        read = slide.read(Region(0, 0, *slide.info.size, level.shape[1::-1]))
    # OpenSlide interpolates where 2.0005 level-0 px are one px: up to a quarter px
    assert np.abs(read.astype(int) - level).mean() < 6
    assert np.array_equal(read[:100, :100], level[:100, :100])


def test_what_has_a_name_that_is_no_unicode_is_left_out(tmp_path, texture, write_svs):
    path = write_svs(tmp_path / "a.svs", texture(256, 192))
    content = path.read_bytes()
    assert content.count(b"AppMag = 20") == 3
    path.write_bytes(content.replace(b"AppMag = 20", b"App\xff\xfeg = 20"))
    with open_slide(path) as slide:
        assert slide.info.mpp == 0.5
        assert slide.info.properties["aperio.MPP"] == "0.5"
        assert not any("App" in name for name in slide.info.properties)
        assert slide.info.objective is None
