"""A thumbnail read in parts is that of one read."""

import numpy as np

from histofactor.errors import UnreadableRegion
from histofactor.records import Region
from histofactor.slides import thumbnail as module
from histofactor.slides.reader import open_slide
from histofactor.slides.thumbnail import read_thumbnail


def test_parts_leave_no_trace(tissue, monkeypatch):
    with open_slide(tissue, source_mpp=0.5) as slide:
        whole = slide.read(Region(0, 0, 400, 300, (133, 100)))
        for part_px in (4096, 100, 37):
            monkeypatch.setattr(module, "_PART_PX", part_px)
            rgb, readable = read_thumbnail(slide, (133, 100))
            assert readable.all()
            assert np.abs(rgb.astype(int) - whole).max() <= 1


def test_what_cannot_be_read_is_told(tissue):
    class Damaged:
        def __init__(self, slide):
            self.slide, self.info = slide, slide.info

        def read(self, region):
            if region.x + region.width > 380:
                raise UnreadableRegion("damaged")
            return self.slide.read(region)

    with open_slide(tissue, source_mpp=0.5) as slide:
        rgb, readable = read_thumbnail(Damaged(slide), (400, 300))
    assert not readable[:, 380:].any()
    assert readable[:, :300].all()
    np.testing.assert_array_equal(rgb[readable], tissue[readable])
