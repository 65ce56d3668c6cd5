"""Px between tokens: as bilinear upsampling places them."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from histofactor.errors import OptionError
from histofactor.masks.lattice import check_fit, place


@given(tokens=st.integers(1, 9), px=st.integers(1, 70), seed=st.integers(0, 99))
@example(tokens=7, px=55, seed=0)
def test_places_are_those_of_interpolate(tokens, px, seed):
    line = np.random.default_rng(seed).random(tokens, dtype=np.float32)
    cell, part = place(tokens, px)
    ours = line[cell] + part * (line[np.minimum(cell + 1, tokens - 1)] - line[cell])
    theirs = torch.nn.functional.interpolate(torch.from_numpy(line)[None, None], px, mode="linear")[0, 0].numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert (part >= 0).all()
    assert (part <= 1).all()  # of 7 tokens on 55 px one lies so near to the next that float32 puts it there


@pytest.mark.parametrize(
    ("shape", "size"), [((2, 3), (4, 4)), ((0, 3, 1), (4, 4)), ((2, 3, 1), (0, 4)), ((1, 1, 65535), (1, 1))]
)
def test_shapes_that_cannot_be_decoded(shape, size):
    check_fit((1, 1, 65534), (1, 1))
    with pytest.raises(OptionError, match="cannot decode"):
        check_fit(shape, size)
