"""What every slide with levels promises, whoever reads its bytes."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from histofactor.errors import ImageError, OptionError
from histofactor.records import Region, SlideInfo
from histofactor.slides import pyramid as levels
from histofactor.slides.pyramid import LeveledSlide, choose_level, lay_out
from histofactor.slides.reader import open_slide

KINDS = ("svs", "svs of odd size", "scn", "tiff pages", "tiff subifds", "tiff of odd size", "tiff jpeg")
SCALES = (1, 1.97, 1.985, 2, 3.3, 4, 7.7)


@pytest.fixture(scope="module")
def slide_of(tmp_path_factory, texture, write_svs, write_tiff, write_scn):
    folder = tmp_path_factory.mktemp("slides")
    even, odd = texture(640, 512), texture(601, 503)
    paths = {
        "svs": write_svs(folder / "even.svs", even),
        "svs of odd size": write_svs(folder / "odd.svs", odd),
        "scn": write_scn(
            folder / "a.scn", (2000, 1500), {(301, 203): texture(256, 192), (700, 520): texture(128, 128)}
        ),
        "tiff pages": write_tiff(folder / "pages.tif", even),
        "tiff subifds": write_tiff(folder / "subifds.ome.tif", even, subifds=True),
        "tiff of odd size": write_tiff(folder / "odd.tif", odd),
        "tiff jpeg": write_tiff(folder / "jpeg.tif", even, compression="jpeg", subsampling=(1, 1)),
    }
    return lambda kind: open_slide(paths[kind])


def grid_of(slide, scale):
    """Size in output px of the largest area that holds whole px at a scale."""
    return int(slide.info.size[0] / scale), int(slide.info.size[1] / scale)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kind", KINDS)
def test_pieces_give_the_px_of_one_large_read(slide_of, kind, scale):
    with slide_of(kind) as slide:
        columns, rows = grid_of(slide, scale)
        whole = slide.read(Region(0, 0, columns * scale, rows * scale, (columns, rows)))
        pieced = np.zeros_like(whole)
        for top in range(0, rows, 37):
            for left in range(0, columns, 53):
                width, height = min(53, columns - left), min(37, rows - top)
                region = Region(left * scale, top * scale, width * scale, height * scale, (width, height))
                pieced[top : top + height, left : left + width] = slide.read(region)
        difference = np.abs(whole.astype(int) - pieced)
    assert difference.max() <= (0 if scale in (1, 2, 4) and "odd" not in kind else 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_split_read_equals_one_at_once(slide_of, kind, monkeypatch):
    with slide_of(kind) as slide:
        region = Region(0, 0, *slide.info.size, (181, 143))
        at_once = slide.read(region)
        monkeypatch.setattr(levels, "_MAX_PX", 5000)
        split = slide.read(region)
    assert split.shape == at_once.shape
    assert np.abs(split.astype(int) - at_once).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_threads_read_what_one_thread_reads(slide_of, kind):
    with slide_of(kind) as slide:
        regions = [Region(7.5 * i % 300, 5 * i % 200, 190.5, 180.25, (37, 29)) for i in range(48)]
        with ThreadPoolExecutor(4) as pool:
            threaded = list(pool.map(slide.read, regions))
        for region, read in zip(regions, threaded, strict=True):
            assert np.array_equal(read, slide.read(region))


@pytest.mark.parametrize("kind", KINDS)
def test_a_read_shows_the_slide_at_every_scale(slide_of, kind):
    with slide_of(kind) as slide:
        width, height = slide.info.size
        full = Image.fromarray(slide.read(Region(0, 0, width, height, (width, height))))
        for scale in (2, 3.3, 5):
            columns, rows = grid_of(slide, scale)
            box = (0, 0, columns * scale, rows * scale)
            expected = np.asarray(full.resize((columns, rows), Image.Resampling.BICUBIC, box=box)).astype(int)
            read = slide.read(Region(0, 0, *box[2:], (columns, rows)))
            assert np.abs(read - expected).mean() < 8  # the levels were made by other filters; a shift gives 30


@pytest.mark.parametrize("kind", KINDS)
def test_closed_and_outside(slide_of, kind):
    with slide_of(kind) as slide:
        width, height = slide.info.size
        with pytest.raises(OptionError, match="cannot be read"):
            slide.read(Region(width - 5, 0, 10, 10, (10, 10)))
        noisy = Region(-1e-9, -1e-9, width + 2e-9, height + 2e-9, (width, height))
        assert np.array_equal(slide.read(noisy), slide.read(Region(0, 0, width, height, (width, height))))
        slide.read(Region(0, 0, 10, 10, (10, 10)))[:] = 0
    with pytest.raises(ImageError, match="is closed"):
        slide.read(Region(0, 0, 10, 10, (10, 10)))


@pytest.mark.parametrize(
    ("scale", "index"),
    [(0.3, 0), (1, 0), (1.9, 0), (1.985, 1), (2, 1), (3.9, 1), (4, 2), (15, 2), (16.0, 3), (1000, 3)],
)
def test_the_coarsest_level_that_is_fine_enough_is_chosen(scale, index):
    sizes = [(10_003, 8_001), (5_001, 4_000), (2_500, 2_000), (625, 500)]
    assert choose_level(lay_out(sizes), scale) == index


class Pattern(LeveledSlide):
    """A slide whose px are kept in memory, as an image of every level."""

    def __init__(self, images, bounds=None):
        self._images, self.boxes = images, []
        width, height = images[0].size if bounds is None else (bounds[2] - bounds[0], bounds[3] - bounds[1])
        super().__init__(
            SlideInfo(None, (width, height), None, (1.0,), "memory"), lay_out([image.size for image in images], bounds)
        )

    @property
    def _closed(self):
        return False

    def _read_px(self, level, box):
        self.boxes.append(box)
        return self._images[level].crop(box)

    def close(self):
        pass


@given(
    scale=st.floats(0.3, 6), left=st.integers(5, 40), top=st.integers(5, 40), cols=st.integers(1, 12),
    rows=st.integers(1, 12),
)  # fmt: skip
def test_a_slide_in_bounds_reads_as_its_image_alone(texture, scale, left, top, cols, rows):
    image = texture(160, 140)
    bounds = (left, top, left + 100, top + 90)
    slide, plain = (
        Pattern([Image.fromarray(image)], bounds),
        open_slide(image[top : top + 90, left : left + 100].copy()),
    )
    cols, rows = min(cols, int(100 / scale)), min(rows, int(90 / scale))
    region = Region(1.5 * scale % 3, 0, min(cols * scale, 97), min(rows * scale, 90), (cols, rows))
    assert np.abs(slide.read(region).astype(int) - plain.read(region)).max() <= 1


def test_px_are_copied_without_a_margin_at_scale_1():
    slide = Pattern([Image.new("RGB", (100, 100))])
    slide.read(Region(10, 20, 30, 40, (30, 40)))
    slide.read(Region(10, 20, 30, 40, (15, 20)))
    assert slide.boxes == [(10, 20, 40, 60), (5, 15, 45, 65)]


@pytest.mark.parametrize("step", [2, 3, 4])
@pytest.mark.parametrize("start", [(0, 0), (12, 24), (60, 0)])
def test_whole_steps_are_reduced_as_pillow_reduces_them(texture, step, start):
    image = Image.fromarray(texture(480, 360))
    size = ((480 - start[0]) // step - 3, (360 - start[1]) // step - 5)
    box = (*start, start[0] + step * size[0], start[1] + step * size[1])
    found = levels._resample(image, size, tuple(map(float, box)))
    narrow = image.resize((size[0], 360), levels.RESAMPLE, box=(box[0], 0, box[2], 360))
    expected = np.asarray(narrow.resize(size, levels.RESAMPLE, box=(0, box[1], size[0], box[3])))
    assert levels._whole_step(size, tuple(map(float, box))) == step
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


@pytest.mark.parametrize("box", [(0.5, 0, 20.5, 20), (0, 0, 20, 21), (3, 0, 23, 20), (0, 0, 15, 15)])
def test_other_boxes_are_left_to_pillow(box):
    assert levels._whole_step((10, 10), tuple(map(float, box))) == 0
