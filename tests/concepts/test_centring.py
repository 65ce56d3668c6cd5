"""Centring in the space of responses is centring of tokens."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from histofactor.concepts.centring import centred, centred_responses, offset_of, with_offset
from histofactor.records import Centring, SlideMean


@given(seed=st.integers(0, 2**32 - 1), d=st.integers(1, 9), r=st.integers(1, 6), share=st.floats(0.01, 1))
def test_responses_are_those_of_centred_tokens(seed, d, r, share):
    rng = np.random.default_rng(seed)
    views = rng.random((3, 7, d)).astype(np.float32)  # what a token is the mean of
    x, sq_norms = views.mean(0), (views**2).sum(-1).mean(0)
    mean, own = rng.random((2, d)).astype(np.float32)
    directions = rng.random((d, r)).astype(np.float32)
    offset = offset_of(Centring(share, mean), SlideMean(own, 1e9))
    B, norms = centred_responses(x @ with_offset(directions, offset), sq_norms, directions, offset)
    wanted = views.astype(np.float64) - share * (own.astype(np.float64) - mean)
    np.testing.assert_allclose(B, wanted.mean(0) @ directions, atol=2e-5)
    np.testing.assert_allclose(norms, (wanted**2).sum(-1).mean(0), atol=2e-5)
    tokens, also = centred(x, sq_norms, np.broadcast_to(offset, x.shape))
    np.testing.assert_allclose(tokens, wanted.mean(0), atol=2e-6)
    np.testing.assert_allclose(also, norms, atol=2e-5)


def test_a_slide_like_the_collection_stays_as_it_is():
    mean = np.array([0.25, 0.5], np.float32)
    np.testing.assert_array_equal(offset_of(Centring(0.5, mean), SlideMean(mean, 1.0)), [0, 0])


def test_little_tissue_tells_little_of_its_slide():
    mean, own = np.zeros(2, np.float32), np.ones(2, np.float32)
    taken = [offset_of(Centring(0.5, mean), SlideMean(own, mm2))[0] for mm2 in (0.0, 0.0004, 0.04, 0.4, 40)]
    np.testing.assert_allclose(taken, [0, 0.5 / 101, 0.25, 0.5 / 1.1, 0.5 / 1.001], rtol=1e-5)
