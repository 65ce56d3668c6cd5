"""What was encoded once is segmented as if it were encoded anew."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from histofactor.encoders.build import Encoder
from histofactor.errors import OptionError
from histofactor.segmentation.feature_cache import cache_features
from histofactor.segmentation.method import METHODS
from histofactor.segmentation.page import segment_slide
from histofactor.segmentation.setup import SegmentOptions, load_setup, prepare
from histofactor.slides.reader import open_slide


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_the_same_labels(tiny_encoder, tiny_bank, tissue, method):
    options = SegmentOptions(components=5)
    first = load_setup(tiny_encoder, options=options)
    bank = tiny_bank if METHODS[method].needs_bank else None
    segmenter = prepare(encoder=tiny_encoder, concepts=bank, method=method, options=options)
    with open_slide(tissue, source_mpp=1.0) as slide:
        cache = cache_features(slide, first)
        ours, anew = segment_slide(slide, segmenter, cache=cache), segment_slide(slide, segmenter)
    same = (ours.label_map.labels == anew.label_map.labels).mean()
    assert same > 0.999
    assert ours.recipe == anew.recipe
    np.testing.assert_allclose(ours.tokens.residual, anew.tokens.residual, atol=2e-3)


def test_another_way_to_encode_is_refused(tiny_encoder, tiny_bank, tissue):
    segmenter = prepare(encoder=tiny_encoder, concepts=tiny_bank)
    with open_slide(tissue, source_mpp=1.0) as slide:
        cache = cache_features(slide, segmenter.setup)
        for other in (
            prepare(encoder=tiny_encoder, concepts=tiny_bank, mpp=2.0),
            prepare(encoder=tiny_encoder, concepts=tiny_bank, options=SegmentOptions(tissue=False)),
        ):
            with pytest.raises(OptionError, match="another way"):
                segment_slide(slide, other, cache=cache)


@pytest.mark.parametrize("merges", [True, False])
def test_views_see_all_pairs_of_px(tiny_encoder, merges):
    """An encoder that merges px two by two, or takes every second one, answers alike to an image that begins later."""
    y, x = np.mgrid[:192, :192]
    values = (y // 2 + x // 2) % 2 * 255 if merges else (2 * (y % 2) + x % 2) * 80

    def dense(pixels):
        pairs = torch.nn.functional.avg_pool2d(pixels, 2) ** 2 if merges else pixels[..., ::2, ::2]
        return torch.nn.functional.avg_pool2d(pairs, 4)

    spec = replace(tiny_encoder.spec, dim=3, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    encoder = Encoder(spec, dense, tiny_encoder.device)
    setup = load_setup(encoder, options=SegmentOptions(tissue=False))
    found = []
    for begin in (0, 1):
        image = np.repeat(values[begin:, begin:, None], 3, 2).astype(np.uint8)
        with open_slide(np.ascontiguousarray(image), source_mpp=1.0) as slide:
            found.append(np.concatenate([part.B for part in cache_features(slide, setup).parts])[8:-8, 8:-8])
    expected = (0.5 + 3 * 0.25) / 4 if merges else 120 / 255
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)
    np.testing.assert_allclose(found[1], expected, rtol=1e-5)
