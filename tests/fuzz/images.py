"""Readers of images, of slides and of tissue masks."""

import struct
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image

from fuzz.case import Target
from histofactor.errors import ResolutionError
from histofactor.records import Region
from histofactor.slides.inputs import group_inputs, grouping_notes
from histofactor.slides.reader import open_slide
from histofactor.slides.slide_parts import slide_name
from histofactor.slides.thumbnail import read_thumbnail
from histofactor.slides.tissue import tissue_mask
from histofactor.slides.user_mask import read_mask

SIDE = 31_000  # that bombs claim
THUMBNAIL_PX = 1000  # the smallest that is made of a whole input
MASK_SHAPE = (24, 32)
APERIO = "Aperio Image Library v11.2.1 \r\n{}x{}|AppMag = 20|MPP = 0.5"
SCANNED = {"photometric": "rgb", "metadata": None, "resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
_CLASS, _SERIES, _STUDY = 0x00080016, 0x0020000E, 0x0020000D


def picture(width: int, height: int) -> np.ndarray:
    """(height, width, 3) noise in the colours of tissue."""
    noise = np.random.default_rng(0).integers(0, 60, (height, width, 3))
    return (noise + np.array([170, 90, 150])).astype(np.uint8)


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


def mend_png(path: Path) -> None:
    """Make the checksums of the chunks of a PNG right again; other files stay as they are."""
    content = bytearray(path.read_bytes())
    at = 8
    while content[:4] == b"\x89PNG" and at + 12 <= len(content):
        stop = at + 8 + int.from_bytes(content[at : at + 4])
        if stop + 4 > len(content):
            break
        content[stop : stop + 4] = zlib.crc32(content[at + 4 : stop]).to_bytes(4)
        at = stop + 4
    path.write_bytes(content)


def png(width: int, height: int, kind: int = 2, data: bytes = b"", *more: tuple[bytes, bytes]) -> bytes:
    """A PNG of a size, a kind of colours and packed px, whatever they are."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)),
        *more,
        (b"IDAT", data),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(held).to_bytes(4) + name + held + zlib.crc32(name + held).to_bytes(4) for name, held in chunks
    )


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _eps(path: Path) -> Path:
    """A program for Ghostscript, which would leave a file behind."""
    program = (
        f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 24\n({path.parent}/ran) (w) file closefile showpage\n%%EOF"
    )
    return _written(path, program.encode())


def _read_without_running(read):
    """A reader that must leave nothing beside its input."""

    def watched(path: Path) -> None:
        try:
            read(path)
        finally:
            if (path.parent / "ran").exists():
                raise RuntimeError("a program of the input was run")

    return watched


def _bomb(folder: Path, name: str) -> Path:
    """A PNG, JPEG or JPEG 2000 of some kB that claims 31,000 px a side."""
    path = folder / name
    if path.suffix == ".png":
        return _written(path, png(SIDE, SIDE, 2, zlib.compress(bytes(10**6))))
    Image.new("RGB", (64, 64)).save(path)
    data = bytearray(path.read_bytes())
    if path.suffix == ".jpg":
        struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, SIDE, SIDE)
        return _written(path, bytes(data))
    codestream = data.index(b"\xff\x4f\xff\x51")
    for at in (8, 24):
        struct.pack_into(">4I", data, codestream + at, SIDE, SIDE, 0, 0)
    if name != "lie.jp2":  # whose box still says 64 × 64 px
        struct.pack_into(">II", data, data.index(b"ihdr") + 4, SIDE, SIDE)
    return _written(path, bytes(data))


def _text_bomb(folder: Path) -> Path:
    text = b"Comment\0\0" + zlib.compress(bytes(2**28))
    return _written(folder / "text.png", png(32, 24, 2, zlib.compress(bytes(97 * 24)), (b"zTXt", text)))


def _named(name: str):
    def write(folder: Path) -> Path:
        Image.fromarray(picture(32, 24)).save(folder / name, "PNG")
        return folder / name

    return write


def _directory_to_itself(folder: Path) -> Path:
    tifffile.imwrite(folder / "loop.tif", picture(32, 24), photometric="rgb", metadata=None)
    data = bytearray((folder / "loop.tif").read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    (tags,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * tags, first)
    return _written(folder / "loop.tif", bytes(data))


def _many_directories(folder: Path) -> Path:
    directory = struct.pack("<HHHI2H", 1, 256, 3, 1, 32, 0)
    length = len(directory) + 4
    parts = (directory + struct.pack("<I", 8 + length * (n + 1)) for n in range(50_000))
    return _written(folder / "many.tif", b"II*\0\x08\0\0\0" + b"".join(parts))


def _long_description(folder: Path) -> Path:
    for text in ("<OME><Image><Pixels " + "SizeX=" * 30_000, "Aperio" + "|MPP =" * 30_000):
        path = folder / f"{len(text)}.tif"
        tifffile.imwrite(path, picture(96, 80), description=text, tile=(32, 32), photometric="rgb", metadata=None)
    return path


def _never_written(folder: Path) -> Path:
    size = {"shape": (60_000, 60_000, 3), "dtype": np.uint8, "tile": (512, 512)}
    empty = (b"" for _ in range(118**2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tifffile.imwrite(folder / "empty.tif", empty, **size, **SCANNED, compression="deflate")
    return folder / "empty.tif"


def _short_table(folder: Path) -> Path:
    path = folder / "short.tif"
    tifffile.imwrite(path, picture(96, 80), tile=(32, 32), **SCANNED)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        for tag in ("TileOffsets", "TileByteCounts"):
            struct.pack_into("<I", data, tiff.pages[0].tags[tag].offset + 4, 3)
    return _written(path, bytes(data))


def _tall(folder: Path) -> Path:
    """A few tiles that are said to be the top of half a billion rows."""
    path = folder / "tall.tif"
    tifffile.imwrite(path, picture(96, 80), tile=(32, 32), **SCANNED)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags["ImageLength"].overwrite(2**29, dtype="I")
    return path


def _odd_properties(folder: Path) -> Path:
    path = folder / "a.svs"
    text = APERIO.format(96, 80).encode().replace(b"AppMag", b"App\xff\xfe")
    options = SCANNED | {"tile": (32, 32), "description": text}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(picture(96, 80), **options)
    return path


TARGETS = (
    Target(
        "images",
        make_images,
        _read_without_running(read_image),
        mend=mend_png,
        crafted={
            "eps": lambda folder: _eps(folder / "eps.png"),
            **{name: lambda folder, name=name: _bomb(folder, name) for name in ("a.png", "a.jpg", "a.jp2", "lie.jp2")},
            "text bomb": _text_bomb,
            **{name: _named(name) for name in ("...png", "..png", "a\nb.png", "\udcff.png", "e\x1b[31m.png")},
        },
    ),
    Target(
        "slides",
        make_slides,
        read_image,
        crafted={
            "loop": _directory_to_itself,
            "many": _many_directories,
            "description": _long_description,
            "never written": _never_written,
            "short table": _short_table,
            "tall": _tall,
            "odd properties": _odd_properties,
        },
    ),
    Target(
        "masks",
        make_masks,
        _read_without_running(read_tissue_mask),
        mend=mend_png,
        crafted={
            "eps": lambda folder: _eps(folder / "eps.png"),
            "a.png": lambda folder: _bomb(folder, "a.png"),
            "never written": _never_written,
            "loop": _directory_to_itself,
        },
    ),
    Target("folders", make_folders, read_folder),
)
