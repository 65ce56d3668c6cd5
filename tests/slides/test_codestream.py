import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from histofactor.slides.codestream import jpeg2000_claim, jpeg_claim, webp_claim


def encoded(format_, size, mode="RGB", **options):
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, format_, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("claim_of", "format_", "options"),
    [
        (jpeg_claim, "JPEG", {}),
        (jpeg_claim, "JPEG", {"progressive": True, "comment": b"x" * 70}),
        (jpeg2000_claim, "JPEG2000", {}),
        (jpeg2000_claim, "JPEG2000", {"no_jp2": True}),
        (webp_claim, "WEBP", {}),
        (webp_claim, "WEBP", {"lossless": True}),
        (webp_claim, "WEBP", {"xmp": b"x"}),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)[:40]),
)
def test_a_header_claims_the_size_that_was_encoded(claim_of, format_, options):
    for size in ((37, 91), (300, 20)):
        claim = claim_of(encoded(format_, size, **options))
        assert claim[:2] == size
        assert claim[2] in (3, 4)
    data = encoded(format_, (37, 91), **options)
    assert claim_of(data[:15]) is None
    assert claim_of(b"") is None


def test_grey_has_one_component():
    assert jpeg_claim(encoded("JPEG", (20, 30), "L")) == (20, 30, 1)
    assert jpeg2000_claim(encoded("JPEG2000", (20, 30), "L")) == (20, 30, 1)


@given(
    data=st.binary(max_size=200),
    start=st.sampled_from([b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"RIFF0000WEBPVP8L", b""]),
)
def test_noise_claims_nothing_or_a_size(data, start):
    for claim_of in (jpeg_claim, jpeg2000_claim, webp_claim):
        claim = claim_of(start + data)
        assert claim is None or min(claim) >= 0


def test_a_box_of_no_length_ends_the_search():
    signature = encoded("JPEG2000", (20, 30))[:12]
    assert jpeg2000_claim(signature + bytes(64)) is None
    assert jpeg2000_claim(signature + np.array([1], ">u4").tobytes() + b"jp2h" + bytes(64)) is None
