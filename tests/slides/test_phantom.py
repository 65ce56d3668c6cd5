import numpy as np
import pytest
from scipy import ndimage
from skimage.color import rgb2hed

from histofactor.errors import OptionError
from histofactor.slides.phantom import (
    BACKGROUND,
    CLASSES,
    EOSIN_OD,
    FAT,
    GLAND,
    GLASS,
    HEMATOXYLIN_OD,
    LYMPHOCYTES,
    NECROSIS,
    STROMA,
    phantom,
)
from histofactor.slides.tissue import tissue_mask


@pytest.fixture(scope="module")
def tissue():
    return phantom(seed=3)


@pytest.fixture(scope="module")
def inner(tissue):
    """Masks of every class, 5 px away from the others."""
    return [ndimage.binary_erosion(tissue.truth == index, iterations=5) for index in range(len(CLASSES))]


def unmixed(image):
    """Concentrations of hematoxylin and eosin by least squares on the optical density."""
    density = -np.log10(np.maximum(image, 1) / GLASS)
    return density @ np.linalg.pinv(np.stack([HEMATOXYLIN_OD, EOSIN_OD]))


def nuclei_of(hematoxylin, mask, mpp):
    """Areas in µm² of the dark objects of a class."""
    labels, count = ndimage.label(ndimage.gaussian_filter(hematoxylin, 1) > 0.33, structure=np.ones((3, 3)))
    areas = ndimage.sum_labels(mask, labels, np.arange(1, count + 1)) * mpp**2
    return areas[areas > 4]


def test_shapes_and_names(tissue):
    assert tissue.image.shape == (2048, 2048, 3)
    assert tissue.image.dtype == tissue.truth.dtype == np.uint8
    assert tissue.truth.shape == (2048, 2048)
    assert tissue.classes == CLASSES
    assert tissue.mpp == 0.5
    assert phantom((48, 32)).truth.shape == (32, 48)


def test_the_seed_decides_every_px():
    one, again, other = phantom((400, 300), seed=1), phantom((400, 300), seed=1), phantom((400, 300), seed=2)
    assert np.array_equal(one.image, again.image)
    assert np.array_equal(one.truth, again.truth)
    assert not np.array_equal(one.truth, other.truth)


@pytest.mark.parametrize("seed", range(5))
def test_a_square_millimetre_holds_every_class(seed):
    truth = phantom((512, 512), seed=seed, mpp=2.0).truth
    shares = np.bincount(truth.ravel(), minlength=len(CLASSES)) / truth.size
    assert shares.min() > 0.02
    assert shares[BACKGROUND] < 0.35


def test_background_and_fat_are_white_and_the_rest_is_stained(tissue, inner):
    means = [tissue.image[mask].mean(axis=0) for mask in inner]
    assert np.abs(means[BACKGROUND] - GLASS).max() < 1
    assert np.median(tissue.image[inner[FAT]], axis=0).min() > 235
    for index in (STROMA, GLAND, LYMPHOCYTES, NECROSIS):
        assert means[index][1] < 205, CLASSES[index]


def test_dyes_are_where_they_belong(tissue, inner):
    hematoxylin, eosin = np.moveaxis(unmixed(tissue.image), -1, 0)
    h = [hematoxylin[mask].mean() for mask in inner]
    e = [eosin[mask].mean() for mask in inner]
    assert h[LYMPHOCYTES] > 2 * h[GLAND] > 3 * h[STROMA]
    assert h[LYMPHOCYTES] > 3 * h[NECROSIS]
    assert e[NECROSIS] > e[STROMA] > 1.5 * max(e[GLAND], e[LYMPHOCYTES])
    assert max(h[BACKGROUND], e[BACKGROUND]) < 0.01


def test_another_deconvolution_agrees(tissue, inner):
    h, e, _ = np.moveaxis(rgb2hed(tissue.image), -1, 0)  # Ruifrok's vectors
    assert h[inner[LYMPHOCYTES]].mean() > 2 * h[inner[STROMA]].mean()
    assert e[inner[STROMA]].mean() > e[inner[LYMPHOCYTES]].mean()


def test_nuclei_have_their_size_at_every_resolution(tissue):
    for drawn in (tissue, phantom((800, 800), seed=3, mpp=1.0)):
        spindles = nuclei_of(unmixed(drawn.image)[..., 0], drawn.truth == STROMA, drawn.mpp)
        assert 20 < np.median(spindles) < 50  # an ellipse of 13 × 3.4 µm has 35 µm²
        assert len(spindles) > 150


def test_glands_are_rings_of_the_right_size(tissue):
    labels, count = ndimage.label(tissue.truth == GLAND)
    whole = [box for box in ndimage.find_objects(labels) if box[0].start and box[1].start and box[0].stop < 2048]
    sides_um = np.array([(box[0].stop - box[0].start) * tissue.mpp for box in whole])
    assert count >= 5
    assert ((sides_um > 60) & (sides_um < 230)).all()
    depth_um = ndimage.distance_transform_edt(tissue.truth == GLAND) * tissue.mpp
    hematoxylin = unmixed(tissue.image)[..., 0]
    basal, lumen = (depth_um > 5) & (depth_um < 12), depth_um > 32
    assert hematoxylin[basal].mean() > 0.35
    assert hematoxylin[lumen].mean() < 0.05


def test_the_tissue_map_finds_the_tissue(tissue):
    thumbnail = tissue.image[::8, ::8]
    found = tissue_mask(np.ascontiguousarray(thumbnail), 8 * tissue.mpp)
    truth = (tissue.truth != BACKGROUND)[::8, ::8]
    solid = truth & (tissue.truth != FAT)[::8, ::8]
    assert found[solid].mean() > 0.98
    assert found[~truth].mean() < 0.05


@pytest.mark.parametrize(("size", "mpp"), [((8, 100), 0.5), ((100, 100), 0.0), ((100, 100), float("nan"))])
def test_impossible_phantoms_are_refused(size, mpp):
    with pytest.raises(OptionError, match="phantom cannot be drawn"):
        phantom(size, mpp=mpp)
