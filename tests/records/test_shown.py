"""How records look in a terminal."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

import histofactor
from histofactor.records import ConceptBank, EncoderKey
from histofactor.records.shown import Shown, short

KEY = EncoderKey("embedded", "2", "code", "split-root")


@dataclass(frozen=True, slots=True, repr=False)
class Holder(Shown):
    """A record that holds all sorts of things."""

    first: object = None
    notes: tuple = ()
    more: dict = field(default_factory=dict)


def bank(k):
    names, colors = tuple(f"Concept {i + 1}" for i in range(k)), ((0, 0, 0),) * k
    return ConceptBank(np.ones((k, 8), np.float32), KEY, names, colors)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (np.zeros((4, 5), np.float32), "<float32 4 × 5>"),
        (torch.zeros(2, 3, 1), "<float32 2 × 3 × 1>"),
        ("a" * 61, f"'{'a' * 60}'… (61 letters)"),
        ("a" * 60, f"'{'a' * 60}'"),
        ((1,), "(1,)"),
        ([1], "[1]"),
        ((), "()"),
        ({}, "{}"),
        ((1, 2, 3, 4), "(1, 2, 3, 4)"),
        ((1, 2, 3, 4, 5), "(1, 2, 3, … 2 more)"),
        ({"a": [1, 2], "b": np.zeros(1)}, "{'a': [1, 2], 'b': <float64 1>}"),
        (dict.fromkeys("abcde", 0), "{'a': 0, 'b': 0, 'c': 0, … 2 more}"),
        (torch.nn.Sequential(*[torch.nn.ReLU() for _ in range(20)]), "<Sequential>"),
        (2.5, "2.5"),
    ],
)
def test_a_value_in_a_few_words(value, shown):
    assert short(value) == shown


def test_a_record_leaves_out_what_is_empty_and_keeps_zero():
    assert repr(Holder(0)) == "Holder(first=0)"
    assert repr(Holder(None, ("a",), {"b": 1})) == "Holder(notes=('a',), more={'b': 1})"


def test_a_record_within_a_record_is_told_by_its_first_field():
    assert repr(Holder(Holder(7, ("a",)))) == "Holder(first=Holder(first=7, …))"
    assert repr(Holder((Holder(),))) == "Holder(first=(Holder(…),))"


def test_a_bank_of_many_concepts_is_short():
    shown = repr(bank(256))
    assert "vectors=<float32 256 × 8>" in shown
    assert "'Concept 1', 'Concept 2', 'Concept 3', … 253 more" in shown
    assert len(shown) < 400


def test_what_segment_returns_is_short():
    rng = np.random.default_rng(0)
    image = (np.array([200, 90, 150]) + rng.integers(-25, 25, (128, 128, 3))).astype(np.uint8)
    shown = repr(histofactor.segment(image, source_mpp=1, concepts="embedded", k=16))
    assert "LabelMap(labels=<uint8 128 × 128>, …)" in shown
    assert len(shown) < 700
    assert "\n" not in repr(histofactor.load_encoder("embedded"))
