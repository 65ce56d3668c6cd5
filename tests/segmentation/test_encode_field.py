"""A field tells what a segmentation of its place would, whether its windows are held or not."""

import numpy as np
import pytest

from histofactor.concepts.bank.provenance import Example
from histofactor.concepts.bank.record import new_bank
from histofactor.concepts.centring import offset_of
from histofactor.records import Centring, SlideMean
from histofactor.segmentation import encoding
from histofactor.segmentation.encode_field import encode_field, where_most_meet
from histofactor.segmentation.encoding import Planned, encode_features
from histofactor.segmentation.field import SIDE_PX, label_field
from histofactor.segmentation.page import segment
from histofactor.segmentation.plan import make_plan
from histofactor.segmentation.setup import SegmentOptions, prepare_setup
from histofactor.segmentation.window_memory import HeldInput, WindowMemory
from histofactor.slides.phantom import phantom
from histofactor.slides.reader import open_slide

HOW = SegmentOptions(tissue=False)
MIDDLE = Example(0, 100, 100, 64, 0.0)


@pytest.fixture(scope="module")
def image():
    return phantom((300, 260), seed=3, mpp=1.0).image


def taken(image, encoder, about=MIDDLE, mpp=1.0, held=False, mean=None, **more):
    setup = prepare_setup(encoder, options=HOW)
    with open_slide(image, source_mpp=mpp) as slide:
        plan = make_plan(slide, setup)
        known = HeldInput(plan, WindowMemory() if held else None, mean)
        return encode_field(slide, setup, about, known, **more)


@pytest.mark.parametrize("held", [False, True])
def test_labels_are_those_of_the_input_where_the_field_is_all_of_it(image, tiny_encoder, tiny_bank, held):
    field = taken(image, tiny_encoder, held=held)
    assert np.array_equal(field.rgb, image)
    assert (field.mpp, field.encoder) == (1.0, tiny_encoder.spec.key)
    whole = segment(image, encoder=tiny_encoder, concepts=tiny_bank, source_mpp=1.0, options=HOW).label_map.labels
    assert label_field(field, tiny_bank).shape == whole.shape
    assert (label_field(field, tiny_bank) == whole).mean() > 0.999  # features are kept in half precision


def test_a_slides_mean_is_taken_as_in_a_segmentation(image, tiny_encoder, tiny_bank):
    mean = SlideMean(np.linspace(0, 3, 12).astype(np.float32), 0.3)
    centring = Centring(0.5, np.full(12, 0.7, np.float32))
    plain = taken(image, tiny_encoder)
    centred = taken(image, tiny_encoder, mean=mean, centring=centring)
    assert np.allclose(plain.features - offset_of(centring, mean), centred.features, atol=0.02)
    assert np.array_equal(taken(image, tiny_encoder, centring=centring).features, plain.features)


def test_windows_that_are_held_are_not_encoded_again(tiny_encoder, tiny_bank, monkeypatch):
    """The part of a map that a segmentation of the whole input has there."""
    image = phantom((900, 1300), seed=1, mpp=1.0).image
    setup, windows = prepare_setup(tiny_encoder, options=HOW), WindowMemory()
    with open_slide(image, source_mpp=1.0) as slide:
        plan = make_plan(slide, setup)
        for _ in encode_features(Planned(slide, setup, plan, windows)):
            pass
        monkeypatch.setattr(encoding, "encode", lambda *given: pytest.fail("encoded again"))
        field = encode_field(slide, setup, Example(0, 700, 300, 64, 0.0), HeldInput(plan, windows))
    monkeypatch.undo()
    whole = segment(image, encoder=tiny_encoder, concepts=tiny_bank, source_mpp=1.0, options=HOW).label_map.labels
    left, top = 388, 76
    assert np.array_equal(field.rgb, image[top : top + SIDE_PX, left : left + SIDE_PX])
    inside = np.s_[8:-8, 8:-8]  # weights are interpolated between tokens, of which the field has none beyond its border
    seen = label_field(field, tiny_bank)[inside]
    assert (seen == whole[top : top + SIDE_PX, left : left + SIDE_PX][inside]).mean() > 0.999


@pytest.mark.parametrize(("x", "y", "corner"), [(-500, 0, (0, 0)), (5000, 5000, (1188, 88)), (800, 300, (576, 76))])
def test_it_stays_inside(tiny_encoder, x, y, corner):
    image = np.random.default_rng(0).integers(0, 256, (600, 1700, 3), np.uint8)
    field = taken(image, tiny_encoder, Example(0, x, y, 64, 0.0))
    left, top = corner
    assert np.array_equal(field.rgb, image[top : top + SIDE_PX, left : left + SIDE_PX])
    assert field.features.shape[:2] == field.tissue.shape


def test_it_is_seen_at_the_working_resolution(tiny_encoder):
    image = np.full((2000, 1800, 3), 128, np.uint8)
    field = taken(image, tiny_encoder, mpp=0.5)
    assert field.rgb.shape == (SIDE_PX, SIDE_PX, 3)
    assert field.mpp == pytest.approx(1.0)
    assert taken(image[:700, :900], tiny_encoder, mpp=None).mpp is None


def test_where_most_concepts_meet(tiny_encoder):
    def bank(*examples):
        told = [[{"slide": s, "x": x, "y": y, "side": 64} for s, x, y in of] for of in examples]
        return new_bank(np.eye(len(told), dtype=np.float32), tiny_encoder.spec.key, provenance={"examples": told})

    far = 4 * SIDE_PX
    three = bank([(0, 0, 0), (1, 0, 0)], [(0, 9, 9), (1, far, 0)], [(0, far, 0), (1, far, 9)], [(1, far + 9, 0)])
    found = where_most_meet(three, {0, 1}, patch_px=8)
    assert (found.slide, found.x) == (1, far)
    assert where_most_meet(three, {0}, patch_px=8).x == 0
    assert where_most_meet(three, {0}, patch_px=1).x == 0  # where a patch is 8 px, a field is 64 patches
    assert where_most_meet(three, {2}, patch_px=8) is None
    assert where_most_meet(new_bank(np.eye(2, dtype=np.float32), tiny_encoder.spec.key), {0}, patch_px=8) is None
