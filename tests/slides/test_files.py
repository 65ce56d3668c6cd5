import io
import os
import threading
import warnings
import zlib

import cv2
import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from histofactor.errors import ImageError
from histofactor.slides.files import decode_file
from histofactor.slides.resolution import settle_mpp

RGB = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
DEEP = np.random.default_rng(1).integers(0, 4096, (40, 60, 3)).astype(np.uint16)  # 12-bit data


def pixels(path):
    return np.asarray(decode_file(path).image)


def mpp_of(path):
    return settle_mpp(decode_file(path).stated, None, str(path))[0]


@pytest.mark.parametrize("extension", ["png", "tif", "bmp", "webp", "gif", "jp2", "ppm"])
def test_lossless_formats_give_the_pixels_that_were_stored(tmp_path, extension):
    path = tmp_path / f"a.{extension}"
    image = Image.fromarray(RGB).quantize(64) if extension == "gif" else Image.fromarray(RGB)
    image.save(path, **({"lossless": True} if extension == "webp" else {}))
    assert np.array_equal(pixels(path), np.asarray(image.convert("RGB")))
    assert decode_file(path).reader.startswith("Pillow ")


@pytest.mark.parametrize(
    "options",
    [{"bigtiff": True}, {"tile": (32, 32)}, {"compression": "zlib", "predictor": True}, {"byteorder": ">"}],
    ids=str,
)
def test_tiff_layouts(tmp_path, options):
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", **options)
    assert np.array_equal(pixels(tmp_path / "a.tif"), RGB)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("plain", {}),
        ("packed", {"compression": "zlib", "predictor": True}),
        ("tiled", {"tile": (32, 32)}),
        ("planar", {"planarconfig": "separate"}),
    ],
)
def test_16_bit_colour_tiff_keeps_its_depth(tmp_path, name, options):
    values = np.moveaxis(DEEP, -1, 0) if name == "planar" else DEEP
    tifffile.imwrite(
        tmp_path / "a.tif", values, photometric="rgb", resolution=(20_000, 20_000), resolutionunit=3, **options
    )
    decoded = decode_file(tmp_path / "a.tif")
    assert np.abs(np.asarray(decoded.image) - DEEP / 4095 * 255).max() <= 0.5
    assert decoded.reader.startswith("tifffile ")
    assert "12-bit" in decoded.notes[0]
    assert mpp_of(tmp_path / "a.tif") == pytest.approx(0.5)


def test_16_bit_colour_png_and_16_bit_grey_keep_their_depth(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), DEEP[..., ::-1])
    assert np.abs(pixels(tmp_path / "a.png") - DEEP / 4095 * 255).max() <= 0.5
    for name in ("g.png", "g.tif"):
        Image.fromarray(DEEP[..., 0]).save(tmp_path / name)
        assert np.abs(pixels(tmp_path / name)[..., 0] - DEEP[..., 0] / 4095 * 255).max() <= 0.5


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (DEEP.astype(np.float32), {"photometric": "rgb"}),
        (DEEP.astype(np.uint32), {"photometric": "rgb"}),
        (DEEP[..., 0].astype(np.float32), {}),
    ],
    ids=["float rgb", "uint32 rgb", "float grey"],
)
def test_tiff_pixels_of_unknown_meaning_are_refused(tmp_path, values, options):
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    with pytest.raises(ImageError, match=r"unknown meaning.*(float32|uint32|F) pixels"):
        decode_file(tmp_path / "a.tif")


def test_16_bit_lzw(tmp_path):
    cv2.imwrite(str(tmp_path / "a.tif"), DEEP[..., ::-1])
    assert np.abs(pixels(tmp_path / "a.tif") - DEEP / 4095 * 255).max() <= 0.5


def test_a_packing_that_no_library_here_knows_is_named(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DEEP, photometric="rgb")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        tiff.pages[0].tags["Compression"].overwrite(32809)
    with pytest.raises(ImageError, match=r"16-bit channels, compression .*8-bit RGB"):
        decode_file(tmp_path / "a.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.tif", "a.png"])
