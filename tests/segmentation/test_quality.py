"""The masks of an open input do not depend on how it is read or segmented, and say where they lie."""

import cv2
import numpy as np
import pytest

from histofactor.segmentation import quality
from histofactor.segmentation.quality import quality_of, unmeasured
from histofactor.slides.phantom import phantom
from histofactor.slides.reader import open_slide


@pytest.fixture(scope="module")
def half_blurred():
    """A phantom of 500 x 360 px at 1 µm/px, whose left half is out of focus."""
    image = phantom((500, 360), seed=3, mpp=1.0).image.copy()
    image[:, :250] = cv2.GaussianBlur(image, (0, 0), 5)[:, :250]
    return image


def found_in(image, mpp=1.0, labels=None):
    with open_slide(np.ascontiguousarray(image), source_mpp=mpp) as slide:
        return quality_of(slide, np.ones(image.shape[:2], np.uint8) if labels is None else labels)


def test_what_is_out_of_focus(half_blurred):
    found = found_in(half_blurred)
    map_ = found.label_map
    assert map_.labels.shape == (23, 32)  # 360 and 500 px in cells of 16
    assert map_.mpp == 16
    assert found.l0_per_px == (16, 16)
    assert (map_.labels[:, :11] == 1).mean() > 0.9
    assert (map_.labels[:, 20:] == 1).mean() < 0.05
    assert found.shares["out of focus"] == pytest.approx((map_.labels[:] == 1).sum() / found.tissue)
    assert found.note.startswith(f"quality control: of the tissue {found.shares['out of focus']:.1%} is out of focus, ")


@pytest.mark.parametrize("part", [3, 7, 64])
def test_the_same_bytes_however_the_input_is_cut(half_blurred, monkeypatch, part):
    whole = found_in(half_blurred).label_map.labels
    monkeypatch.setattr(quality, "_PART", part)
    assert found_in(half_blurred).label_map.labels.tobytes() == whole.tobytes()


def test_tissue_is_where_labels_are_whatever_their_resolution(half_blurred):
    labels = np.zeros((45, 63), np.uint8)
    labels[:, :32] = 3
    found = found_in(half_blurred, labels=labels)
    assert found.tissue == 23 * 16
    assert not found.label_map.labels[:, 16:].any()
    assert found.label_map.labels[:, :11].all()


def test_finer_inputs_are_measured_at_1_um(half_blurred):
    fine = cv2.resize(half_blurred, (1000, 720), interpolation=cv2.INTER_LINEAR)
    found = found_in(fine, 0.5)
    assert found.l0_per_px == (32, 32)
    assert found.label_map.mpp == pytest.approx(16)
    assert (found.label_map.labels[:, :11] == 1).mean() > 0.9


def test_no_tissue(half_blurred):
    found = found_in(half_blurred, labels=np.zeros(half_blurred.shape[:2], np.uint8))
    assert found.tissue == 0
    assert set(found.shares.values()) == {0}


@pytest.mark.parametrize(
    ("mpp", "said"), [(None, "--source-mpp"), (2.0, "2 µm/px is too coarse"), (1.0, ""), (0.25, "")]
)
def test_what_cannot_be_measured_is_told(half_blurred, mpp, said):
    with open_slide(half_blurred, source_mpp=mpp) as slide:
        told = unmeasured(slide.info)
    assert said in told
    assert bool(told) == bool(said)
