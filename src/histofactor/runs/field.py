"""The field that the page of a study shows at every K: chosen where most concepts meet, kept with its features.

OUT/concepts.field.safetensors    its px and features, so that it follows whatever becomes of the concepts
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from histofactor.base.files import atomic, remove
from histofactor.concepts.bank.tensor_file import parse_json, read_tensors
from histofactor.errors import BankError
from histofactor.records import EncoderKey
from histofactor.segmentation.field import Field

_NOTE = "field"


def field_of(bank: Path) -> Path:
    """Where the field of a bank is kept."""
    return bank.with_suffix(".field.safetensors")


def keep_field(field: Field | None, path: Path) -> None:
    """Write a field in place of whatever was kept; None keeps none.

    Raises:
        OutputError: the file cannot be written.
    """
    if field is None:
        remove(path, inside=path.parent)
        return
    tensors: dict[str, NDArray[Any]] = {
        "features": field.features.astype(np.float16),
        "rgb": field.rgb,
        "tissue": field.tissue,
    }
    note = {"stride_px": field.stride_px, "mpp": field.mpp, "encoder": asdict(field.encoder)}
    with atomic(path) as temporary:
        temporary.write_bytes(save(tensors, {_NOTE: json.dumps(note)}))


def load_field(path: Path, encoder: EncoderKey) -> Field | None:
    """Read a field; None where there is none, or it is of another encoder.

    Raises:
        BankError: the file is damaged.
    """
    if not path.exists():
        return None
    metadata, tensors = read_tensors(path)
    try:
        note = parse_json(metadata[_NOTE])
        key, mpp, stride = EncoderKey(**note["encoder"]), note["mpp"], int(note["stride_px"])
        features, rgb, tissue = (tensors[name] for name in ("features", "rgb", "tissue"))
        h, w, _ = features.shape
        fits = tissue.shape == (h, w) and (h * stride >= rgb.shape[0] > 0 < rgb.shape[1] <= w * stride)
        kinds = features.dtype == np.float16 and rgb.dtype == np.uint8 and tissue.dtype == np.bool_
        if not (fits and kinds and rgb.shape[2:] == (3,) and np.isfinite(features).all()):
            raise ValueError(f"features {features.shape}, px {rgb.shape}, tissue {tissue.shape}")
        if not (mpp is None or 0 < float(mpp) < 1e6):
            raise ValueError(f"{mpp!r:.40} µm/px")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BankError(
            f"{path} is no field of a study",
            expected="px and features that histofactor wrote",
            got=f"{error!r:.80}",
            mend="delete it: the page of the concepts is written without it",
        ) from error
    if key != encoder:
        return None
    return Field(
        rgb=rgb,
        features=features.astype(np.float32),
        tissue=tissue,
        stride_px=stride,
        mpp=mpp,
        encoder=key,
    )
