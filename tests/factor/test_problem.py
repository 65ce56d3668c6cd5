"""What every projection starts from: concepts of unit length, their products, and inputs that fit."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from histofactor.errors import OptionError
from histofactor.factor.problem import check_fit, gram, to_numpy, unit_concepts


@given(k=st.integers(1, 6), dim=st.integers(1, 9), seed=st.integers(0, 99))
def test_concepts_of_unit_length_and_what_they_were(k, dim, seed):
    H = np.random.default_rng(seed).gamma(0.5, 1.0, (k, dim)).astype(np.float32)
    H[0] = 0
    units, norms = unit_concepts(H)
    assert units.dtype == norms.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(units, axis=1), norms > 0, atol=1e-6)
    np.testing.assert_allclose(units * norms[:, None], H, rtol=1e-6)


def test_gram_is_the_product_in_double_precision():
    H = np.random.default_rng(0).random((5, 7), dtype=np.float32)
    np.testing.assert_array_equal(gram(H), H.astype(np.float64) @ H.astype(np.float64).T)


@pytest.mark.parametrize("shapes", [((3, 4), (2, 5)), ((3,), (2, 3)), ((3, 4), (0, 4)), ((3, 4), (4,))])
def test_shapes_that_do_not_fit(shapes):
    with pytest.raises(OptionError, match="do not fit"):
        check_fit(np.ones(shapes[0]), np.ones(shapes[1]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1])
def test_concepts_that_are_none(value):
    H = np.ones((2, 4))
    check_fit(np.ones((3, 4)), H)
    H[1, 2] = value
    with pytest.raises(OptionError, match="not valid"):
        check_fit(np.ones((3, 4)), H)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_half_precisions_widen_exactly(dtype):
    values = torch.rand(9, dtype=torch.float32).to(dtype)
    found = to_numpy(values)
    assert found.dtype == (np.float64 if dtype == torch.float64 else np.float32)
    np.testing.assert_array_equal(found, values.double().numpy())
