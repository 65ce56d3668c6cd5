import cv2
import numpy as np
import pytest

from histofactor.slides.ink import ink_mask
from histofactor.slides.phantom import EOSIN_OD, HEMATOXYLIN_OD

INKS = {
    "blue": (40, 60, 200),
    "navy": (20, 20, 90),
    "green": (20, 140, 70),
    "pale green": (170, 225, 185),
    "red": (215, 40, 45),
    "black": (20, 20, 25),
    "bluish black": (45, 45, 60),
}
MPP = 8.0


def density(color):
    return -np.log10(np.array(color) / 245.0)


def stroke(width_um):
    """A line across 200 × 200 px at 8 µm/px that leaves the image at both ends."""
    drawn = np.zeros((200, 200), np.uint8)
    cv2.line(drawn, (-50, 60), (250, 150), 1, max(1, round(width_um / MPP)))
    return drawn > 0


def scene(where, color, ground=(0.0, 0.0, 0.0)):
    noise = np.random.default_rng(0).normal(0, 0.004, (*where.shape, 3))
    return (np.where(where[..., None], color, ground) + noise).astype(np.float32)


@pytest.mark.parametrize("color", INKS.values(), ids=INKS.keys())
def test_broad_strokes_are_found_px_by_px(color):
    where = stroke(300)
    assert np.array_equal(ink_mask(scene(where, density(color)), MPP), where)
    on_tissue = scene(where, density(color), ground=0.3 * EOSIN_OD + 0.1 * HEMATOXYLIN_OD)
    assert np.array_equal(ink_mask(on_tissue, MPP), where)


@pytest.mark.parametrize("color", INKS.values(), ids=INKS.keys())
def test_thin_marks_are_left_to_the_tissue(color):
    assert not ink_mask(scene(stroke(50), density(color)), MPP).any()


@pytest.mark.parametrize("hematoxylin", [0.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("eosin", [0.0, 0.1, 0.4, 0.8])
def test_no_mixture_of_the_two_dyes_is_ink(hematoxylin, eosin):
    mixture = hematoxylin * HEMATOXYLIN_OD + eosin * EOSIN_OD
    assert not ink_mask(scene(np.ones((60, 60), bool), mixture), MPP).any()


def test_pale_grey_shadows_are_no_ink():
    assert not ink_mask(scene(stroke(300), (0.2, 0.2, 0.2)), MPP).any()
