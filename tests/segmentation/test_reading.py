"""Windows are read whole; unreadable px come back in working px of the input."""

import numpy as np

from histofactor.errors import UnreadableRegion
from histofactor.segmentation.reading import read_window
from histofactor.slides.geometry.frame import make_frame
from histofactor.slides.geometry.windows import Window
from histofactor.slides.reader import open_slide


def test_a_window_beyond_the_image_is_mirrored(tissue):
    with open_slide(tissue, source_mpp=1.0) as slide:
        frame = make_frame(slide.info, 1.0, 8)
        pixels = read_window(slide, frame, Window(-16, -8, (64, 64)))
    assert pixels.unreadable == ()
    np.testing.assert_array_equal(pixels.rgb[8:, 16:], tissue[:56, :48])
    np.testing.assert_array_equal(pixels.rgb[:8, 16:], tissue[:8, :48][::-1])


class Damaged:
    """A slide whose level-0 square from (200, 120) to (230, 140) cannot be read."""

    def __init__(self, slide):
        self.slide, self.info = slide, slide.info

    def read(self, region):
        if region.x < 230 and region.x + region.width > 200 and region.y < 140 and region.y + region.height > 120:
            raise UnreadableRegion("damaged")
        return self.slide.read(region)


def test_unreadable_px_are_found_and_told(tissue):
    with open_slide(tissue, source_mpp=1.0) as slide:
        frame = make_frame(slide.info, 1.0, 8)
        pixels = read_window(Damaged(slide), frame, Window(128, -8, (256, 256)))
    lost = np.zeros((300, 400), bool)
    for x, y, width, height in pixels.unreadable:
        lost[y : y + height, x : x + width] = True
    assert lost[120:140, 200:230].all()
    assert lost.sum() <= 4 * 64 * 64
    inside = pixels.rgb[8:, :][~lost[:248, 128:384]]
    np.testing.assert_array_equal(inside, tissue[:248, 128:384][~lost[:248, 128:384]])
