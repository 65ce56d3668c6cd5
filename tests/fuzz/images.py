"""Readers of images, of slides and of tissue masks."""

import struct
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image

from fuzz import crafted_images as crafted
from fuzz.case import Target, without_running
from fuzz.pictures import APERIO, SCANNED, mend_png, picture
from histofactor.errors import ResolutionError
from histofactor.records import Region
from histofactor.slides.inputs import group_inputs, grouping_notes
from histofactor.slides.reader import open_slide
from histofactor.slides.slide_parts import slide_name
from histofactor.slides.thumbnail import read_thumbnail
from histofactor.slides.tissue import tissue_mask
from histofactor.slides.user_mask import read_mask

THUMBNAIL_PX = 1000  # the smallest that is made of a whole input
MASK_SHAPE = (24, 32)
_CLASS, _SERIES, _STUDY = 0x00080016, 0x0020000E, 0x0020000D


def read_image(path: Path) -> None:
    """Open an input and read what segmenting reads of it: a thumbnail, its tissue, a window, what goes with it."""
    try:
        slide = open_slide(path)
    except ResolutionError:
        slide = open_slide(path, source_mpp=0.5)
    with slide:
        width, height = slide.info.size
        scale = min(1.0, THUMBNAIL_PX / max(width, height))
        thumbnail, _ = read_thumbnail(slide, (max(1, round(width * scale)), max(1, round(height * scale))))
        tissue_mask(thumbnail, slide.info.mpp and slide.info.mpp / scale)
        side = min(width, height, 48)
        slide.read(Region((width - side) / 2, (height - side) / 2, side, side, (side, side)))
        for name in slide.info.associated:
            slide.read_associated(name)
    slide_name(path)


def read_tissue_mask(path: Path) -> None:
    """Read a mask of a slide."""
    read_mask(path, MASK_SHAPE)


def read_folder(path: Path) -> None:
    """List the slides of a folder, whose files may be parts of slides."""
    grouping_notes(group_inputs([path]))
    for file in path.iterdir():
        slide_name(file)


def make_images(folder: Path) -> None:
    """One small file of every kind of plain image."""
    rgb = picture(24, 20)
    image, grey = Image.fromarray(rgb), Image.fromarray(rgb[..., 0])
    exif = Image.Exif()
    exif[274] = 6
    image.save(folder / "rgb.png", dpi=(25_400, 25_400), exif=exif)
    image.quantize(8).save(folder / "palette.png", transparency=0)
    image.convert("RGBA").save(folder / "alpha.png")
    cv2.imwrite(str(folder / "deep.png"), rgb.astype(np.uint16) * 257)
    Image.fromarray(rgb[..., 0].astype(np.uint16) * 257).save(folder / "grey16.png")
    image.save(folder / "a.jpg", dpi=(25_400, 25_400), exif=exif)
    image.save(folder / "progressive.jpg", progressive=True)
    image.convert("CMYK").save(folder / "cmyk.jpg")
    for name in ("a.bmp", "a.gif", "a.webp", "a.jp2", "a.ppm"):
        image.save(folder / name)
    image.save(folder / "lossless.webp", lossless=True)
    grey.save(folder / "grey.bmp")
    grey.save(folder / "grey.jp2")
    image.save(folder / "lzw.tif", compression="tiff_lzw", dpi=(25_400, 25_400))
    image.quantize(8).save(folder / "palette.tif")
    grey.convert("1").save(folder / "two.tif", compression="group4")
    tifffile.imwrite(folder / "deep.tif", rgb.astype(np.uint16) * 257, photometric="rgb", compression="deflate")
    tifffile.imwrite(folder / "planes.tif", np.moveaxis(rgb, 2, 0), photometric="rgb", planarconfig="separate")


