"""Zarr arrays that tell when a part of them is missing or not as it was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import DTypeLike
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec

_CODECS = ("bytes", "zstd", "crc32c")  # of every array that is written; others are not read


def create_array(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: DTypeLike,
    dimension_names: tuple[str, ...] | None = None,
) -> zarr.Array[Any]:
    """Make an array of which every chunk is written, also one of zeros, and ends with its checksum (CRC-32C)."""
    return group.create_array(
        name,
        shape=shape,
        chunks=chunks,
        dtype=dtype,
        serializer=BytesCodec(),
        compressors=(ZstdCodec(level=0), Crc32cCodec()),
        config={"write_empty_chunks": True},
        dimension_names=dimension_names,
    )


def open_array(group: zarr.Group, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
    """Open an array that ``create_array`` made.

    Args:
        group: where it lies.
        name: its name there.
        shape, dtype: what it must have.

    Raises:
        ValueError: it is another kind of array, or chunks of it are missing.
        OSError, KeyError, TypeError: it is not there, or its description cannot be read.
    """
    array = group[name]
    if not isinstance(array, zarr.Array):
        raise TypeError(f"{name} is no array")
    metadata: Any = array.metadata.to_dict()
    codecs = tuple(codec["name"] for codec in metadata["codecs"])
    if (array.shape, array.dtype, codecs) != (shape, np.dtype(dtype), _CODECS):
        raise ValueError(f"{name} is {array.dtype} {array.shape} by {', '.join(map(str, codecs))}")
    root: Any = group.store
    files = [path for path in Path(root.root, array.path).rglob("*") if path.is_file()]
    few = len(files) < array.nchunks  # then nobody needs to look for each of them: there may be billions
    missing = array.nchunks - (len(files) if few else array.nchunks_initialized)
    if missing:
        raise ValueError(f"{missing} of {array.nchunks} chunks of {name} are missing")
    return array
