import numpy as np
import pytest
from PIL import Image

from histofactor.errors import ImageError
from histofactor.slides.pixels import decode_array, upright_rgb

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)


def pixels(array):
    decoded = decode_array(array)
    return np.asarray(decoded.image), decoded.notes


def test_rgb_is_copied_exactly_and_silently():
    source = RGB.copy()
    decoded = decode_array(source)
    source[:] = 0
    assert np.array_equal(np.asarray(decoded.image), RGB)
    assert decoded.notes == ()
    assert decode_array(RGB[::-1, ::-1]).image.getpixel((0, 0)) == tuple(RGB[-1, -1])  # negative strides


def test_grey_and_alpha_are_converted_and_told():
    grey, notes = pixels(RGB[..., 0])
    assert np.array_equal(grey, np.repeat(RGB[..., :1], 3, axis=2))
    assert notes == ("grey image converted to RGB",)
    assert np.array_equal(pixels(RGB[..., :1])[0], grey)

    alpha = np.full((20, 30, 1), 255, np.uint8)
    alpha[:10] = 0
    over_white, notes = pixels(np.dstack([RGB, alpha]))
    assert (over_white[:10] == 255).all()
    assert np.array_equal(over_white[10:], RGB[10:])
    assert notes == ("image with alpha laid over white",)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_16_bit_arrays_are_scaled_by_their_true_range(bits):
    full = 2**bits - 1
    deep = np.round(RGB / 255 * full).astype(np.uint16)
    deep[0, 0] = full
    scaled, notes = pixels(deep)
    assert np.abs(scaled.astype(int) - deep / full * 255).max() <= 0.5
    assert notes == (f"16-bit channels, taken as {bits}-bit data, scaled to 8 bits",)


@pytest.mark.parametrize(
    "bad",
    [
        RGB.astype(np.float32) / 255,
        RGB.astype(np.int32),
        RGB > 100,
        RGB.transpose(2, 0, 1),
        RGB[..., :2],
        RGB[0],
        RGB[None],
        np.zeros((0, 0, 3), np.uint8),
        RGB[:15],
        RGB[:1, :1],
        np.array([[b"x"]]),
        np.array([[object()]]),
    ],
    ids=lambda bad: f"{bad.shape}-{bad.dtype}",
)
def test_other_arrays_are_refused(bad):
    with pytest.raises(ImageError, match="expected"):
        decode_array(bad)


def test_images_beyond_the_limit_are_refused_before_a_copy():
    huge = np.broadcast_to(np.uint8(0), (40_000, 40_000))
    with pytest.raises(ImageError, match="too large"):
        decode_array(huge)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "YCbCr", "LAB", "RGBA"])
def test_every_mode_becomes_rgb_with_a_note(mode):
    image = Image.fromarray(RGB).convert(mode)
    expected = np.asarray(image.convert("RGB"))
    rgb, notes = upright_rgb(image, 1, "a.png")
    assert rgb.mode == "RGB"
    assert np.array_equal(np.asarray(rgb), expected)
    assert len(notes) == 1


def test_float_pixels_are_refused():
    with pytest.raises(ImageError, match="F pixels"):
        upright_rgb(Image.new("F", (20, 20)), 1, "a.tif")


def test_32_bit_integers_pass_only_where_16_bits_hold_them():
    values = np.arange(400, dtype=np.int32).reshape(20, 20) * 10
    rgb, _ = upright_rgb(Image.fromarray(values), 1, "a.tif")
    assert np.asarray(rgb)[-1, -1, 0] == round(3990 / 4095 * 255)
    with pytest.raises(ImageError, match="from -1 to"):
        upright_rgb(Image.fromarray(values - 1), 1, "a.tif")
