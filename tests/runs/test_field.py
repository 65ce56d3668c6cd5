"""The field of a study is kept, read again, and refused where it is damaged."""

import re
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from histofactor.errors import BankError
from histofactor.runs.field import field_of, keep_field, load_field
from histofactor.segmentation.field import Field


@pytest.fixture
def field(tiny_encoder):
    rng = np.random.default_rng(0)
    return Field(
        rgb=rng.integers(0, 256, (30, 40, 3), np.uint8),
        features=rng.random((4, 5, 12)).astype(np.float16).astype(np.float32),
        tissue=rng.random((4, 5)) < 0.5,
        stride_px=8,
        mpp=0.5,
        encoder=tiny_encoder.spec.key,
    )


def test_what_is_kept_is_read_again(field, tiny_encoder, tmp_path):
    path = field_of(tmp_path / "concepts.safetensors")
    assert path.name == "concepts.field.safetensors"
    assert load_field(path, tiny_encoder.spec.key) is None
    keep_field(field, path)
    again = load_field(path, tiny_encoder.spec.key)
    for name in ("rgb", "features", "tissue"):
        assert np.array_equal(getattr(again, name), getattr(field, name))
    assert (again.stride_px, again.mpp, again.encoder) == (8, 0.5, field.encoder)
    before = path.read_bytes()
    keep_field(field, path)
    assert path.read_bytes() == before
    assert load_field(path, replace(field.encoder, layer="other")) is None
    keep_field(None, path)
    assert not path.exists()
    keep_field(None, path)  # there is none


SPOILT = {
    "features": lambda kept: {"features": kept["features"].astype(np.float32)},
    "nothing finite": lambda kept: {"features": np.full_like(kept["features"], np.nan)},
    "grid": lambda kept: {"tissue": kept["tissue"][:-1].copy()},
    "px": lambda kept: {"rgb": np.concatenate([kept["rgb"]] * 2)},
    "channels": lambda kept: {"rgb": kept["rgb"][..., :2].copy()},
    "kind": lambda kept: {"tissue": kept["tissue"].astype(np.uint8)},
}


@pytest.mark.parametrize("how", [*SPOILT, "note", "missing", "bytes"])
def test_a_damaged_field_is_told(field, tiny_encoder, tmp_path, how):
    path = tmp_path / "concepts.field.safetensors"
    keep_field(field, path)
    kept = load_file(path)
    note = {"field": '{"stride_px": 8, "mpp": -1, "encoder": {}}'}
    if how == "bytes":
        path.write_bytes(path.read_bytes()[:-100])
    elif how == "note":
        save_file(kept, path, note)
    elif how == "missing":
        save_file(kept, path)
    else:
        text = re.search(rb'"field":"((?:[^"\\]|\\.)*)"', path.read_bytes())[1].decode().replace('\\"', '"')
        save_file(kept | SPOILT[how](kept), path, {"field": text})
    with pytest.raises(BankError) as error:
        load_field(path, tiny_encoder.spec.key)
    assert str(path) in str(error.value)