def make_slides(folder: Path) -> None:
    """Small tiled files, as scanners and other programs write them."""
    levels = [picture(96, 80), picture(48, 40), picture(24, 20)]
    tiles = {"tile": (32, 32)}
    for name, compression in (("a.svs", "deflate"), ("jpeg.svs", "jpeg"), ("a.tif", "jpeg"), ("j2k.tif", "jpeg2000")):
        with tifffile.TiffWriter(folder / name, bigtiff=name == "a.tif") as tiff:
            for number, level in enumerate(levels):
                options = SCANNED | tiles | {"compression": compression, "subfiletype": int(number > 0)}
                if name.endswith("svs"):
                    options |= {"description": APERIO.format(96, 80), "subfiletype": 0}
                tiff.write(level, **options)
            if name == "a.svs":
                label = {"description": "Aperio Image Library v11.2.1 \r\nlabel 24x20", "metadata": None}
                tiff.write(levels[2], photometric="rgb", subfiletype=1, **label)
    ome = {"axes": "YXS", "Name": "scene", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5}
    with tifffile.TiffWriter(folder / "a.ome.tif", ome=True) as tiff:
        tiff.write(levels[0], subifds=2, metadata=ome, photometric="rgb", compression="lzw", **tiles)
        for level in levels[1:]:
            tiff.write(level, subfiletype=1, photometric="rgb", compression="lzw", **tiles)
        tiff.write(levels[1], metadata={"axes": "YXS", "Name": "macro"}, photometric="rgb")
    channels = np.moveaxis(levels[0], 2, 0)
    names = {"axes": "CYX", "Channel": {"Name": ["red", "green", "blue"]}, "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(folder / "channels.ome.tif", channels, ome=True, photometric="minisblack", metadata=names, **tiles)
    rows = {"rowsperstrip": 7, "compression": "zlib", "predictor": True}
    tifffile.imwrite(folder / "strips.tif", levels[0], **(SCANNED | rows))


def make_masks(folder: Path) -> None:
    """A mask of tissue as every kind of file that is taken for one."""
    mask = np.zeros(MASK_SHAPE, np.uint8)
    mask[4:20, 5:25] = 255
    grey = Image.fromarray(mask)
    grey.save(folder / "grey.png")
    grey.convert("1").save(folder / "two.png")
    grey.convert("P").save(folder / "palette.png")
    grey.convert("1").save(folder / "two.tif", compression="group4")
    grey.save(folder / "lzw.tif", compression="tiff_lzw")
    for name, options in (
        ("tiles.tif", {"tile": (16, 16), "compression": "deflate"}),
        ("jpeg.tif", {"tile": (16, 16), "compression": "jpeg"}),
        ("white.tif", {"photometric": "miniswhite"}),
    ):
        tifffile.imwrite(folder / name, mask, **({"photometric": "minisblack"} | options))


def make_folders(folder: Path) -> None:
    """A folder with two DICOM slides, one of Hamamatsu's and one of 3DHISTECH's, as far as their headers go."""
    scans = folder / "scans"
    (scans / "d").mkdir(parents=True)
    for number, (series, kind) in enumerate(
        (("1.2", "VOLUME"), ("1.2", "VOLUME"), ("1.3", "LABEL"), ("1.9", "VOLUME"))
    ):
        (scans / f"{number}.dcm").write_bytes(dicom(series, kind, 100 >> number))
    index = "[Virtual Microscope Specimen]\r\nNoLayers=1\r\nImageFile=b.jpg\r\nMapFile=m.jpg\r\n"
    (scans / "c.vms").write_text(index)
    for name in ("b.jpg", "m.jpg", "d.mrxs"):
        (scans / name).write_bytes(b"\xff\xd8\xff\xe0")
    (scans / "d" / "Slidedat.ini").write_text("[GENERAL]\n")


def dicom(series: str, kind: str, side: int) -> bytes:
    """The beginning of a DICOM file, PS3.10, explicit little endian."""

    def element(tag: int, kind: bytes, value: bytes) -> bytes:
        value += b" " * (len(value) % 2)
        return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, kind, len(value)) + value

    whole = b"1.2.840.10008.5.1.4.1.1.77.1.6"
    return bytes(128) + b"DICM" + b"".join(
        (
            element(0x00020010, b"UI", b"1.2.840.10008.1.2.1\0"),
            element(0x00080008, b"CS", f"ORIGINAL\\PRIMARY\\{kind}\\NONE".encode()),
            element(_CLASS, b"UI", whole),
            element(_STUDY, b"UI", b"1.5"),
            element(_SERIES, b"UI", series.encode()),
            element(0x00480006, b"UL", struct.pack("<I", side)),
            element(0x00480007, b"UL", struct.pack("<I", side)),
        )
    )  # fmt: skip


TARGETS = (
    Target(
        "images",
        make_images,
        without_running(read_image),
        mend=mend_png,
        crafted={
            "eps": lambda folder: crafted.eps(folder / "eps.png"),
            **{
                name: lambda folder, name=name: crafted.bomb(folder, name)
                for name in ("a.png", "a.jpg", "a.jp2", "lie.jp2")
            },
            "text bomb": crafted.text_bomb,
            **{name: crafted.named(name) for name in ("...png", "..png", "a\nb.png", "\udcff.png", "e\x1b[31m.png")},
        },
    ),
    Target(
        "slides",
        make_slides,
        read_image,
        crafted={
            "loop": crafted.directory_to_itself,
            "many": crafted.many_directories,
            "description": crafted.long_description,
            "never written": crafted.never_written,
            "short table": crafted.short_table,
            "tall": crafted.tall,
            "odd properties": crafted.odd_properties,
        },
    ),
    Target(
        "masks",
        make_masks,
        without_running(read_tissue_mask),
        mend=mend_png,
        crafted={
            "eps": lambda folder: crafted.eps(folder / "eps.png"),
            "a.png": lambda folder: crafted.bomb(folder, "a.png"),
            "never written": crafted.never_written,
            "loop": crafted.directory_to_itself,
        },
    ),
    Target("folders", make_folders, read_folder),
)
