"""The label map as a pyramidal OME-TIFF."""

from __future__ import annotations

import hashlib
import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from xml.etree import ElementTree

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from histofactor.base.files import atomic, stable_uuid
from histofactor.base.text import markup_text
from histofactor.base.workers import map_ahead
from histofactor.errors import ImageError
from histofactor.export.pyramid import level_bands, level_shapes
from histofactor.export.tables import UNASSIGNED, hex_color
from histofactor.records import Color, LabelMap, Raster
from histofactor.slides.damaged import DAMAGED
from histofactor.slides.tiff_directory import OpenTiff

if TYPE_CHECKING:
    from hashlib import _Hash

_TILE_PX = 256
_NAMES, _COLORS = "histofactor/labels/names", "histofactor/labels/colors"  # namespaces of annotations
_COLOR_MAP = 320  # tag
_NO_UUID = "00000000-0000-0000-0000-000000000000"  # holds the place until the labels have been read


class Labelled(Protocol):
    """A label map with names and colours: a ``Segmentation``, or as much of one."""

    @property
    def label_map(self) -> LabelMap:
        """The labels."""


@dataclass(frozen=True, slots=True)
class LabelLegend:
    """What labels are called.

    Attributes:
        names: by label, 0 among them.
        colors: by label, without 0.
        mpp: µm per px of the full level, or None where that is unknown.
    """

    names: Mapping[int, str]
    colors: Mapping[int, Color]
    mpp: float | None = None


def write_labels(segmentation: Labelled, path: str | os.PathLike[str]) -> None:
    """Write ``labels.ome.tif``: label 0 is no tissue or unassigned, concept i is label i + 1.

    Tiled and zlib-compressed; lower levels are sub-images (SubIFDs) at half the size each, by nearest
    neighbour, until the long side is at most 512 px. PhysicalSizeX/Y is the working µm/px, and is absent
    where that is unknown. The labels are read once, in bands; only the packed lower levels are held.
    Names and colours lie in two map annotations of the OME-XML, by label, see ``read_legend``. Labels of 8 bits have a
    colour map too (TIFF tag 320); the image is grey for all that, since a palette image is turned to colours on reading
    by some programs, which then see no labels. Equal label maps give equal bytes.

    Args:
        segmentation: its labels (height, width), uint8 or uint16, are written as they are.
        path: the file to write.

    Raises:
        OutputError: the file cannot be written.
    """
    label_map = segmentation.label_map
    labels, shapes = label_map.labels, level_shapes(label_map.labels.shape)
    digest, lower = hashlib.sha256(), [list[bytes]() for _ in shapes[1:]]
    with atomic(path) as temporary:
        with tifffile.TiffWriter(temporary, ome=True, bigtiff=_is_big(shapes, labels.dtype)) as tiff:
            for index, (shape, packed) in enumerate(
                zip(shapes, (_packed_tiles(labels, digest, lower), *lower), strict=True)
            ):
                tiff.write(
                    iter(packed),
                    shape=shape,
                    dtype=labels.dtype,
                    subifds=len(lower) if index == 0 else None,
                    subfiletype=1 if index else 0,
                    tile=(_TILE_PX, _TILE_PX),
                    compression="zlib",
                    photometric="minisblack",
                    metadata=_ome(label_map) if index == 0 else None,
                    extratags=_color_map(label_map) if index == 0 else (),
                    **_resolution(label_map.mpp, 2**index),
                )
        known = (label_map.names, label_map.colors, labels.shape, labels.dtype, label_map.mpp, digest.hexdigest())
        _set_uuid(temporary, str(stable_uuid("labels", *known)))


def read_legend(path: str | os.PathLike[str]) -> LabelLegend:
    """Read the names and colours in ``labels.ome.tif``; none where an earlier version wrote it.

    Args:
        path: a file that ``write_labels`` wrote.

    Raises:
        ImageError: the file is missing, damaged or no label map.
    """
    with closing(_open(Path(path))) as file, _told(path):
        text = file.tiff.ome_metadata
        if text is None:
            raise ValueError("no OME-XML")
        names, colors = _annotation(text, _NAMES), _annotation(text, _COLORS)
        return LabelLegend(
            {int(label): name for label, name in names.items()},
            {int(label): _color(color) for label, color in colors.items()},
            _mpp(text),
        )


@contextmanager
def open_labels(path: str | os.PathLike[str]) -> Iterator[Raster]:
    """Open ``labels.ome.tif`` to read its full level by slices; only the tiles under a slice are unpacked.

    Args:
        path: a file that ``write_labels`` wrote.

    Yields:
        The labels (height, width), until the block ends.

    Raises:
        ImageError: the file is missing, damaged or no label map; reading the labels raises it too.
    """
    with closing(_open(Path(path))) as file:
        yield _level(file, 0, path)


def open_levels(path: str | os.PathLike[str]) -> list[Raster]:
    """Open all levels of ``labels.ome.tif``, the full one first; the file is open as long as any of them is in use.

    Args:
        path: a file that ``write_labels`` wrote.

    Raises:
        ImageError: as ``open_labels``.
    """
    file = _open(Path(path))
    weakref.finalize(file, file.tiff.close)
    with _told(path):
        count = len(file.tiff.series[0].levels)
    return [_level(file, level, path) for level in range(count)]


