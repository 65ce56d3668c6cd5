from dataclasses import replace

import numpy as np

from histofactor.base.colors import palette, perceived_lab
from histofactor.concepts.bank.coloring import colored
from histofactor.concepts.bank.record import bank_hash, new_bank
from histofactor.records import EncoderKey

KEY = EncoderKey("embedded", "1", "code", "relu")


def bank_of(k, **provenance):
    return new_bank(np.eye(k, dtype=np.float32), KEY, provenance=provenance)


def apart_over_tissue(colors):
    """Smallest CIELAB distance of two colours at 45 % transparency over H&E, in any vision."""
    over = 0.55 * np.array(colors) + 0.45 * np.array([205, 158, 195])
    lab = perceived_lab(np.rint(over).astype(np.uint8))
    gaps = np.linalg.norm(lab[:, :, None] - lab[:, None], axis=-1)
    return gaps[:, ~np.eye(len(colors), dtype=bool)].min()


def test_the_eight_largest_of_every_slide_are_told_apart_though_many_are_not():
    rng = np.random.default_rng(0)
    per_slide = rng.integers(0, 20, (6, 48))
    largest = [rng.choice(48, 8, replace=False) for _ in per_slide]
    for counts, ours in zip(per_slide, largest, strict=True):
        counts[ours] += rng.integers(500, 2000, 8)
    before = bank_of(48, counts=per_slide.sum(0).tolist(), per_slide=per_slide.tolist())
    after = colored(before)
    assert bank_hash(after) == bank_hash(before)
    assert replace(after, colors=before.colors) == before
    assert len(set(after.colors)) == 48
    assert apart_over_tissue(after.colors) < 10
    for ours in largest:
        assert apart_over_tissue([after.colors[one] for one in ours]) > 14


def test_without_slides_the_largest_of_all_are_told_apart():
    counts = np.full(40, 10)
    counts[30:38] = 1000
    found = colored(bank_of(40, counts=counts.tolist()))
    assert apart_over_tissue(found.colors[30:38]) > 18


def test_what_tells_nothing_stays_as_it_is():
    assert colored(bank_of(5)).colors == palette(5)
