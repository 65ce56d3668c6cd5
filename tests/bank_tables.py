"""Tables of concepts as the paper publishes them, and what is read of them."""

import numpy as np


def table(k, channels=5, dtype=np.float32):
    """(k, channels) numbers from 0 to 100."""
    return (np.random.default_rng(k).random((k, channels)) * 100).astype(dtype)


def equal(ours, theirs):
    """Check that tables by K have the numbers of other tables, and are as the package promises them."""
    assert ours.keys() == theirs.keys()
    for k, values in ours.items():
        assert values.dtype == np.float32
        assert values.flags.c_contiguous
        assert values.flags.writeable
        np.testing.assert_array_equal(values, theirs[k].astype(np.float32))