def test_exif_orientation_is_applied_once(tmp_path, orientation, name):
    ramp = np.zeros((40, 60, 3), np.uint8)
    ramp[:8, :8] = 255  # marks the stored upper left corner
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(ramp).save(tmp_path / name, exif=exif)
    corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    decoded = decode_file(tmp_path / name)
    upright = np.asarray(decoded.image)
    assert upright.shape == ((60, 40, 3) if orientation >= 5 else (40, 60, 3))
    assert upright[corner[orientation]].min() > 200
    assert len(decoded.notes) == (orientation > 1)


def test_orientation_of_a_16_bit_tiff(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DEEP, photometric="rgb", extratags=[(274, "H", 1, 6, True)])
    rotated = np.rot90(DEEP, -1)
    assert np.abs(pixels(tmp_path / "a.tif") - rotated / 4095 * 255).max() <= 0.5


def test_adobe_cmyk_jpeg_is_not_inverted(tmp_path):
    Image.new("CMYK", (40, 40), (0, 200, 0, 0)).save(tmp_path / "a.jpg", quality=95)
    red, green, blue = pixels(tmp_path / "a.jpg")[20, 20]
    assert red > 240
    assert green < 70
    assert blue > 240


def test_the_largest_page_of_a_tiff_is_read(tmp_path):
    thumbnail = Image.fromarray(RGB[:20, :20])
    thumbnail.save(tmp_path / "a.tif", save_all=True, append_images=[Image.fromarray(RGB), thumbnail])
    decoded = decode_file(tmp_path / "a.tif")
    assert np.array_equal(np.asarray(decoded.image), RGB)
    assert decoded.notes == (
        "the file holds 3 images: the largest, 'page 1' (60 × 40 px), is read, "
        "not 'page 0' (20 × 20 px), 'page 2' (20 × 20 px)",
    )


