"""Maps of a page come out of their packing as they went in, and lie on the image."""

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from histofactor.export.overlay import labels_at
from histofactor.export.picture import MARGIN_LEVELS, pack, page_maps

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))


def unpacked(packed, dtype, size):
    """As the page's script does it."""
    values = np.frombuffer(zlib.decompress(packed), np.dtype(dtype).newbyteorder("<")).astype(dtype).reshape(size[::-1])
    return np.cumsum(values, axis=0, dtype=dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@given(data=st.data())
def test_what_is_packed_comes_out(dtype, data):
    values = data.draw(arrays(dtype, SIZES))
    np.testing.assert_array_equal(unpacked(pack(values), dtype, values.shape[::-1]), values)


def test_labels_and_margin_lie_on_the_image(make_segmentation):
    segmentation = make_segmentation([[1, 0, 2], [3, 3, 4]])
    wide = segmentation.label_map.labels.astype(np.uint16)
    wide[4:, 8:] = 300  # more than 8 bits hold
    object.__setattr__(segmentation.label_map, "labels", wide)
    maps = page_maps(segmentation, (24, 16))
    labels = unpacked(maps.labels, np.uint16, maps.size)
    np.testing.assert_array_equal(labels, labels_at(segmentation, (24, 16)))
    assert labels[-1, -1] == 300
    margin = unpacked(maps.margin, np.uint8, maps.margin_size)
    expected = segmentation.margin.repeat(2, 0).repeat(2, 1)
    np.testing.assert_allclose(margin / (MARGIN_LEVELS - 1), expected, atol=0.5 / (MARGIN_LEVELS - 1) + 1e-6)
