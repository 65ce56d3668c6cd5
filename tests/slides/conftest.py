"""Tiny slides of every kind, written on the spot."""

import cv2
import numpy as np
import pytest
import tifffile

SCN = """<?xml version="1.0"?>
<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">
<collection name="c" uuid="u" sizeX="{canvas_x}" sizeY="{canvas_y}">
<image name="macro" uuid="m"><creationDate>2020-01-01T00:00:00Z</creationDate><device model="Leica SCN400" version="1"/>
<pixels sizeX="64" sizeY="64"><dimension sizeX="64" sizeY="64" r="0" ifd="0"/></pixels>
<view sizeX="{canvas_x}" sizeY="{canvas_y}" offsetX="0" offsetY="0"/>
<scanSettings><objectiveSettings><objective>1</objective></objectiveSettings>
<illuminationSettings><illuminationSource>brightfield</illuminationSource></illuminationSettings></scanSettings></image>
{areas}
</collection></scn>"""
AREA = """<image name="a" uuid="a"><creationDate>2020-01-01T00:00:00Z</creationDate>
<device model="Leica SCN400" version="1"/>
<pixels sizeX="{width}" sizeY="{height}">{dimensions}</pixels>
<view sizeX="{nm_x}" sizeY="{nm_y}" offsetX="{offset_x}" offsetY="{offset_y}"/>
<scanSettings><objectiveSettings><objective>20</objective></objectiveSettings>
<illuminationSettings><illuminationSource>brightfield</illuminationSource></illuminationSettings></scanSettings></image>"""


@pytest.fixture(scope="session")
def texture():
    """(height, width, 3) smooth noise of full contrast, with detail of a few px."""

    def make(width, height, seed=0):
        noise = np.random.default_rng(seed).normal(size=(height, width, 3)).astype(np.float32)
        smooth = cv2.GaussianBlur(noise, (0, 0), 1.0)
        return np.clip(128 + 200 * smooth, 0, 255).astype(np.uint8)

    return make


@pytest.fixture(scope="session")
def pyramid():
    """An image and its reductions: sizes are cut off, as most writers do."""

    def make(image, factors=(2, 4)):
        height, width = image.shape[:2]
        return [
            image,
            *(cv2.resize(image, (width // n, height // n), interpolation=cv2.INTER_AREA) for n in factors),
        ]

    return make


@pytest.fixture(scope="session")
def write_svs(pyramid):
    """Write an Aperio slide: a tiled page for each level."""

    def write(path, image, *, mpp=0.5, factors=(2, 4), **options):
        stated = "" if mpp is None else f"|AppMag = 20|MPP = {mpp}"
        description = f"Aperio Image Library v11.2.1 \r\n{image.shape[1]}x{image.shape[0]}{stated}"
        options = {"compression": "deflate", "photometric": "rgb", "tile": (64, 64), "metadata": None, **options}
        with tifffile.TiffWriter(path) as tiff:
            for level in pyramid(image, factors):
                tiff.write(level, description=description, **options)
        return path

    return write


@pytest.fixture(scope="session")
def write_tiff(pyramid):
    """Write a tiled TIFF whose levels are pages or SubIFDs."""

    def write(path, image, *, mpp=0.5, factors=(2, 4), subifds=False, bigtiff=False, **options):
        levels = pyramid(image, factors)
        density = {} if mpp is None else {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
        options = {"compression": "deflate", "photometric": "rgb", "tile": (64, 64), **density, **options}
        with tifffile.TiffWriter(path, bigtiff=bigtiff) as tiff:
            tiff.write(levels[0], **({"subifds": len(factors)} if subifds else {}), **options)
            for level in levels[1:]:
                tiff.write(level, subfiletype=1, **{**options, "resolution": None})
        return path

    return write


@pytest.fixture(scope="session")
def forget_tile():
    """Make the second tile of the second row of a TIFF one that was never written; returns the image without it."""

    def forget(path, image):
        with tifffile.TiffFile(path, mode="r+") as tiff:
            tag, side = tiff.pages[0].tags["TileByteCounts"], tiff.pages[0].tilewidth
            place = -(-image.shape[1] // side) + 1
            tag.overwrite([0 if index == place else count for index, count in enumerate(tag.value)])
        left = image.copy()
        left[side : 2 * side, side : 2 * side] = 255
        return left

    return forget


@pytest.fixture(scope="session")
def write_scn():
    """Write a Leica slide of 0.5 µm/px: scanned areas, {(x, y) px on the canvas: image}, each with one reduction."""

    def write(path, canvas, areas):
        elements, pages = [], [np.full((64, 64, 3), 200, np.uint8)]
        for (x, y), image in areas.items():
            height, width = image.shape[:2]
            small = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
            dimensions = "".join(
                f'<dimension sizeX="{level.shape[1]}" sizeY="{level.shape[0]}" r="{r}" ifd="{len(pages) + r}"/>'
                for r, level in enumerate((image, small))
            )
            pages += [image, small]
            nm = {"nm_x": width * 500, "nm_y": height * 500, "offset_x": x * 500, "offset_y": y * 500}
            elements.append(AREA.format(width=width, height=height, dimensions=dimensions, **nm))
        xml = SCN.format(canvas_x=canvas[0] * 500, canvas_y=canvas[1] * 500, areas="".join(elements))
        with tifffile.TiffWriter(path, bigtiff=True) as tiff:
            for index, page in enumerate(pages):
                description = xml if index == 0 else None
                tiff.write(page, photometric="rgb", tile=(64, 64), compression="jpeg", compressionargs={"level": 95},
                           resolution=(20_000, 20_000), resolutionunit="CENTIMETER", description=description,
                           metadata=None)  # fmt: skip
        return path

    return write