def _level(file: OpenTiff, level: int, path: str | os.PathLike[str]) -> _Stored:
    import zarr

    with _told(path):
        labels = zarr.open_array(file.tiff.aszarr(series=0, level=level), mode="r")
    if labels.ndim != 2 or labels.dtype not in (np.uint8, np.uint16):
        got = f"{labels.dtype} {labels.shape}"
        raise ImageError(f"{path} is no label map", expected="uint8 or uint16 (height, width)", got=got)
    return _Stored(file, labels, path)


class _Stored:
    """Labels on disk, whose damage is told by one error; see ``records.Raster``."""

    def __init__(self, file: OpenTiff, labels: Any, path: str | os.PathLike[str]) -> None:
        self._file = file  # which is let go with the last of its levels
        self._labels, self._path = labels, path
        self.shape: tuple[int, int] = labels.shape
        self.dtype: np.dtype[Any] = labels.dtype

    def __getitem__(self, index: Any, /) -> Any:
        with _told(self._path):
            return self._labels[index]


def _open(path: Path) -> OpenTiff:
    with _told(path):
        return OpenTiff(path)


@contextmanager
def _told(path: str | os.PathLike[str]) -> Iterator[None]:
    """What reading can fail with, as one error that names the file."""
    try:
        yield
    except ImageError:
        raise
    except (*DAMAGED, MemoryError) as error:
        got = f"{type(error).__name__}: {error}"[:500]
        raise ImageError(f"cannot read the labels {path}", expected="a file that histofactor wrote", got=got) from error


def _packed_tiles(labels: Raster, digest: _Hash, lower: list[list[bytes]]) -> Iterator[bytes]:
    """Yield the tiles of the full level; on the way ``digest`` sees every px and ``lower`` gets its levels' tiles."""
    for level, band in level_bands(labels, _TILE_PX, len(lower) + 1):
        packed = map_ahead(_pack, (band[:, left : left + _TILE_PX] for left in range(0, band.shape[1], _TILE_PX)))
        if level:
            lower[level - 1].extend(packed)
        else:
            digest.update(np.ascontiguousarray(band).data)
            yield from packed


def _pack(part: NDArray[np.unsignedinteger[Any]]) -> bytes:
    tile = np.zeros((_TILE_PX, _TILE_PX), part.dtype)
    tile[: part.shape[0], : part.shape[1]] = part
    return bytes(imagecodecs.deflate_encode(tile.tobytes()))


def _ome(label_map: LabelMap) -> dict[str, Any]:
    """Return what tifffile turns into OME-XML."""
    metadata: dict[str, Any] = {"axes": "YX", "Name": "labels", "UUID": _NO_UUID}
    metadata["MapAnnotation"] = _annotated(label_map)
    if label_map.mpp is not None:
        metadata |= dict.fromkeys(("PhysicalSizeX", "PhysicalSizeY"), label_map.mpp)
        metadata |= dict.fromkeys(("PhysicalSizeXUnit", "PhysicalSizeYUnit"), "µm")
    return metadata


def _annotated(label_map: LabelMap) -> list[dict[str, Any]]:
    """Names and colours as map annotations."""
    names = {str(label): markup_text(name) for label, name in enumerate((UNASSIGNED, *label_map.names))}
    colors = {str(label): hex_color(color) for label, color in enumerate(label_map.colors, 1)}
    return [{"Namespace": _NAMES, "Value": names}, {"Namespace": _COLORS, "Value": colors}]


def _annotation(text: str, namespace: str) -> dict[str, str]:
    """A map annotation of OME-XML."""
    if "<!DOCTYPE" in text:
        raise ValueError("OME-XML that defines entities")
    found = ElementTree.fromstring(text).iterfind(f".//{{*}}MapAnnotation[@Namespace='{namespace}']/{{*}}Value/{{*}}M")
    return {one.attrib["K"]: one.text or "" for one in found}


def _mpp(text: str) -> float | None:
    """The µm/px that OME-XML, which has been read before, states."""
    stated = ElementTree.fromstring(text).find(".//{*}Pixels[@PhysicalSizeX]")
    return None if stated is None else float(stated.attrib["PhysicalSizeX"])


def _color(text: str) -> Color:
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue


def _color_map(label_map: LabelMap) -> tuple[tuple[int, str, int, tuple[int, ...], bool], ...]:
    """The colour map of 8-bit labels: 256 reds, greens and blues of 16 bits; white for label 0."""
    if label_map.labels.dtype != np.uint8:
        return ()
    colors = np.zeros((256, 3), np.uint16)
    colors[0] = 255
    colors[1 : len(label_map.colors) + 1] = label_map.colors
    return ((_COLOR_MAP, "H", colors.size, tuple((colors.T * 257).ravel().tolist()), True),)


def _set_uuid(path: Path, uuid: str) -> None:
    """Put the UUID where its place was held."""
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tag = tiff.pages.first.tags["ImageDescription"]
        tag.overwrite(tag.value.replace(_NO_UUID, uuid).encode())


def _is_big(shapes: list[tuple[int, int]], dtype: np.dtype[Any]) -> bool:
    """Whether the file could pass the 4 GiB of classic TIFF even if nothing compresses."""
    return sum(height * width * dtype.itemsize for height, width in shapes) > 2**32 - 2**26


def _resolution(mpp: float | None, downsample: int) -> dict[str, Any]:
    if mpp is None:
        return {}
    per_cm = 1e4 / (mpp * downsample)
    return {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
