"""The concepts asked for, and what is told first where they cannot be had."""

from dataclasses import replace

import numpy as np
import pytest

from histofactor.concepts.bank.file import save_bank
from histofactor.concepts.bank.record import new_bank
from histofactor.encoders.encoder import Inference
from histofactor.encoders.registry import get
from histofactor.errors import BankError, BankMismatch, EncoderError, OptionError
from histofactor.masks import unlike
from histofactor.records import WindowRule
from histofactor.segmentation import setup
from histofactor.segmentation.given_bank import check_width, find_bank, find_limit, told_of_window
from histofactor.segmentation.setup import SegmentOptions, prepare


def test_the_bank_that_is_meant(tiny_bank, tmp_path):
    save_bank([tiny_bank], tmp_path / "b.safetensors")
    assert find_bank("tiny", tiny_bank, 6) is tiny_bank
    assert len(find_bank("tiny", tmp_path / "b.safetensors", None).names) == 6
    assert len(find_bank("embedded", None, 8).names) == len(find_bank("embedded", "embedded", 8).names) == 8
    with pytest.raises(OptionError, match="concepts train"):
        find_bank("uni", None, None)
    with pytest.raises(OptionError, match="k does not fit"):
        find_bank("tiny", tiny_bank, 5)


def test_missing_weights_are_told_before_missing_concepts(monkeypatch, tmp_path):
    def nowhere(name, **options):
        raise EncoderError(f"the weights of {name} are not on this machine")

    monkeypatch.setattr(setup, "load_encoder", nowhere)
    for concepts in (None, "embedded", tmp_path / "no-such.safetensors"):
        with pytest.raises(EncoderError, match="the weights of uni are not"):
            prepare(encoder="uni", concepts=concepts)


def test_concepts_are_told_where_weights_are_at_hand(monkeypatch, tmp_path):
    monkeypatch.setattr(setup, "load_encoder", lambda name, **options: get(name))
    with pytest.raises(OptionError, match="ships without concepts"):
        prepare(encoder="uni")
    with pytest.raises(BankError, match="no such file"):
        prepare(encoder="uni", concepts=tmp_path / "no-such.safetensors")


def test_concepts_of_one_name_are_segmented_in_one_colour(tiny_encoder, tiny_bank):
    named = replace(tiny_bank, names=("a", "b", "a", "c", "d", "b"))
    colors = prepare(encoder=tiny_encoder, concepts=named).bank.colors
    assert colors == tuple(tiny_bank.colors[i] for i in (0, 1, 0, 3, 4, 1))


def test_limits_and_widths(tiny_encoder, tiny_bank):
    assert find_limit("0.5", tiny_bank) == 0.5
    with pytest.raises(OptionError, match="does not tell what is unlike"):
        find_limit("auto", tiny_bank)
    with pytest.raises(OptionError, match="already"):
        find_limit("0.5", replace(tiny_bank, names=(unlike.NAME, *tiny_bank.names[1:])))
    check_width(tiny_bank, tiny_encoder)
    with pytest.raises(BankMismatch, match="12 channels"):
        check_width(new_bank(np.ones((2, 5), np.float32), tiny_bank.encoder), tiny_encoder)


def test_windows_that_are_not_those_of_the_concepts_are_told(tiny_encoder, tiny_bank):
    """Of a transformer, whose tokens see all of their window; where concepts do not tell theirs, nothing is told."""
    learned = replace(tiny_bank, provenance={"window_px": 224})
    spec = replace(tiny_encoder.spec, window=WindowRule(128, 64))
    fixed = replace(tiny_encoder, spec=spec, notes=("a note",))
    assert told_of_window(learned, fixed).notes == (
        "a note",
        "its windows are of 128 px, and the concepts were learned with windows of 224 px",
    )
    assert told_of_window(tiny_bank, fixed) is fixed
    assert told_of_window(replace(tiny_bank, provenance={"window_px": 128}), fixed) is fixed
    assert told_of_window(learned, tiny_encoder) is tiny_encoder
    assert len(prepare(encoder=fixed, concepts=learned).setup.encoder.notes) == 2


def test_the_windows_of_the_concepts_are_taken_unless_others_are_asked_for(monkeypatch, tiny_encoder, tiny_bank):
    asked = []

    def load(name, *, inference, **options):
        asked.append(inference.window_px)
        return replace(tiny_encoder, spec=replace(tiny_encoder.spec, window=WindowRule(inference.window_px, 64)))

    monkeypatch.setattr(setup, "load_encoder", load)
    monkeypatch.setattr(setup, "name_of", lambda encoder: "tiny")
    learned = replace(tiny_bank, provenance={"window_px": 256})
    assert prepare(encoder="tiny", concepts=learned).setup.encoder.notes == ()
    options = SegmentOptions(inference=Inference(window_px=512))
    (note,) = prepare(encoder="tiny", concepts=learned, options=options).setup.encoder.notes
    assert asked == [256, 512]
    assert "512 px" in note
    assert "256 px" in note
