"""Plane by plane gives what the last axis gives."""

import numpy as np
import pytest
from scipy import ndimage

from histofactor.slides.channels import distance_px, extremes


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_extremes(dtype):
    values = np.random.default_rng(0).integers(0, 256, (37, 23, 3)).astype(dtype)
    least, most = extremes(values)
    np.testing.assert_array_equal(least, values.min(axis=2))
    np.testing.assert_array_equal(most, values.max(axis=2))


@pytest.mark.parametrize("share", [0.5, 0.99, 0.9999])
def test_distances_are_euclidean(share):
    mask = np.random.default_rng(0).random((120, 90)) < share
    mask[50, 40] = False
    np.testing.assert_allclose(distance_px(mask), ndimage.distance_transform_edt(mask), rtol=1e-5)
