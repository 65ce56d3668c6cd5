"""The dense features of one input written down while it is encoded; ``feature_file`` says what lies where."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import zarr

import histofactor
from histofactor.base.arrays import create_array
from histofactor.base.clock import Watch
from histofactor.base.files import atomic_folder
from histofactor.errors import ImageError
from histofactor.records import SlideInfo
from histofactor.segmentation.encoding import BAND_ROWS, Planned, encode_features
from histofactor.segmentation.feature_file import FORMAT, MAPS
from histofactor.segmentation.plan import Plan, make_plan
from histofactor.segmentation.setup import Setup
from histofactor.slides.reader import Slide

DTYPES = ("float16", "float32")


def write_features(
    slide: Slide, setup: Setup, path: Path, *, recipe: str, dtype: str = "float16", watch: Watch | None = None
) -> int:
    """Encode an open input and write its features band by band; the folder is whole or not there.

    Args:
        slide: the input.
        setup: how tokens come about.
        path: folder to write.
        recipe: hash of all that the features depend on.
        dtype: of ``tokens``.
        watch: who is told.

    Returns:
        Number of tissue tokens.

    Raises:
        ImageError: features are too large for float16.
        OutputError: the folder cannot be written.
    """
    plan, info, n = make_plan(slide, setup), slide.info, 0
    (width, height), dim = plan.frame.g_size, setup.encoder.spec.dim
    with atomic_folder(path) as temporary:
        group = zarr.create_group(temporary, zarr_format=3, overwrite=True)
        tokens = create_array(group, "tokens", (height, width, dim), (BAND_ROWS, min(width, 256), dim), dtype)
        maps = {
            name: create_array(group, name, (height, width), (BAND_ROWS, width), kind) for name, kind in MAPS.items()
        }
        small = create_array(group, "thumbnail", plan.thumbnail.shape, plan.thumbnail.shape, np.uint8)
        small[:] = plan.thumbnail.astype(np.uint8)
        for part in encode_features(Planned(slide, setup, plan), watch):
            rows, kept = slice(*part.g_rows), part.B * part.tissue[..., None]
            with np.errstate(over="ignore"):
                tokens[rows] = kept.astype(dtype)
            if kept.max(initial=0) > np.finfo(dtype).max:
                raise ImageError(f"the features of {info.path} do not fit into {dtype}", mend="write float32")
            n += int(part.tissue.sum())
            for name, values in (("sq_norms", part.sq_norms), ("tissue", part.tissue), ("unreadable", part.unreadable)):
                maps[name][rows] = values.astype(MAPS[name])
        group.attrs["histofactor"] = _header(info, setup, plan, recipe)
    return n


def _header(info: SlideInfo, setup: Setup, plan: Plan, recipe: str) -> Any:
    encoder, frame = setup.encoder, plan.frame
    stated = {
        "format": FORMAT,
        "version": histofactor.__version__,
        "recipe": recipe,
        "input": None if info.path is None else {"name": info.path.name, "path": str(info.path.resolve())},
        "slide": {"size": info.size, "mpp": info.mpp, "reader": info.reader, "notes": info.notes},
        "grid": {
            "origin_l0_px": [0, 0],
            "stride_l0_px": [frame.stride_px * one for one in frame.l0_per_px],
            "mpp": frame.t_mpp,
        },
        "encoder": asdict(encoder.spec),
        "key": asdict(encoder.spec.key),
        "inference": {"precision": encoder.precision, "repaired": encoder.repaired, "notes": encoder.notes},
        "setup": {"mpp": setup.mpp, "views": setup.views, "shift_px": setup.shift_px, "tissue": setup.tissue.find},
    }
    return json.loads(json.dumps(stated))
