import numpy as np
import openslide
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histofactor.errors import OptionError, OutputError
from histofactor.slides.phantom import BACKGROUND, FAT, GLAND, GLASS
from histofactor.slides.phantom_slide import plan_slide, write_phantom_slide

SIZE, BLOCK_PX, MPP = (1900, 1300), 256, 1.0


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """A written slide: its path and its plan."""
    path = tmp_path_factory.mktemp("phantom") / "slide.tif"
    return path, write_phantom_slide(path, SIZE, seed=5, mpp=MPP, block_px=BLOCK_PX)


@pytest.fixture(scope="module")
def pixels(slide):
    """Level 0 as OpenSlide reads it."""
    with openslide.OpenSlide(slide[0]) as opened:
        return np.asarray(opened.read_region((0, 0), 0, SIZE).convert("RGB"))


@pytest.fixture(scope="module")
def whole(slide):
    """The truth of level 0."""
    return slide[1].truth(0, 0, *SIZE)


def endless(square):
    """A square mirrored at its edges until it covers the slide."""
    missing = [(0, SIZE[1] - len(square)), (0, SIZE[0] - len(square)), (0, 0)][: square.ndim]
    return np.pad(square, missing, mode="symmetric")


def owners(plan):
    """Which field every px of the slide shows, from the formula of the outlines in polar coordinates."""
    rows, cols = np.mgrid[: SIZE[1], : SIZE[0]].astype(float)
    shown = np.zeros(rows.shape, int)
    for index, outline in enumerate(plan._outlines, start=1):
        u, v = (cols - outline.center[0]) / outline.axes[0], (rows - outline.center[1]) / outline.axes[1]
        theta = np.arctan2(v, u)
        edge = np.ones_like(u)
        for (count, height), phase in zip(((2, 0.05), (5, 0.03), (9, 0.02)), outline.phases, strict=True):
            edge += height * np.sin(count * theta + phase)
        shown[np.hypot(u, v) * (np.cos(theta) ** 4 + np.sin(theta) ** 4) ** 0.25 < edge] = index
    return shown


def test_openslide_opens_it_with_its_levels_and_resolution(slide):
    with openslide.OpenSlide(slide[0]) as opened:
        assert opened.properties["openslide.vendor"] == "generic-tiff"
        assert opened.level_dimensions == (SIZE, (475, 325), (118, 81))
        assert opened.level_downsamples == pytest.approx((1, 4, 16), rel=0.01)
        assert float(opened.properties["openslide.mpp-x"]) == pytest.approx(MPP)
        assert float(opened.properties["openslide.mpp-y"]) == pytest.approx(MPP)


def test_every_px_and_its_truth_are_those_of_the_plan(slide, whole, pixels):
    plan = slide[1]
    shown = owners(plan)
    image, truth = np.zeros_like(pixels), np.zeros(shown.shape, np.uint8)
    for index, field in enumerate(plan._fields):
        image[shown == index] = endless(field.images[0])[shown == index]
        truth[shown == index] = endless(field.truth)[shown == index]
    assert set(np.unique(shown)) == set(range(7))
    assert (whole != truth).mean() < 1e-4  # rounding on the outlines
    error = np.abs(pixels[..., 1].astype(int) - image[..., 1])
    assert error.mean() < 4
    assert np.percentile(error, 99.9) < 40  # a px that came from another place would be off by 100 and more


def test_the_truth_is_what_the_px_show(whole, pixels):
    assert np.abs(pixels[whole == BACKGROUND].mean(axis=0) - GLASS).max() < 2
    stained = (whole != BACKGROUND) & (whole != FAT) & (whole != GLAND)  # fat and lumina are as pale as glass
    assert (pixels[stained][:, 1] < 215).mean() > 0.95


def test_lower_levels_show_the_same_slide(slide, pixels):
    with openslide.OpenSlide(slide[0]) as opened:
        for level, downsample in ((1, 4), (2, 16)):
            width, height = opened.level_dimensions[level]
            drawn = np.asarray(opened.read_region((0, 0), level, (width, height)).convert("RGB")).astype(float)
            cut = pixels[: height * downsample, : width * downsample].astype(float)
            mean = cut.reshape(height, downsample, width, downsample, 3).mean(axis=(1, 3))
            assert abs((drawn - mean).mean()) < 1.5
            assert np.corrcoef(drawn.ravel(), mean.ravel())[0, 1] > 0.96, level


@settings(max_examples=40)
@given(st.data())
def test_a_region_of_truth_is_cut_from_the_whole(slide, whole, data):
    plan = slide[1]
    x, y = (data.draw(st.integers(0, side - 8)) for side in SIZE)
    width, height = (
        data.draw(st.integers(8, min(600, side - start))) for side, start in zip(SIZE, (x, y), strict=True)
    )
    step = data.draw(st.integers(1, 8))
    fine = plan.truth(x, y, width, height)
    assert np.array_equal(fine, whole[y : y + height, x : x + width])
    middles = fine[step // 2 :: step, step // 2 :: step][: height // step, : width // step]
    assert np.array_equal(plan.truth(x, y, width, height, step=step), middles)


@pytest.mark.parametrize("size", [(2048, 2048), (12_000, 8_000), (30_000, 50_000)])
def test_half_of_a_slide_of_any_size_is_tissue(size):
    plan = plan_slide(size, seed=1, mpp=4.0, block_px=256)
    assert 0.45 < (plan.truth(0, 0, *size, step=max(size) // 300) != BACKGROUND).mean() < 0.65


def test_nothing_grows_with_the_size():
    plan = plan_slide((4_000_000, 3_000_000), block_px=64)
    assert plan.truth(666_000, 750_000, 300, 200).any()  # the middle of the first piece
    assert not plan.truth(0, 0, 300, 200).any()
    assert isinstance(next(plan._tiles(0)), bytes)


def test_tiles_that_recur_are_the_same_bytes():
    tiles = list(plan_slide((6000, 4000), block_px=64, mpp=2.0)._tiles(0))
    outlined = 6 * 2 * (2000 + 2000) / 256
    assert len(tiles) == 24 * 16
    assert len(set(tiles)) < outlined + 7 < len(tiles)


def test_the_arguments_decide_every_byte(tmp_path):
    for name, seed in (("one.tif", 1), ("again.tif", 1), ("other.tif", 2)):
        write_phantom_slide(tmp_path / name, (300, 400), seed=seed, block_px=64)
    one, again, other = ((tmp_path / name).read_bytes() for name in ("one.tif", "again.tif", "other.tif"))
    assert one == again
    assert one != other


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((100, 3000), {}),
        ((3000, 0), {}),
        ((512, 512), {"block_px": 100}),
        ((512, 512), {"block_px": 32}),
        ((512, 512), {"mpp": 0.0, "block_px": 64}),
    ],
)
def test_impossible_slides_are_refused(tmp_path, size, options):
    with pytest.raises(OptionError):
        write_phantom_slide(tmp_path / "slide.tif", size, **options)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        write_phantom_slide(tmp_path / "file" / "slide.tif", (300, 300), block_px=64)


@pytest.mark.parametrize(
    ("region", "step"),
    [((-1, 0, 9, 9), 1), ((0, 0, SIZE[0] + 1, 9), 1), ((0, 0, 0, 9), 1), ((0, 0, 3, 3), 4), ((0, 0, 9, 9), 0)],
)
def test_truth_outside_the_slide_is_refused(slide, region, step):
    with pytest.raises(OptionError, match="truth cannot be read"):
        slide[1].truth(*region, step=step)
