import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from histofactor.errors import ImageError
from histofactor.slides.pillow import suffix_note
from histofactor.slides.reader import open_slide

SIDE = 31_000
OPEN = """
import resource, sys, time
from histofactor.errors import ImageError
from histofactor.slides.reader import open_slide
before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
try:
    open_slide(sys.argv[1])
except ImageError as error:
    print(time.perf_counter() - started, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, error)
"""


def chunk(kind, data):
    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)


def bomb(name):
    """A file of some kB that claims 31,000 px a side."""
    if name.endswith("png"):
        kind = {"grey.png": 0, "rgb.png": 2, "rgba.png": 6}[name]
        header = chunk(b"IHDR", SIDE.to_bytes(4) * 2 + bytes([8, kind, 0, 0, 0]))
        return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "JPEG" if name == "a.jpg" else "JPEG2000")
    data = bytearray(buffer.getvalue())
    if name == "a.jpg":
        struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, SIDE, SIDE)
        return bytes(data)
    codestream = data.index(b"\xff\x4f\xff\x51")
    for at in (8, 24):
        struct.pack_into(">4I", data, codestream + at, SIDE, SIDE, 0, 0)
    if name == "a.jp2":  # in "lie.jp2" the box says 64 × 64 px still
        struct.pack_into(">II", data, data.index(b"ihdr") + 4, SIDE, SIDE)
    return bytes(data)


@pytest.mark.parametrize("name", ["grey.png", "rgb.png", "rgba.png", "a.jpg", "a.jp2", "lie.jp2"])
def test_a_bomb_costs_neither_time_nor_memory(tmp_path, name):
    content = bomb(name)
    assert len(content) < 5000
    (tmp_path / name).write_bytes(content)
    command = [sys.executable, "-c", OPEN, str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    seconds, megabytes, message = done.stdout.split(" ", 2)
    assert float(seconds) < 10
    assert float(megabytes) < 500
    assert "31000 × 31000 px" in message
    assert "--max-image-gb" in message


def test_the_limit_is_the_users(tmp_path):
    Image.new("RGB", (500, 400)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"at most 0\.0007 GB .*got 500 × 400 px, 0\.0008 GB"):
        open_slide(tmp_path / "a.png", max_image_gb=0.0007)
    assert open_slide(tmp_path / "a.png", max_image_gb=0.0009).info.size == (500, 400)
    with pytest.raises(ImageError, match=r"at most 0\.0001 GB"):
        open_slide(np.zeros((400, 500), np.uint8), max_image_gb=0.0001)


@pytest.mark.parametrize(("mode", "copies"), [("L", 5), ("RGBA", 8), ("P", 5), ("RGB", 4)])
def test_copies_in_other_modes_count(tmp_path, mode, copies):
    Image.new(mode, (500, 400)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=f"{200_000 * copies / 1e9:.3g} GB; "):
        open_slide(tmp_path / "a.png", max_image_gb=200_000 * (copies - 0.5) / 1e9)
    assert open_slide(tmp_path / "a.png", max_image_gb=200_000 * copies / 1e9).info.size == (500, 400)


def test_another_format_than_the_name_says_is_told(tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png", "JPEG")
    Image.new("RGB", (40, 40)).save(tmp_path / "b.jpg", "TIFF")
    Image.new("RGB", (40, 40)).save(tmp_path / "c", "PNG")
    notes = [open_slide(tmp_path / name).info.notes[0] for name in ("a.png", "b.jpg", "c")]
    assert notes[0] == "the file is a JPEG image, though its name ends in .png"
    assert notes[1] == "the file is a TIFF image, though its name ends in .jpg"
    assert notes[2].startswith("no µm/px")
    assert suffix_note(tmp_path / "a.JPEG", "JPEG") == ()
