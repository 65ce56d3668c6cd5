"""The label map as OME-Zarr: an image of the margin, and below it the labels with names and colours.

OME-NGFF 0.5 keeps a label image below the image that it belongs to. The pixels of the input are not copied, so the
image here is the margin: how clearly each px was won, of the very size and levels of the labels.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from histofactor.base.arrays import create_array
from histofactor.base.files import atomic_folder
from histofactor.base.text import markup_text
from histofactor.export.pyramid import level_bands, level_shapes
from histofactor.export.tables import UNASSIGNED
from histofactor.records import Color, LabelMap, Raster, Segmentation

VERSION = "0.5"
NAME = "phenotypes"  # of the label image
_CHUNK_PX = 512
_BRIGHTEST = 255  # a margin of 1

Block = NDArray[Any]


def write_ome_zarr(segmentation: Segmentation, path: str | os.PathLike[str]) -> None:
    """Write ``labels.ome.zarr``, an OME-NGFF 0.5 image with one label image (Zarr v3).

    The image is the margin, 0 … 255; its label image ``labels/phenotypes`` has label 0 where there is no tissue, and
    concept i as label i + 1, with a name and a colour each. Levels halve by nearest neighbour until the long side is at
    most 512 px; scales are in µm where the µm/px is known, else in px of the full level. Labels and margin are read
    once each, in bands. Equal segmentations give equal bytes.

    Args:
        segmentation: its labels (height, width), uint8 or uint16, are written as they are.
        path: the folder to write; replaced if it exists.

    Raises:
        OutputError: the folder cannot be written.
    """
    label_map = segmentation.label_map
    shapes = level_shapes(label_map.labels.shape)
    with atomic_folder(path) as temporary:
        image = zarr.create_group(temporary, attributes=_ome(multiscales=_multiscales("margin", label_map, shapes)))
        _write_levels(image, segmentation.margin, shapes, np.dtype(np.uint8), _brightness)
        labels = image.create_group("labels", attributes=_ome(labels=[NAME]))
        described = {
            "multiscales": _multiscales(NAME, label_map, shapes),
            "image-label": describe_labels(label_map.names, label_map.colors),
        }
        phenotypes = labels.create_group(NAME, attributes=_ome(**described))
        _write_levels(phenotypes, label_map.labels, shapes, label_map.labels.dtype, lambda block: block)


def _write_levels(
    group: zarr.Group,
    raster: Raster,
    shapes: list[tuple[int, int]],
    dtype: np.dtype[Any],
    convert: Callable[[Block], Block],
) -> None:
    """Write a raster as the arrays ``0``, ``1`` and so on of a group, a row of chunks at a time."""
    chunks = (_CHUNK_PX, _CHUNK_PX)
    arrays = [create_array(group, str(level), shape, chunks, dtype, ("y", "x")) for level, shape in enumerate(shapes)]
    tops = [0] * len(shapes)
    for level, band in level_bands(raster, _CHUNK_PX, len(shapes)):
        arrays[level][tops[level] : tops[level] + len(band)] = convert(band)
        tops[level] += len(band)


def _brightness(margin: Block) -> Block:
    return np.rint(margin * np.float32(_BRIGHTEST)).astype(np.uint8)


def _ome(**described: Any) -> dict[str, Any]:
    return {"ome": {"version": VERSION, **described}}


def _multiscales(name: str, label_map: LabelMap, shapes: list[tuple[int, int]]) -> list[dict[str, Any]]:
    """Every second px is kept from level to level, so px (0, 0) of all levels has one centre and scales suffice."""
    px = 1.0 if label_map.mpp is None else label_map.mpp
    unit = {} if label_map.mpp is None else {"unit": "micrometer"}
    scales = [[px * 2**level] * 2 for level in range(len(shapes))]
    return [
        {
            "name": name,
            "axes": [{"name": axis, "type": "space", **unit} for axis in "yx"],
            "datasets": [
                {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
                for level, scale in enumerate(scales)
            ],
            "type": "nearest",
        }
    ]


def describe_labels(names: Sequence[str], colors: Sequence[Color]) -> dict[str, Any]:
    """Names and colours of the labels 1, 2, … as OME-NGFF describes a label image."""
    rgba = ((0, 0, 0, 0), *((*color, 255) for color in colors))
    return {
        "colors": [{"label-value": label, "rgba": list(values)} for label, values in enumerate(rgba)],
        "properties": [
            {"label-value": label, "name": markup_text(name)} for label, name in enumerate((UNASSIGNED, *names))
        ],
        "source": {"image": "../../"},
    }
