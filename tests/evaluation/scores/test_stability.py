"""Labels laid on each other again: what moves with the image keeps its labels, what does not is counted."""

import numpy as np
import pytest

from histofactor.evaluation.scores import labels as labels_module
from histofactor.evaluation.scores import stability
from histofactor.evaluation.scores.labels import labels_of, level0_labels
from histofactor.evaluation.scores.stability import DISTURBANCES, kept_labels, restain, shares
from histofactor.segmentation.page import segment
from histofactor.segmentation.setup import SegmentOptions, prepare
from histofactor.slides.reader import open_slide
from histofactor.slides.thumbnail import read_thumbnail

RGB = np.random.default_rng(0).integers(0, 200, (20, 30, 3), np.uint8)


def kept(monkeypatch, label, rgb=RGB):
    """Shares where labels are a function of the px alone."""

    def fake(slide, segmenters):
        return {way: label(read_thumbnail(slide, slide.info.size)[0]) for way in segmenters}

    monkeypatch.setattr(stability, "labels_of", fake)
    return shares(kept_labels(rgb, {"a": label(rgb)}, {"a": None}, 1.0, np.random.default_rng(0))["a"])


def test_labels_that_move_with_the_image_are_kept(monkeypatch):
    found = kept(monkeypatch, lambda rgb: rgb[..., 0] > 100)
    assert tuple(found) == DISTURBANCES
    assert [found[name] for name in ("one px", "90 degrees", "mirrored")] == [1, 1, 1]
    assert 0.9 < found["restained"] < 1


def test_labels_that_stand_still_are_counted(monkeypatch):
    found = kept(monkeypatch, lambda rgb: np.indices(rgb.shape[:2])[1] % 2)
    assert found == {"one px": 0, "90 degrees": 0.5, "mirrored": 0, "restained": 1}
    corner = kept(monkeypatch, lambda rgb: np.indices(rgb.shape[:2]).sum(axis=0) == 0)
    assert corner["one px"] == 1 - 1 / (19 * 29)
    assert corner["mirrored"] == corner["90 degrees"] == 1 - 2 / 600


def test_every_disturbance_is_encoded_once_for_all_segmenters(tiny_encoder, tiny_bank, tissue, monkeypatch):
    encoded, real = [], labels_module.cache_features
    monkeypatch.setattr(labels_module, "cache_features", lambda *given: encoded.append(1) or real(*given))
    options = SegmentOptions(tissue=False, views=1)
    segmenters = {
        method: prepare(encoder=tiny_encoder, concepts=tiny_bank, method=method, options=options)
        for method in ("project", "cluster")
    }
    rgb = tissue[:100, :90]
    with open_slide(rgb, source_mpp=1.0) as slide:
        plain = labels_of(slide, segmenters)
    found = kept_labels(rgb, plain, segmenters, 1.0, np.random.default_rng(3))
    assert len(encoded) == 1 + len(DISTURBANCES)
    anew = {"one px": rgb[1:, 1:], "90 degrees": np.rot90(rgb), "mirrored": rgb[:, ::-1],
            "restained": restain(rgb, np.random.default_rng(3))}  # fmt: skip
    back = {"90 degrees": lambda labels: np.rot90(labels, -1), "mirrored": lambda labels: labels[:, ::-1]}
    for method, counts in found.items():
        for name, share in shares(counts).items():
            own = segment(
                np.ascontiguousarray(anew[name]), encoder=tiny_encoder, concepts=tiny_bank, source_mpp=1.0,
                method=method, options=options,
            )  # fmt: skip
            moved = back.get(name, lambda labels: labels)(level0_labels(own))
            expected = (moved == plain[method][-moved.shape[0] :, -moved.shape[1] :]).mean()
            assert share == pytest.approx(expected, abs=1e-3)


def test_restaining_moves_every_channel_alike_and_leaves_glass():
    rgb = np.full((4, 5, 3), 120, np.uint8)
    rgb[0] = 250
    found = restain(rgb, np.random.default_rng(0))
    np.testing.assert_array_equal(found[0], rgb[0])
    moved = -np.log((found[1:].reshape(-1, 3) + 1.0) / 121)
    assert np.ptp(moved, axis=0).max() == 0
    assert moved[0] == pytest.approx(np.random.default_rng(0).normal(0, 0.05, 3), abs=0.005)
