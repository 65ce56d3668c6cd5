"""An encoder is loaded once a worker, and never taken for another."""

from dataclasses import replace

import numpy as np
import pytest

from histofactor.concepts.bank.record import new_bank
from histofactor.encoders.build import load_encoder
from histofactor.encoders.encoder import Inference
from histofactor.runs.loaded import keep_encoder, kept_encoder, memory_of
from histofactor.segmentation.setup import SegmentOptions


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("embedded", transform="split-root")


@pytest.fixture(scope="module")
def bank(encoder):
    vectors = np.random.default_rng(0).gamma(0.5, 1.0, (3, encoder.spec.dim)).astype(np.float32)
    return new_bank(vectors, encoder.spec.key, mpp=1.0)


def test_it_is_kept_for_the_concepts_that_it_is_for(encoder, bank):
    shared = {}
    assert kept_encoder(shared, "embedded", SegmentOptions(), bank) is None
    keep_encoder(shared, "embedded", SegmentOptions(), encoder)
    assert kept_encoder(shared, "embedded", SegmentOptions(views=1, seed=3), bank) is encoder


@pytest.mark.parametrize(
    "options",
    [
        SegmentOptions(weights="other.pt"),
        SegmentOptions(device="cpu"),
        SegmentOptions(inference=Inference(precision="bfloat16")),
    ],
)
def test_it_is_not_taken_for_one_that_is_run_in_another_way(encoder, bank, options):
    shared = {}
    keep_encoder(shared, "embedded", SegmentOptions(), encoder)
    assert kept_encoder(shared, "embedded", options, bank) is None
    assert kept_encoder(shared, "uni", SegmentOptions(), bank) is None


def test_it_is_not_taken_for_other_features(encoder, bank):
    shared = {}
    keep_encoder(shared, "embedded", SegmentOptions(), encoder)
    other = replace(bank, encoder=replace(bank.encoder, transform="relu"))
    assert kept_encoder(shared, "embedded", SegmentOptions(), other) is None


def test_memory_is_one_a_worker():
    shared = {}
    assert memory_of(shared) is memory_of(shared)
    assert memory_of({}) is not memory_of(shared)
