import cv2
import numpy as np
import openslide
import pytest
from PIL import Image
from scipy import ndimage

from histofactor.errors import OptionError
from histofactor.slides.phantom import BACKGROUND
from histofactor.slides.phantom_slide import write_phantom_slide
from histofactor.slides.tissue import glass_level, tissue_mask

GLASS, PINK, PURPLE, PALE = (244, 242, 243), (225, 150, 190), (110, 70, 150), (238, 208, 228)
MPP = 4.0  # µm per px of the synthetic thumbnails, 400 × 300 px
SLIDE_MPP = 8.0  # of the thumbnail of the phantom slide


def scene(*discs, ground=GLASS, noise=1.5, seed=0):
    """Discs (x, y, radius, colour) over a ground, with sensor noise."""
    rows, cols = np.mgrid[:300, :400]
    image = np.empty((300, 400, 3))
    image[:] = ground
    for x, y, radius, color in discs:
        image[(cols - x) ** 2 + (rows - y) ** 2 < radius**2] = color
    return np.clip(image + np.random.default_rng(seed).normal(0, noise, image.shape), 0, 255).astype(np.uint8)


def disc(x, y, radius):
    rows, cols = np.mgrid[:300, :400]
    return (cols - x) ** 2 + (rows - y) ** 2 < radius**2


def overlap(mask, truth):
    return (mask & truth).sum() / (mask | truth).sum()


@pytest.mark.parametrize("color", [PINK, PURPLE], ids=["eosin", "hematoxylin"])
@pytest.mark.parametrize("ground", [GLASS, (255, 255, 255), (222, 218, 220), (255, 238, 254)])
def test_a_piece_on_glass_of_any_white_is_found_exactly(color, ground):
    assert overlap(tissue_mask(scene((200, 150, 100, color), ground=ground), MPP), disc(200, 150, 100)) > 0.97


@pytest.mark.parametrize("color", [PINK, PURPLE, PALE])
def test_a_field_of_tissue_is_never_split(color):
    nuclei = [(x, y, 5, PURPLE) for x in range(20, 400, 60) for y in range(20, 300, 60)]
    assert tissue_mask(scene(*nuclei, ground=color, noise=6), 0.5).all()


def test_two_tissues_are_not_taken_for_tissue_and_glass():
    assert tissue_mask(scene((200, 150, 100, PURPLE), ground=PALE, noise=6), 0.5).all()


@pytest.mark.parametrize("ground", [GLASS, (255, 255, 255), (210, 210, 210)])
@pytest.mark.parametrize("mpp", [None, 0.25, 8.0])
def test_blank_images_hold_no_tissue(ground, mpp):
    assert not tissue_mask(scene(ground=ground), mpp).any()
    assert not tissue_mask(np.full((32, 32, 3), ground, np.uint8), mpp).any()


def test_vignetting_is_no_tissue():
    rows, cols = np.mgrid[:300, :400]
    shade = 245 - 50 * ((cols / 400 - 0.5) ** 2 + (rows / 300 - 0.5) ** 2) * 2
    assert not tissue_mask(np.repeat(shade[..., None], 3, axis=2).astype(np.uint8), MPP).any()


def test_a_black_scan_border_is_no_tissue():
    image = scene((200, 150, 80, PINK))
    image[:, :40] = 0
    mask = tissue_mask(image, MPP)
    assert mask[:, :38].mean() < 0.01
    assert overlap(mask, disc(200, 150, 80)) > 0.95


def test_lumina_are_filled_and_larger_gaps_are_not():
    # 0.02 mm² is a disc with a radius of 80 µm: 20 px at 4 µm/px
    image = scene((200, 150, 120, PINK), (150, 150, 16, GLASS), (250, 150, 26, GLASS))
    mask = tissue_mask(image, MPP)
    assert mask[disc(150, 150, 16)].all()
    assert not mask[disc(250, 150, 22)].any()


EDGES = {"left": (0, None), "top": (None, 0), "right": (399, None), "bottom": (None, 299)}
CORNERS = {"top left": (0, 0), "top right": (399, 0), "bottom left": (0, 299), "bottom right": (399, 299)}


@pytest.mark.parametrize("place", [*EDGES, *CORNERS])
@pytest.mark.parametrize("gap", [-48, -30, -6, 0, 1, 2, 3, 6, 12])
def test_nothing_beyond_the_border_is_evidence_of_tissue(place, gap):
    x, y = (EDGES | CORNERS)[place]
    x, y = (mid if at is None else abs(at - 60 - gap) for at, mid in ((x, 200), (y, 150)))  # 60 px: the radius
    truth = disc(x, y, 60)
    mask = tissue_mask(scene((x, y, 60, PINK)), MPP)
    assert abs(mask.sum() / truth.sum() - 1) < 0.025
    assert overlap(mask, truth) > 0.975


def test_glass_between_pieces_at_the_border_stays_glass():
    truth = disc(150, 255, 51) | disc(250, 255, 51)  # they touch
    mask = tissue_mask(scene((150, 255, 51, PINK), (250, 255, 51, PINK)), 2.0)
    assert mask[254, 200]
    assert not mask[290:, 195:205].any()
    assert abs(mask.sum() / truth.sum() - 1) < 0.05


