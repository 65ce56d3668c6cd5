"""Segmenting with a centred bank is segmenting centred tokens."""

from dataclasses import replace

import numpy as np
import pytest

from histofactor.base.clock import Watch
from histofactor.factor.nnls import project, relative_residual, unit_concepts
from histofactor.factor.problem import gram
from histofactor.records import Centring, SlideMean
from histofactor.segmentation import encoding
from histofactor.segmentation.encoding import Planned
from histofactor.segmentation.feature_cache import cache_features
from histofactor.segmentation.page import segment_slide
from histofactor.segmentation.plan import make_plan
from histofactor.segmentation.setup import SegmentOptions, prepare
from histofactor.segmentation.shift import find_shift
from histofactor.segmentation.store import MemoryStore
from histofactor.segmentation.window_memory import HeldInput
from histofactor.slides.reader import open_slide


@pytest.fixture
def centred_bank(tiny_bank):
    rng = np.random.default_rng(5)
    mean = rng.random(tiny_bank.vectors.shape[1]).astype(np.float32)
    return replace(tiny_bank, centring=Centring(0.5, mean))


def mm2_of(cache):
    """Tissue of an input at 1 µm/px."""
    tokens = sum(int(part.tissue.sum()) for part in cache.parts)
    return tokens * (cache.plan.frame.stride_px / 1000) ** 2


def share_of(cache):
    """Half, as far as there is tissue."""
    return 0.5 * mm2_of(cache) / (mm2_of(cache) + 0.04)


def segmenter_of(encoder, bank, method="project"):
    return prepare(encoder=encoder, concepts=bank, method=method, options=SegmentOptions(views=1))


def test_weights_and_residual_are_those_of_centred_features(tissue, tiny_encoder, centred_bank):
    segmenter = segmenter_of(tiny_encoder, centred_bank)
    with open_slide(tissue, source_mpp=1.0) as slide:
        found = segment_slide(slide, segmenter)
        cache = cache_features(slide, segmenter.setup)
    inside = np.concatenate([part.tissue for part in cache.parts])
    X = np.concatenate([part.B for part in cache.parts])[inside].astype(np.float64)
    sq_norms = np.concatenate([part.sq_norms for part in cache.parts])[inside].astype(np.float64)
    offset = share_of(cache) * (X.mean(0) - centred_bank.centring.mean)
    H = unit_concepts(centred_bank.vectors)[0].astype(np.float64)
    W = project(X - offset, H)
    np.testing.assert_allclose(found.weights.values[inside], W, atol=2e-3 * W.max())
    norms = sq_norms - 2 * X @ offset + offset @ offset
    np.testing.assert_allclose(
        found.tokens.residual[inside], relative_residual(norms, W, (X - offset) @ H.T, gram(H)), atol=2e-3
    )
    plain = segmenter_of(tiny_encoder, replace(centred_bank, centring=None))
    with open_slide(tissue, source_mpp=1.0) as slide:
        assert not np.allclose(segment_slide(slide, plain).weights.values, found.weights.values, atol=0.01 * W.max())


@pytest.mark.parametrize("method", ["project", "raw", "cluster", "factorize"])
def test_features_at_hand_give_the_same(tissue, tiny_encoder, centred_bank, method):
    segmenter = segmenter_of(tiny_encoder, centred_bank, method)
    with open_slide(tissue, source_mpp=1.0) as slide:
        cache = cache_features(slide, segmenter.setup)
        labels = [segment_slide(slide, segmenter, **known).label_map.labels[:] for known in ({}, {"cache": cache})]
    assert len(np.unique(labels[0])) > 2
    assert (labels[0] == labels[1]).mean() > 0.999


def test_a_small_input_is_encoded_once_though_its_mean_comes_first(tissue, tiny_encoder, centred_bank, monkeypatch):
    segmenter, encoded, real = segmenter_of(tiny_encoder, centred_bank), [], encoding.encode
    monkeypatch.setattr(encoding, "encode", lambda *given: encoded.append(1) or real(*given))
    with open_slide(tissue, source_mpp=1.0) as slide:
        segment_slide(slide, segmenter_of(tiny_encoder, replace(centred_bank, centring=None)))
        once = len(encoded)
        segment_slide(slide, segmenter)
    assert len(encoded) == 2 * once


def test_a_mean_that_is_known_is_not_looked_for_again(tissue, tiny_encoder, centred_bank):
    segmenter = segmenter_of(tiny_encoder, centred_bank)
    with open_slide(tissue, source_mpp=1.0) as slide:
        planned = Planned(slide, segmenter.setup, make_plan(slide, segmenter.setup))
        looked, after = find_shift(planned, segmenter, None, Watch(), MemoryStore())
        cache = cache_features(slide, segmenter.setup)
        rows = np.concatenate([part.B[part.tissue] for part in cache.parts])
        np.testing.assert_allclose(
            looked.offset, share_of(cache) * (rows.mean(0, dtype=np.float64) - centred_bank.centring.mean), atol=1e-5
        )
        mean = SlideMean(rows.mean(0), mm2_of(cache))
        known, same = find_shift(planned, segmenter, mean, Watch(), MemoryStore())
        assert same is planned
        assert after.memory is not None
        np.testing.assert_allclose(known.offset, looked.offset, atol=1e-5)
        held = HeldInput(planned.plan, after.memory, mean)
        again = segment_slide(slide, segmenter, held=held).label_map.labels[:]
        assert (again == segment_slide(slide, segmenter).label_map.labels[:]).mean() > 0.999


def test_without_tissue_nothing_is_taken(tiny_encoder, centred_bank):
    glass = np.full((200, 200, 3), 240, np.uint8)
    with open_slide(glass, source_mpp=1.0) as slide:
        found = segment_slide(slide, segmenter_of(tiny_encoder, centred_bank))
    assert not found.label_map.labels[:].any()
