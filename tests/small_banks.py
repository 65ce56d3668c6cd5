"""Banks of a few concepts."""

from dataclasses import replace

import numpy as np

from histofactor.concepts.bank.record import new_bank
from histofactor.records import EncoderKey

KEY = EncoderKey("uni", "abc123", "blocks[-1]", "relu")


def vectors(k, d=6, seed=0):
    """(k, d) numbers above 0."""
    return np.random.default_rng(seed).random((k, d), dtype=np.float32) + 0.1


def bank(k, **changes):
    """A bank of k concepts, other than it would be in what is given."""
    return replace(new_bank(vectors(k), KEY, mpp=0.5, provenance={"images": 3}), **changes)