@pytest.mark.parametrize(("y", "filled"), [(6, True), (-8, False)], ids=["deeper than wide", "shallower"])
def test_a_lumen_that_the_border_cuts_is_filled_where_its_tissue_is_seen_to_go_around(y, filled):
    image = scene((200, 100, 190, PINK), (200, y, 17, GLASS))  # its mouth is more than 60 µm wide
    assert tissue_mask(image, MPP)[disc(200, y, 14)].all() == filled


def test_a_corner_of_glass_in_a_field_of_tissue_stays_glass():
    nuclei = [(x, y, 5, PURPLE) for x in range(20, 400, 60) for y in range(20, 300, 60)]
    mask = tissue_mask(scene(*nuclei, (0, 0, 60, GLASS), ground=PINK, noise=4), 1.0)
    assert overlap(~mask, disc(0, 0, 60)) > 0.85


def test_the_limits_are_areas_in_um():
    image = scene((200, 150, 120, PINK), (250, 150, 26, GLASS), (20, 20, 8, PINK))
    fine, coarse = tissue_mask(image, 1.0), tissue_mask(image, 8.0)
    assert fine[150, 250]  # 26 µm: a lumen
    assert not coarse[150, 250]  # 208 µm: a gap
    assert not fine[20, 20]  # 8 µm: dust
    assert coarse[20, 20]  # 64 µm: a small piece
    assert np.array_equal(tissue_mask(image, None), tissue_mask(image, 0.5))


def test_faint_tissue_counts_only_where_it_touches_dense_tissue():
    faint = (236, 212, 230)
    mask = tissue_mask(scene((120, 150, 60, PINK), (170, 150, 60, faint), (330, 150, 40, faint)), MPP)
    assert mask[150, 215]
    assert not mask[disc(330, 150, 45)].any()


def test_grey_images_are_judged_by_density_alone():
    image = scene((200, 150, 100, (120, 120, 120)), noise=0)
    image[..., :] = image[..., :1]
    assert overlap(tissue_mask(image, MPP), disc(200, 150, 100)) > 0.97


def test_glass_is_measured_on_flat_bright_px_only():
    assert np.abs(glass_level(scene((200, 150, 100, PINK), ground=(250, 236, 248))) - (250, 236, 248)).max() <= 1.5
    assert np.array_equal(glass_level(scene(ground=PALE, noise=8)), [245, 245, 245])


INKS = {
    "blue": (40, 60, 200),
    "navy": (20, 20, 90),
    "green": (20, 140, 70),
    "red": (215, 40, 45),
    "black": (20, 20, 25),
    "bluish black": (45, 45, 60),
}


@pytest.fixture(scope="module")
def slide_thumbnail(tmp_path_factory):
    """Image and truth of a phantom slide of 6 × 4 mm at 8 µm/px."""
    path = tmp_path_factory.mktemp("tissue") / "slide.tif"
    plan = write_phantom_slide(path, (3000, 2000), seed=1, mpp=2.0, block_px=512)
    with openslide.OpenSlide(path) as slide:
        image = np.asarray(slide.read_region((0, 0), 1, slide.level_dimensions[1]).convert("RGB"))
    return image, plan.truth(0, 0, 3000, 2000, step=4)


@pytest.mark.parametrize("color", INKS.values(), ids=INKS.keys())
def test_pen_is_no_tissue_and_tissue_beside_it_stays(slide_thumbnail, color):
    image, truth = slide_thumbnail
    line = np.zeros(truth.shape, np.float32)
    corners = np.array([[-9, 40], [230, 260], [460, 240], [480, -9]], np.int32)  # across tissue, along it, on glass
    cv2.polylines(line, [corners], False, 1.0, 36, cv2.LINE_AA)
    line = cv2.GaussianBlur(line, (0, 0), 2.0)[..., None]  # out of focus
    drawn = np.round(image * (1 - line) + image / 255.0 * np.array(color) * line).astype(np.uint8)
    before, after = tissue_mask(image, SLIDE_MPP), tissue_mask(drawn, SLIDE_MPP)
    glass, line = truth == BACKGROUND, line[..., 0]
    assert after[glass & (line > 0.02)].mean() < before[glass & (line > 0.02)].mean() + 0.03
    away = before & ~glass & (line < 0.01)
    assert after[away].mean() > 0.995
    assert (after & ~before)[line < 0.01].mean() < 0.002


@pytest.mark.parametrize("color", [(150, 150, 158), (90, 88, 86), (200, 196, 198)])
def test_coverslip_edges_and_dust_are_no_tissue(color):
    image = scene((200, 150, 60, PINK), (330, 60, 12, color))
    image[20:28] = color
    image[:, 370:374] = color
    mask = tissue_mask(image, MPP)
    assert overlap(mask, disc(200, 150, 60)) > 0.95


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("ground", [GLASS, (226, 220, 228), (215, 205, 220), (190, 188, 189)])
def test_what_was_never_scanned_is_no_tissue(value, ground):
    image = scene((260, 150, 80, PINK), ground=ground)
    image[:, :230] = value
    assert overlap(tissue_mask(image, MPP), disc(260, 150, 80) & (np.arange(400) >= 230)) > 0.95


