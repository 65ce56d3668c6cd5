"""One image, segmented with concepts learned from itself."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from histofactor.errors import BankError, ImageError, OptionError
from histofactor.segmentation import encoding
from histofactor.segmentation.own import learn_from_one
from histofactor.segmentation.page import segment
from histofactor.segmentation.setup import SegmentOptions, load_setup
from histofactor.slides.phantom import phantom
from histofactor.slides.reader import open_slide


def test_an_array_alone(tiny_encoder, tissue, monkeypatch):
    encoded, real = [], encoding.encode
    monkeypatch.setattr(encoding, "encode", lambda *given: encoded.append(1) or real(*given))
    found = segment(tissue, encoder=tiny_encoder, source_mpp=1.0)
    once = len(encoded)
    labels = found.label_map.labels[:]
    k = len(found.label_map.names)
    assert k in {4, 8, 16, 32, 64}
    assert len(np.unique(labels[labels > 0])) >= 3
    again = segment(tissue, encoder=tiny_encoder, source_mpp=1.0).label_map.labels[:]
    np.testing.assert_array_equal(again, labels)
    segment(tissue, encoder=tiny_encoder, source_mpp=1.0, method="single", k=3)
    assert len(encoded) == 3 * once  # learning and segmenting encode once together


def test_the_k_that_is_asked_for(tiny_encoder, tissue):
    assert len(segment(tissue, encoder=tiny_encoder, source_mpp=1.0, k=5).label_map.names) == 5
    other = segment(tissue, encoder=tiny_encoder, source_mpp=1.0, k=5, options=SegmentOptions(seed=1))
    assert (
        other.recipe["bank"]["sha256"]
        != segment(tissue, encoder=tiny_encoder, source_mpp=1.0, k=5).recipe["bank"]["sha256"]
    )


def test_tissue_is_told_apart():
    """Two kinds of tissue side by side, by the embedded encoder at the recommended K."""
    left, right = (phantom((256, 256), seed=seed, mpp=1.0) for seed in (1, 2))
    found = segment(np.concatenate([left.image, right.image], 1), source_mpp=1.0)
    truth = np.concatenate([left.truth, right.truth], 1)
    labels = found.label_map.labels[:]
    assert adjusted_rand_score(truth[labels > 0], labels[labels > 0]) > 0.1


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"k": 0}, OptionError, "k ≥ 1"),
        ({"k": 5000}, BankError, "-k "),
        ({"options": SegmentOptions(seed=-1)}, OptionError, "seed"),
    ],
)
def test_bad_arguments(tiny_encoder, tissue, arguments, error, told):
    with pytest.raises(error, match=told):
        segment(tissue, encoder=tiny_encoder, source_mpp=1.0, **arguments)


def test_glass_has_nothing_to_learn(tiny_encoder):
    with pytest.raises(ImageError, match="no tissue to learn concepts from"):
        segment(np.full((200, 200, 3), 240, np.uint8), encoder=tiny_encoder, source_mpp=1.0)


def test_features_are_held_where_all_of_the_input_was_encoded(tiny_encoder, tissue):
    with open_slide(tissue, source_mpp=1.0) as slide:
        bank, held = learn_from_one(slide, load_setup(tiny_encoder), 4)
    assert len(bank.names) == 4
    assert held.windows is not None
    assert held.mean.value.shape == (tiny_encoder.spec.dim,)
