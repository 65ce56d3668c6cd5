import numpy as np
import pytest
import tifffile

from histofactor.errors import ImageError
from histofactor.slides.files import decode_file
from histofactor.slides.plain_tiff import decode_tiff


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "jpeg2000", "jpeg"])
@pytest.mark.parametrize("kind", ["rgb", "minisblack", "miniswhite"])
def test_a_plain_tiff_is_decoded_whatever_packs_it(tmp_path, texture, kind, compression):
    image = texture(60, 40) if kind == "rgb" else texture(60, 40)[..., 0].copy()
    tifffile.imwrite(tmp_path / "a.tif", image, photometric=kind, compression=compression, rowsperstrip=16)
    decoded = decode_tiff(tmp_path / "a.tif", None, 1.0)
    with tifffile.TiffFile(tmp_path / "a.tif") as oracle:
        stored = oracle.pages[0].asarray()
    expected = stored if kind == "rgb" else np.repeat(stored[..., None], 3, axis=2)
    assert np.array_equal(np.asarray(decoded.image), 255 - expected if kind == "miniswhite" else expected)
    assert decoded.reader.startswith("Pillow " if compression is None else "tifffile ")


def test_a_strip_beyond_the_end_of_the_file_is_damage(tmp_path, texture, capfd):
    for compression in (None, "lzw"):
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, texture(60, 40), photometric="rgb", compression=compression)
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(ImageError, match="damaged or cut off"):
            decode_file(path)
    assert capfd.readouterr().err == ""  # no library prints lines of its own


def test_damage_is_no_line_of_a_library(tmp_path, texture, capfd):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, texture(60, 40), photometric="rgb", compression="lzw")
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + 60] = b"\xff" * 60
    path.write_bytes(content)
    with pytest.raises(ImageError, match="damaged or cut off"):
        decode_file(path)
    assert capfd.readouterr().err == ""
