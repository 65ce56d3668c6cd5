"""Every flavour of TIFF with every other: read as what was written, or refused with a message that says why."""

from collections import Counter
from itertools import product

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from histofactor.errors import ImageError
from histofactor.records import Region
from histofactor.slides.reader import open_slide

PHOTOMETRICS = ("minisblack", "minisblack of 3", "miniswhite", "rgb", "ycbcr", "palette", "separated")
BITS = (8, 12, 16)
LAYOUTS = ("chunky", "planar", "pages")
CONTAINERS = ("plain", "pyramid", "ome", "ome pyramid", "bigtiff")
COMPRESSIONS = ("none", "jpeg", "lzw", "jpeg2000")
SIZE = (96, 80)
SAMPLES = ("minisblack of 3", "rgb", "ycbcr", "separated")  # several a px
SEVERAL, UNKNOWN = "several images of full size", "unknown meaning"


@pytest.fixture(scope="module")
def stained():
    """(height, width, 3) smooth pink and violet on glass, as 16-bit colours of the full range."""
    noise = np.random.default_rng(0).normal(size=(SIZE[1], SIZE[0], 1)).astype(np.float32)
    density = np.clip(0.3 + 4 * cv2.GaussianBlur(noise, (0, 0), 4.0), 0, 1)[..., None]
    density[:30] = 0
    return np.round(65_535 * (1 - density * [0.4, 0.85, 0.5])).astype(np.uint16)


def is_sensible(photometric, bits, layout, compression):
    """Whether such a file can be written at all."""
    single = photometric not in SAMPLES
    three_pages = layout == "pages" and photometric in ("minisblack", "rgb")  # of no name, or red, green and blue
    sensible = three_pages or layout == "chunky" or (layout == "planar" and not single)
    deep = bits > 8 and (photometric in ("palette", "ycbcr") or compression == "jpeg")
    odd = photometric == "palette" and compression in ("jpeg", "jpeg2000")
    planar_jpeg = compression == "jpeg" and photometric == "ycbcr" and layout == "planar"
    return sensible and not deep and not odd and not planar_jpeg


def stored(photometric, bits, layout, stained):
    """Px as they are stored, and what they show in 8 bits."""
    full = 2**bits - 1
    rgb = np.round(stained / 65_535 * full)
    seen = rgb / full * 255
    if photometric in ("minisblack", "miniswhite") and layout != "pages":
        grey = rgb[..., 1]
        seen = np.repeat(seen[..., 1:2], 3, axis=2)
        values = full - grey if photometric == "miniswhite" else grey
    elif photometric == "palette":
        values = rgb[..., 1] // 4
        seen = np.repeat(255 - values[..., None], 3, axis=2)
    elif photometric == "ycbcr":
        values = np.asarray(Image.fromarray(rgb.astype(np.uint8)).convert("YCbCr"))
    elif photometric == "separated":
        values = np.dstack([full - rgb, np.zeros(rgb.shape[:2])])
    else:
        values = rgb
    return values.astype(np.uint8 if bits == 8 else np.uint16), seen


def write(path, cell, values):
    photometric, bits, layout, container, compression = cell
    options = {"photometric": photometric.split()[0], "resolution": (20_000, 20_000), "resolutionunit": 3}
    if photometric == "rgb" and layout == "pages":
        options["photometric"] = "minisblack"
    if photometric == "palette":
        options["colormap"] = np.repeat(np.arange(255, -1, -1, dtype=np.uint16)[None] * 257, 3, axis=0)
    if compression == "jpeg" and photometric == "ycbcr":
        options["subsampling"] = (1, 1)
    if compression != "none":
        options["compression"] = compression
    if compression == "jpeg":
        options["compressionargs"] = {"level": 98}
    if bits == 12 and compression == "none":
        options["bitspersample"] = 12  # packed
    many = values.ndim == 3
    channels_first = many and layout in ("planar", "pages")
    if many and layout != "pages":
        options["planarconfig"] = "separate" if layout == "planar" else "contig"
    data = np.ascontiguousarray(np.moveaxis(values, -1, 0)) if channels_first else values
    small = np.ascontiguousarray(data[..., ::2, ::2] if channels_first or not many else data[::2, ::2])
    ome = container.startswith("ome")
    metadata = None
    if ome:
        metadata = {"axes": ("CYX" if channels_first else "YXS" if many else "YX")}
        metadata |= {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        if layout == "pages" and photometric == "rgb":
            metadata["Channel"] = {"Name": ["Red", "Green", "Blue"]}
    with tifffile.TiffWriter(path, bigtiff=container == "bigtiff", ome=ome) as tiff:
        if "pyramid" not in container:
            tiff.write(data, metadata=metadata, **options)
            return
        options["tile"] = (32, 32)
        tiff.write(data, metadata=metadata, subifds=1, **options)
        tiff.write(small, metadata=None, subfiletype=1, **options)


def refusal(cell):
    """Why a cell is refused, or None."""
    photometric, bits, layout, container, compression = cell
    if layout == "pages" and not container.startswith("ome"):
        return SEVERAL  # three grey pages may be anything
    if photometric == "separated" and (bits != 8 or compression == "jpeg"):
        return UNKNOWN
    if photometric == "miniswhite" and bits == 12 and compression != "none":
        return "of unknown range"
    return None


def cells(photometric):
    for cell in product([photometric], BITS, LAYOUTS, CONTAINERS, COMPRESSIONS):
        if is_sensible(photometric, cell[1], cell[2], cell[4]):
            yield cell


@pytest.mark.parametrize(
    ("photometric", "equal", "refused"),
    [
        ("minisblack", 70, 30), ("minisblack of 3", 100, 0), ("miniswhite", 40, 10), ("rgb", 120, 30), ("ycbcr", 35, 0),
        ("palette", 10, 0), ("separated", 30, 70),
    ],
)  # fmt: skip
def test_every_flavour_is_what_was_written_or_refused(tmp_path, stained, photometric, equal, refused):
    outcomes = Counter()
    for cell in cells(photometric):
        _, bits, layout, container, compression = cell
        values, seen = stored(photometric, bits, layout, stained)
        path = tmp_path / ("a.ome.tif" if container.startswith("ome") else "a.tif")
        write(path, cell, values)
        message = refusal(cell)
        outcomes["refused" if message else "equal"] += 1
        if message:
            with pytest.raises(ImageError) as caught:
                open_slide(path)
            assert message in str(caught.value), cell
            continue
        with open_slide(path) as slide:
            difference = np.abs(slide.read(Region(0, 0, *SIZE, SIZE)) - seen)
            assert slide.info.mpp == pytest.approx(0.5), cell
            assert slide.info.level_downsamples == ((1.0, 2.0) if "pyramid" in container else (1.0,)), cell
        most, mean = (30, 3) if compression == "jpeg" else (3, 1) if photometric == "ycbcr" else (0.51, 0.51)
        assert difference.max() <= most, cell
        assert difference.mean() <= mean, cell
    assert outcomes == Counter(equal=equal, refused=refused)
