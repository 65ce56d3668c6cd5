"""Damage is cut down to small blocks and everything else is read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histofactor.errors import UnreadableRegion
from histofactor.records import Region
from histofactor.slides.blocks import read_blocks
from histofactor.slides.reader import open_slide

IMAGE = np.random.default_rng(0).integers(0, 256, (300, 420, 3), np.uint8)


class Damaged:
    """A slide that cannot be read at some level-0 points (x, y)."""

    def __init__(self, points):
        self.slide, self.points = open_slide(IMAGE, source_mpp=1.0), points

    def read(self, region):
        if any(0 <= x - region.x < region.width and 0 <= y - region.y < region.height for x, y in self.points):
            raise UnreadableRegion("damaged")
        return self.slide.read(region)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 419), st.integers(0, 299)), max_size=3))
def test_only_blocks_with_damage_are_lost(points):
    rgb, unreadable = read_blocks(Damaged(points), Region(0, 0, 420, 300, (420, 300)))
    lost = np.zeros((300, 420), bool)
    for x, y, width, height in unreadable:
        assert max(width, height) <= 64
        assert any(x <= px < x + width and y <= py < y + height for px, py in points)
        lost[y : y + height, x : x + width] = True
    assert all(lost[y, x] for x, y in points)
    np.testing.assert_array_equal(rgb[~lost], IMAGE[~lost])


def test_reduced_reads_find_the_same_place():
    rgb, unreadable = read_blocks(Damaged([(250, 130)]), Region(0, 0, 420, 300, (210, 150)))
    assert rgb.shape == (150, 210, 3)
    ((x, y, width, height),) = unreadable
    assert x <= 125 < x + width
    assert y <= 65 < y + height


def test_other_errors_pass():
    class Broken:
        def read(self, region):
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        read_blocks(Broken(), Region(0, 0, 420, 300, (420, 300)))
