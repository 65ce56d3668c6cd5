"""The label map as a pyramidal OME-TIFF."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from histofactor.export.files import atomic, stable_uuid
from histofactor.records import LabelMap, Segmentation

_TILE_PX = 256
_SMALLEST_PX = 512


def write_labels(segmentation: Segmentation, path: str | os.PathLike[str]) -> None:
    """Write ``labels.ome.tif``: label 0 is no tissue or unassigned, concept i is label i + 1.

    Tiled and zlib-compressed; lower levels are sub-images (SubIFDs) at half the size each, by nearest
    neighbour, until the long side is at most 512 px. PhysicalSizeX/Y is the working µm/px, and is absent
    where that is unknown. Equal label maps give equal bytes.

    Args:
        segmentation: its labels (height, width), uint8 or uint16, are written as they are.
        path: the file to write.

    Raises:
        OutputError: the file cannot be written.
    """
    label_map = segmentation.label_map
    levels = list(_pyramid(label_map.labels[:]))
    with atomic(path) as temporary, tifffile.TiffWriter(temporary, ome=True, bigtiff=_is_big(levels)) as tiff:
        for index, level in enumerate(levels):
            tiff.write(
                level,
                subifds=len(levels) - 1 if index == 0 else None,
                subfiletype=1 if index else 0,
                tile=(_TILE_PX, _TILE_PX),
                compression="zlib",
                photometric="minisblack",
                metadata=_ome(label_map) if index == 0 else None,
                **_resolution(label_map.mpp, 2**index),
            )


def _pyramid(labels: NDArray[np.unsignedinteger[Any]]) -> Iterator[NDArray[np.unsignedinteger[Any]]]:
    yield labels
    while max(labels.shape) > _SMALLEST_PX:
        labels = labels[::2, ::2]
        yield labels


def _ome(label_map: LabelMap) -> dict[str, Any]:
    """Return what tifffile turns into OME-XML."""
    digest = hashlib.sha256(np.ascontiguousarray(label_map.labels[:]).data).hexdigest()
    uuid = stable_uuid("labels", label_map.labels.shape, label_map.labels.dtype, label_map.mpp, digest)
    metadata: dict[str, Any] = {"axes": "YX", "Name": "labels", "UUID": str(uuid)}
    if label_map.mpp is not None:
        metadata |= dict.fromkeys(("PhysicalSizeX", "PhysicalSizeY"), label_map.mpp)
        metadata |= dict.fromkeys(("PhysicalSizeXUnit", "PhysicalSizeYUnit"), "µm")
    return metadata


def _is_big(levels: list[NDArray[np.unsignedinteger[Any]]]) -> bool:
    """Whether the file could pass the 4 GiB of classic TIFF even if nothing compresses."""
    return sum(level.nbytes for level in levels) > 2**32 - 2**26


def _resolution(mpp: float | None, downsample: int) -> dict[str, Any]:
    if mpp is None:
        return {}
    per_cm = 1e4 / (mpp * downsample)
    return {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
