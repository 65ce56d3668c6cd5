"""The table: complete, consistent, and honest about unknown names."""

import re

import pytest

from histofactor.encoders import registry
from histofactor.encoders.transforms import TRANSFORMS
from histofactor.errors import EncoderError

ROWS = registry.list_encoders()
NAMES = [spec.name for spec in ROWS]


def test_the_required_rows_are_there():
    assert {"embedded", "resnet50", "dinov2-small", "uni", "prov-gigapath"} <= set(NAMES)
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("spec", ROWS, ids=NAMES)
def test_row_is_consistent(spec):
    rule = spec.window
    assert rule.size_px % spec.patch_px == 0
    assert rule.overlap_px % spec.patch_px == 0
    assert rule.halo_px % spec.patch_px == 0
    assert 2 * rule.halo_px <= rule.overlap_px < rule.size_px
    assert spec.transform in TRANSFORMS
    assert 0 < spec.mpp < 10
    assert all(0 < value < 1 for value in (*spec.mean, *spec.std))
    assert spec.licence
    assert spec.facts
    if spec.source.repository:
        assert re.fullmatch(r"[0-9a-f]{40}|", spec.source.revision or ""), "a pinned revision is a commit"
        assert spec.source.filename
    assert spec.precision in {"float32", "float16", "bfloat16"}


def test_get_returns_the_row():
    assert registry.get("uni").dim == 1024
    assert registry.get("prov-gigapath").key.layer == "blocks[-1]"


@pytest.mark.parametrize(
    ("name", "hint"), [("UNI", "'uni'"), ("gigapath", "'prov-gigapath'"), ("xyzzy", "encoders list")]
)
def test_unknown_names_never_become_a_default(name, hint):
    with pytest.raises(EncoderError, match=hint):
        registry.get(name)
