import numpy as np
import pytest
from skimage.color import combine_stains, hed_from_rgb, rgb_from_hed, separate_stains

from histofactor.slides.phantom import GLAND, LYMPHOCYTES, STROMA, phantom
from histofactor.slides.stain import MEASURES, color_of, haematoxylin_eosin, measure_stain


def test_stain_amounts_are_those_of_skimage_where_there_is_no_third_stain():
    hed = np.zeros((16, 16, 3))
    hed[..., 0], hed[..., 1] = np.meshgrid(np.linspace(0, 0.12, 16), np.linspace(0, 0.12, 16))
    rgb = combine_stains(hed, rgb_from_hed)
    found = haematoxylin_eosin(-np.log10(rgb).astype(np.float32))
    expected = separate_stains(rgb, hed_from_rgb)[..., :2]
    scale = found.reshape(-1, 2).max(0) / expected.reshape(-1, 2).max(0)  # its amounts are per another unit
    np.testing.assert_allclose(found, expected * scale, atol=0.02 * found.max())


def test_cells_are_measured_each_by_itself():
    rgb = np.full((8, 12, 3), 245, np.uint8)
    rgb[:4, 4:8] = 245 * 0.1  # density 1 in every colour, no glass
    rgb[4:, :2] = 80, 60, 140  # half a cell of haematoxylin
    found = measure_stain(rgb, 4)
    assert found.shape == (2, 3, MEASURES)
    np.testing.assert_allclose(found[0, 0], [0, 0, 0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(found[0, 1, :4], [1, 1, 1, 0], atol=0.01)
    np.testing.assert_allclose(found[1, 0, :3], -np.log10(np.array([80, 60, 140]) / 245) / 2, atol=1e-4)
    np.testing.assert_allclose(found[1, 0, 3:], [0.5, 0.5])
    assert tuple(color_of(found[0, 0, :3])) == (245, 245, 245)


@pytest.mark.parametrize("mpp", [0.5, 1.0])
def test_a_phantom_has_nuclei_where_its_cells_are(mpp):
    drawn = phantom((int(1400 / mpp),) * 2, seed=1, mpp=mpp)
    measured = measure_stain(drawn.image, 1)
    nuclei = {kind: measured[drawn.truth == kind, 4].mean() for kind in (STROMA, GLAND, LYMPHOCYTES)}
    assert nuclei[LYMPHOCYTES] > 0.5
    assert nuclei[LYMPHOCYTES] > nuclei[GLAND] > 2 * nuclei[STROMA]
