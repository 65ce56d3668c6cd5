"""What a run was asked for survives being written down, but for what no file holds."""

import json
from pathlib import Path

import pytest

from histofactor.encoders.encoder import Inference
from histofactor.runs.request import again, stated
from histofactor.runs.results import Outputs
from histofactor.runs.segment_many import ManyOptions
from histofactor.runs.source import Opening
from histofactor.segmentation.setup import SegmentOptions

EVERYTHING = ManyOptions(
    mpp=0.7,
    opening=Opening(source_mpp=0.3, series="2", max_image_gb=1.5),
    method="cluster",
    segment=SegmentOptions(
        weights=Path("/w.pt"), layer="blocks[-2]", device="cpu", components=7, seed=3, tissue_mask=Path("/m"),
        transform="relu", inference=Inference(precision="float16", repair_tokens=True), views=1, shift_px=4,
        unlike="auto",
    ),
    outputs=Outputs(True, ome_zarr=True),
)  # fmt: skip


@pytest.mark.parametrize("options", [ManyOptions(), EVERYTHING])
def test_all_that_is_asked_for_comes_back(options):
    encoder, how = again(json.loads(json.dumps(stated("embedded", None, options))))
    made = ManyOptions(**how)
    assert encoder == "embedded"
    assert made.segment.inference == options.segment.inference
    assert (made.mpp, made.opening, made.method, made.outputs) == (
        options.mpp, options.opening, options.method, options.outputs,
    )  # fmt: skip
    for name in SegmentOptions.__dataclass_fields__:
        ours, theirs = getattr(made.segment, name), getattr(options.segment, name)
        assert str(ours) == str(theirs), name


def test_files_are_told_by_where_they_lie(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("b.safetensors").write_bytes(b"")
    told = stated("embedded", "b.safetensors", ManyOptions(segment=SegmentOptions(weights="w.pt")))
    assert told["concepts"] == str(tmp_path / "b.safetensors")
    assert told["segment"]["weights"] == str(tmp_path / "w.pt")
    for name in ("embedded", Path("embedded")):
        assert json.loads(json.dumps(stated("embedded", name, ManyOptions())))["concepts"] == "embedded"


def test_what_is_in_memory_is_not_told(tiny_encoder, tiny_bank):
    assert stated(tiny_encoder, None, ManyOptions()) is None
    assert stated("embedded", tiny_bank, ManyOptions()) is None
