"""What a person sees of a field: its labels, its pieces, and how many of these are small."""

from dataclasses import replace

import numpy as np
import pytest

from histofactor.concepts.bank.record import new_bank
from histofactor.segmentation.field import Field, label_field, see


def striped(widths, mpp=1.0):
    """Three concepts as unit features, in stripes of so many tokens."""
    owners = np.repeat(np.arange(len(widths)) % 3, widths)
    features = np.eye(3, dtype=np.float32)[np.tile(owners, (len(owners), 1))]
    side = len(owners) * 10
    tissue, rgb = np.ones(features.shape[:2], bool), np.zeros((side, side, 3), np.uint8)
    return Field(rgb=rgb, features=features, tissue=tissue, stride_px=10, mpp=mpp, encoder=None)


def test_pieces_are_counted_in_mm2(tiny_encoder):
    banks = {k: new_bank(np.eye(3, dtype=np.float32)[:k], tiny_encoder.spec.key) for k in (1, 3)}
    seen = see(striped((10, 1, 9)), banks)
    assert (seen[3].per_mm2, seen[3].small) == (pytest.approx(3 / 0.04), 0.0)  # a stripe of 10 x 200 µm is no crumb
    assert seen[1].per_mm2 > 0  # what no concept explains has label 0
    fine = see(striped((10, 1, 9), mpp=0.5), banks)[3]
    assert fine.per_mm2 == pytest.approx(3 / 0.01)
    assert fine.small == pytest.approx(0.05, abs=0.01)  # 5 x 100 µm is one
    unknown = see(striped((10, 1, 9), mpp=None), banks)[3]
    assert (unknown.per_mm2, unknown.small) == (seen[3].per_mm2, seen[3].small)


def test_a_field_without_tissue(tiny_encoder):
    field = striped((4, 4))
    field = replace(field, tissue=np.zeros_like(field.tissue))
    (seen,) = see(field, {3: new_bank(np.eye(3, dtype=np.float32), tiny_encoder.spec.key)}).values()
    assert not seen.labels.any()
    assert (seen.per_mm2, seen.small) == (0.0, 0.0)


def test_labels_are_those_of_the_nearest_direction(tiny_encoder):
    bank = new_bank(np.eye(3, dtype=np.float32)[::-1].copy(), tiny_encoder.spec.key)
    labels = label_field(striped((4, 4, 4)), bank)
    assert labels.shape == (120, 120)
    assert [*labels[60, [5, 60, 115]]] == [3, 2, 1]
