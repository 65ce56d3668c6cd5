import dataclasses

import numpy as np
import pytest

from histofactor.export.patches import typical_patches
from histofactor.slides.reader import open_slide


@pytest.fixture
def image_of(make_segmentation):
    """A segmentation and its open image, whose red channel is 50 times the label of each px."""

    def make(tokens, *, l0_per_px=2, stride_px=4):
        segmentation = make_segmentation(tokens, l0_per_px=float(l0_per_px), stride_px=stride_px)
        red = 50 * segmentation.label_map.labels.repeat(l0_per_px, 0).repeat(l0_per_px, 1)
        return segmentation, open_slide(np.stack([red, red, red], axis=-1))

    return make


def test_patches_show_their_phenotype(image_of):
    tokens = np.zeros((24, 36), int)
    tokens[:, :12], tokens[:, 12:24], tokens[:12, 24:] = 1, 2, 4
    segmentation, slide = image_of(tokens)
    patches = typical_patches(segmentation, slide, per_phenotype=3, side_px=8)
    assert sorted(patches) == [1, 2, 4]
    for label, found in patches.items():
        assert 1 <= len(found) <= 3
        for patch in found:
            assert patch.shape == (8, 8, 3)
            assert np.median(patch) == 50 * label


def test_patches_lie_apart(image_of, monkeypatch):
    segmentation, slide = image_of(np.ones((30, 30), int))
    regions = []
    read = slide.read
    monkeypatch.setattr(slide, "read", lambda region: regions.append(region) or read(region))
    typical_patches(segmentation, slide, per_phenotype=4, side_px=16)
    assert len(regions) == 4
    for i, one in enumerate(regions):
        for other in regions[:i]:
            assert max(abs(one.x - other.x), abs(one.y - other.y)) >= one.width - 8  # less one token, moved inwards


def test_the_token_with_the_largest_share_and_margin_comes_first(make_segmentation):
    segmentation = make_segmentation(np.ones((20, 20), int))
    margin = np.full((20, 20), 0.1, np.float32)
    margin[12:15, 5:8] = 0.9
    tokens = dataclasses.replace(segmentation.tokens, margin=margin)
    pixels = np.zeros((160, 160, 3), np.uint8)
    pixels[104:112, 48:56] = 255  # token (13, 6) at 8 level-0 px a token
    best = typical_patches(
        dataclasses.replace(segmentation, tokens=tokens), open_slide(pixels), per_phenotype=1, side_px=4
    )
    assert best[1][0].min() > 200  # 255 but for resampling


def test_only_the_largest_phenotypes_get_patches(image_of):
    segmentation, slide = image_of([[1, 1, 1, 1], [2, 2, 2, 3]])
    assert sorted(typical_patches(segmentation, slide, side_px=4, phenotypes=2)) == [1, 2]


def test_an_input_smaller_than_a_patch_is_shown_whole(image_of):
    segmentation, slide = image_of([[1, 1], [1, 1]])
    (patch,) = typical_patches(segmentation, slide, side_px=112)[1]
    assert patch.shape == (8, 8, 3)


def test_no_tissue_gives_no_patches(image_of):
    segmentation, slide = image_of([[0, 0], [0, 0]])
    assert typical_patches(segmentation, slide) == {}