def test_headers_state_mpp(tmp_path):
    image = Image.fromarray(RGB)
    image.save(tmp_path / "a.png", dpi=(50_800, 50_800))
    image.save(tmp_path / "a.jpg", dpi=(50_800, 50_800))
    image.save(tmp_path / "screen.jpg", dpi=(96, 96))
    tifffile.imwrite(
        tmp_path / "a.ome.tif", RGB, metadata={"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
    )
    tifffile.imwrite(tmp_path / "ij.tif", RGB, imagej=True, resolution=(4, 4), metadata={"unit": "um"})
    for unit in ("\N{MICRO SIGN}m", "\N{GREEK SMALL LETTER MU}m"):
        for encoding in ("utf-8", "latin-1")[: 1 + (unit[0] == "\N{MICRO SIGN}")]:
            text = f'<OME><Image><Pixels PhysicalSizeX="0.25" PhysicalSizeXUnit="{unit}" SizeX="60"/></Image></OME>'
            options = {"photometric": "rgb", "metadata": None, "description": text.encode(encoding)}
            tifffile.imwrite(tmp_path / "micro.ome.tif", RGB, **options)
            assert mpp_of(tmp_path / "micro.ome.tif") == pytest.approx(0.25)
    assert mpp_of(tmp_path / "a.png") == pytest.approx(0.5, rel=1e-4)
    assert mpp_of(tmp_path / "a.jpg") == pytest.approx(0.5, rel=1e-4)
    assert mpp_of(tmp_path / "screen.jpg") is None
    assert mpp_of(tmp_path / "a.ome.tif") == pytest.approx(0.25)
    assert mpp_of(tmp_path / "ij.tif") == pytest.approx(0.25)


# --- refusals ---------------------------------------------------------------------------------------


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(ImageError, match="does not exist"):
        decode_file(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="is a folder"):
        decode_file(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)
    path.chmod(0)
    with pytest.raises(ImageError, match="permissions"):
        decode_file(path)


@pytest.mark.parametrize("content", [b"hello world\n", b"\x80\x04\x95joblib", b"x", b"%!PS-Adobe-3.0\n", b"II*\0"])
def test_what_is_no_image_is_refused(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageError, match="expected a PNG"):
        decode_file(tmp_path / "a.png")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(ImageError, match="is empty"):
        decode_file(tmp_path / "a.png")


SAVED = {
    "png": ("PNG", {}),
    "jpeg": ("JPEG", {}),
    "tiff": ("TIFF", {}),
    "tiff deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "tiff lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "bmp": ("BMP", {}),
    "webp": ("WEBP", {}),
    "gif": ("GIF", {}),
    "jp2": ("JPEG2000", {}),
    "ppm": ("PPM", {}),
}


def saved(kind):
    format_, options = SAVED[kind]
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, format_, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", SAVED)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9])
def test_a_file_that_was_cut_off_is_refused(tmp_path, kind, share):
    content = saved(kind)
    (tmp_path / "a").write_bytes(content[: max(1, int(len(content) * share))])
    with pytest.raises(ImageError, match="expected"):
        decode_file(tmp_path / "a")


def test_a_cut_16_bit_file_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DEEP, photometric="rgb")
    cv2.imwrite(str(tmp_path / "a.png"), DEEP[..., ::-1])
    for name in ("a.tif", "a.png"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(ImageError, match="damaged or cut off"):
            decode_file(tmp_path / name)


@pytest.mark.parametrize("kind", SAVED)
def test_damage_ends_in_an_image_error_or_an_image(tmp_path, kind):
    rng = np.random.default_rng(zlib.crc32(kind.encode()))
    content = np.frombuffer(saved(kind), np.uint8)
    for _ in range(40):
        broken = content.copy()
        broken[rng.integers(0, min(len(broken), 400), 4)] = rng.integers(0, 256, 4)
        (tmp_path / "a").write_bytes(broken.tobytes())
        try:
            assert decode_file(tmp_path / "a").image.mode == "RGB"
        except ImageError as error:
            assert error.expected  # noqa: PT017 (either outcome is right)


def test_animations_are_refused(tmp_path):
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    for name in ("a.gif", "a.webp", "a.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        with pytest.raises(ImageError, match="animation"):
            decode_file(tmp_path / name)


@pytest.mark.parametrize("size", [(1, 1), (15, 100), (100, 15)])
def test_tiny_images_are_refused(tmp_path, size):
    Image.new("RGB", size).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="too small"):
        decode_file(tmp_path / "a.png")


def png_header(width, height):
    def chunk(kind, data):
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    header = chunk(b"IHDR", width.to_bytes(4) + height.to_bytes(4) + b"\x08\x02\0\0\0")
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def test_a_bomb_is_refused_by_its_header_and_pillow_is_left_as_it_was(tmp_path):
    limit = Image.MAX_IMAGE_PIXELS
    (tmp_path / "a.png").write_bytes(png_header(60_000, 60_000))
    with pytest.raises(ImageError, match="too large"):
        decode_file(tmp_path / "a.png")
    assert limit == Image.MAX_IMAGE_PIXELS


def test_images_beyond_pillows_own_limit_are_no_bombs(tmp_path, monkeypatch):
    for limit in (len(RGB.ravel()) // 4, 10):  # would warn, would raise
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        for name in ("a.png", "a.tif"):
            Image.fromarray(RGB).save(tmp_path / name)
            assert np.array_equal(pixels(tmp_path / name), RGB)
        assert limit == Image.MAX_IMAGE_PIXELS


def test_a_text_bomb_is_refused(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * 10_000_000, zip=True)
    Image.fromarray(RGB).save(tmp_path / "a.png", pnginfo=info)
    with pytest.raises(ImageError, match="expected a PNG"):
        decode_file(tmp_path / "a.png")


def test_many_threads_decode_at_once_and_leave_the_warning_filters_alone(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    filters, results = list(warnings.filters), []
    threads = [threading.Thread(target=lambda: results.append(pixels(tmp_path / "a.png"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all(np.array_equal(result, RGB) for result in results)
    assert warnings.filters == filters


# --- real files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size", "mpp"),
    [
        ("slides/cmu-1-small-region.svs", (2220, 2967), 0.499),
        ("slides/kidney-48-5.tif", (1493, 901), None),
        ("example_3.jpg", (1270, 975), None),
        ("glas-dev/images/testA_10.png", (775, 522), None),
        ("oscc/OSCC_400x_10.jpg", (1536, 2048), None),
    ],
)
def test_real_images(shared, name, size, mpp):
    decoded = decode_file(shared / "data" / name)
    assert decoded.image.size == size
    assert settle_mpp(decoded.stated, None, name)[0] == (None if mpp is None else pytest.approx(mpp))


def test_jpeg_2000_tiles_that_pillow_cannot_read(shared):
    path = shared / "data" / "slides" / "tcga-cr-7395-01a-01-ts1.svs"
    with openslide.OpenSlide(path) as slide:
        expected = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
    assert np.array_equal(pixels(path), expected)
