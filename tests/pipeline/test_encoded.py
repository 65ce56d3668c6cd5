"""What was encoded once is segmented as if it were encoded anew."""

import numpy as np
import pytest

from histofactor.errors import OptionError
from histofactor.pipeline.encoded import encode_slide
from histofactor.pipeline.engine import SegmentOptions, prepare
from histofactor.pipeline.methods import METHODS
from histofactor.pipeline.segment import segment_slide
from histofactor.slides.reader import open_slide


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_the_same_labels(tiny_encoder, tiny_bank, tissue, method):
    options = SegmentOptions(components=5)
    first = prepare(encoder=tiny_encoder, concepts=tiny_bank, options=options)
    engine = prepare(encoder=tiny_encoder, concepts=tiny_bank, method=method, options=options)
    with open_slide(tissue, source_mpp=1.0) as slide:
        encoded = encode_slide(slide, first)
        ours, anew = segment_slide(slide, engine, encoded=encoded), segment_slide(slide, engine)
    same = (ours.label_map.labels == anew.label_map.labels).mean()
    assert same > 0.999
    assert ours.recipe == anew.recipe
    np.testing.assert_allclose(ours.tokens.residual, anew.tokens.residual, atol=2e-3)


def test_another_way_to_encode_is_refused(tiny_encoder, tiny_bank, tissue):
    engine = prepare(encoder=tiny_encoder, concepts=tiny_bank)
    with open_slide(tissue, source_mpp=1.0) as slide:
        encoded = encode_slide(slide, engine)
        for other in (
            prepare(encoder=tiny_encoder, concepts=tiny_bank, mpp=2.0),
            prepare(encoder=tiny_encoder, concepts=tiny_bank, options=SegmentOptions(tissue=False)),
        ):
            with pytest.raises(OptionError, match="another way"):
                segment_slide(slide, other, encoded=encoded)