@pytest.mark.parametrize("mpp", [0.25, 2.0, 8.0])
@pytest.mark.parametrize("color", [(0, 0, 0), (3, 1, 2), (9, 2, 6), (16, 16, 16), (20, 12, 17)], ids=str)
@pytest.mark.parametrize("noise", [0, 2.5])
def test_a_black_image_is_no_tissue(color, noise, mpp):
    assert not tissue_mask(scene(ground=color, noise=noise), mpp).any()


@pytest.mark.parametrize("grey", [False, True], ids=["colour", "grey"])
@pytest.mark.parametrize("color", [(0, 0, 0), (3, 1, 2), (6, 2, 9), (18, 18, 18)], ids=str)
@pytest.mark.parametrize("mpp", [0.5, 4.0])
def test_black_padding_beside_tissue_is_no_tissue(color, mpp, grey):
    image = scene((200, 150, 120, PINK), noise=1.0)
    padding = np.ones((300, 400), bool)
    padding[25:270, 100:390] = False  # beside tissue at the left and the bottom, beside glass elsewhere
    image[padding] = color
    if grey:
        image[:] = image.mean(axis=2, keepdims=True).astype(np.uint8)
    mask = tissue_mask(image, mpp)
    assert mask[padding].mean() < 0.01
    assert overlap(mask, disc(200, 150, 120) & ~padding) > 0.9


@pytest.mark.parametrize("color", [(30, 15, 60), (70, 35, 15), (45, 20, 50)], ids=["blue", "brown", "violet"])
def test_dark_tissue_is_tissue(color):
    nuclei = [(x, y, 5, color) for x in range(20, 400, 12) for y in range(20, 300, 12)]  # up to 20 µm at 2 µm/px
    pigment = [(x, y, 2, (8, 6, 5)) for x in range(50, 350, 30) for y in range(50, 250, 30)]
    assert tissue_mask(scene(*nuclei, *pigment, ground=PURPLE), 2.0).all()
    grey = scene((200, 150, 100, (40, 40, 40)), noise=0)
    grey[:] = grey[..., :1]
    assert overlap(tissue_mask(grey, MPP), disc(200, 150, 100)) > 0.97


@pytest.mark.parametrize(
    ("thumbnail", "mpp"),
    [
        (np.zeros((20, 20), np.uint8), 1.0),
        (np.zeros((20, 20, 3), np.float32), 1.0),
        (np.zeros((20, 20, 3), np.uint8), 0.0),
        (np.zeros((20, 20, 3), np.uint8), float("nan")),
    ],
)
def test_bad_arguments_are_refused(thumbnail, mpp):
    with pytest.raises(OptionError):
        tissue_mask(thumbnail, mpp)


def test_the_input_is_left_alone_and_the_mask_turns_with_the_image():
    image = scene((150, 120, 80, PINK), (150, 120, 12, GLASS))
    image.flags.writeable = False
    mask = tissue_mask(image, MPP)
    turned = tissue_mask(np.ascontiguousarray(image[::-1, ::-1]), MPP)
    assert np.array_equal(mask, turned[::-1, ::-1])


# --- real images ------------------------------------------------------------------------------------


def real_thumbnail(path, long_side=1024):
    with Image.open(path) as image:
        factor = max(1.0, max(image.size) / long_side)
        size = (round(image.width / factor), round(image.height / factor))
        return np.asarray(image.convert("RGB").resize(size)), factor


def test_colon_fields_lose_glass_only(shared):
    whole = 0
    for path in sorted((shared / "data" / "glas-dev" / "images").iterdir())[::6]:
        thumbnail, factor = real_thumbnail(path)
        mask = tissue_mask(thumbnail, 0.62 * factor)
        green = ndimage.uniform_filter(thumbnail[..., 1].astype(float), 9)
        lost = ndimage.binary_erosion(~mask, np.ones((9, 9)), border_value=1)  # where the mean reaches no tissue
        assert (green[lost] > 225).sum() >= 0.95 * lost.sum(), path.name
        whole += mask.all()
    assert whole >= 9  # of 14


def test_a_blank_slide_holds_almost_nothing(shared):
    thumbnail, _ = real_thumbnail(shared / "data" / "slides" / "kidney-48-5.tif")
    assert tissue_mask(thumbnail, None).mean() < 0.01


def test_a_scan_region_with_glass_on_both_sides(shared):
    thumbnail, factor = real_thumbnail(shared / "data" / "slides" / "cmu-1-small-region.svs")
    mask = tissue_mask(thumbnail, 0.499 * factor)
    dark = ndimage.uniform_filter(thumbnail[..., 1].astype(float), 9)
    assert 0.3 < mask.mean() < 0.5
    assert mask[dark < 180].mean() > 0.95
    assert mask[dark > 238].mean() < 0.05
