import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from histofactor.errors import OptionError, OutputError
from histofactor.export.overlay import labels_at, render_overlay, thumbnail_size, write_overlay


@given(st.integers(1, 200_000), st.integers(1, 200_000))
def test_thumbnails_fit_keep_their_shape_and_are_never_enlarged(width, height):
    t_width, t_height = thumbnail_size((width, height))
    assert 1 <= t_width <= min(width, 2048)
    assert 1 <= t_height <= min(height, 2048)
    if max(width, height) <= 2048:
        assert (t_width, t_height) == (width, height)
    else:
        assert max(t_width, t_height) == 2048
        assert min(t_width, t_height) == pytest.approx(2048 * min(width, height) / max(width, height), abs=1)


def test_colors_tint_the_stain_with_dark_lines_between(make_segmentation):
    segmentation = make_segmentation([[1, 2], [0, 0]], l0_per_px=1.0)
    rgb = np.full((8, 8, 3), (200, 100, 150), np.uint8)
    seen = render_overlay(rgb, segmentation, opacity=0.5).astype(int)
    first, second = np.array(segmentation.label_map.colors[:2])
    np.testing.assert_allclose(seen[1, 1], (rgb[0, 0] + first) / 2, atol=1)
    np.testing.assert_allclose(seen[1, 6], (rgb[0, 0] + second) / 2, atol=1)
    assert np.all(seen[1, 3] < 0.5 * seen[1, 1])
    assert np.all(seen[3, 1] < 0.5 * seen[1, 1])


def test_a_color_looks_the_same_over_pale_and_dense_tissue_and_nuclei_stay_visible(make_segmentation):
    segmentation = make_segmentation([[1, 2, 1, 2]], l0_per_px=1.0)
    rgb = np.full((4, 16, 3), (230, 200, 220), np.uint8)
    rgb[:, 4:8] = rgb[:, 12:] = 150, 100, 160  # dense
    rgb[::2, ::2] //= 2  # nuclei
    seen = render_overlay(rgb, segmentation).astype(float)
    inside = np.zeros((4, 16), bool)
    inside[:3] = np.arange(16) % 4 < 3  # no line between
    mean = rgb.reshape(-1, 3).mean(0)
    for label, color in enumerate(segmentation.label_map.colors[:2], 1):
        here = (segmentation.label_map.labels == label) & inside
        dark = np.zeros_like(here)
        dark[::2, ::2] = True
        beneath = rgb[here & ~dark][0].astype(float) - rgb[segmentation.label_map.labels == label].mean(0)
        expected = 0.55 * np.array(color) + 0.45 * (mean + beneath)
        np.testing.assert_allclose(seen[here & ~dark], expected[None].repeat((here & ~dark).sum(), 0), atol=1)
        contrast = rgb[here & ~dark][0].astype(float) - rgb[here & dark][0]
        np.testing.assert_allclose(seen[here & ~dark][0] - seen[here & dark][0], 0.45 * contrast, atol=1.5)


def test_the_image_alone_stays_what_it_is(make_segmentation):
    segmentation = make_segmentation([[1, 2], [3, 1]], stride_px=1, l0_per_px=8.0)
    rgb = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    seen = render_overlay(rgb, segmentation, opacity=0.0)
    np.testing.assert_array_equal(seen[:7, :7], rgb[:7, :7])


def test_what_is_unassigned_is_left_alone(make_segmentation):
    segmentation = make_segmentation([[1, 0], [0, 2]], l0_per_px=1.0)
    rgb = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    untouched = np.all(render_overlay(rgb, segmentation) == rgb, axis=-1)
    assert untouched[segmentation.label_map.labels == 0].all()
    assert not untouched[segmentation.label_map.labels > 0].any()


@pytest.mark.parametrize("opacity", [0.0, 1.0])
def test_opacity_goes_from_tissue_to_color(make_segmentation, opacity):
    segmentation = make_segmentation([[1]], l0_per_px=1.0)
    rgb = np.full((4, 4, 3), 90, np.uint8)
    expected = segmentation.label_map.colors[0] if opacity else (90, 90, 90)
    assert tuple(render_overlay(rgb, segmentation, opacity=opacity)[1, 1]) == expected


def test_labels_are_found_through_their_level_0_frame(make_segmentation):
    segmentation = make_segmentation(np.random.default_rng(2).integers(0, 5, (3, 4)), stride_px=1, l0_per_px=2.5)
    labels = segmentation.label_map.labels
    placed = dataclasses.replace(segmentation.label_map, origin=(30, 10))
    info = dataclasses.replace(segmentation.slide, size=(60, 40))
    segmentation = dataclasses.replace(segmentation, label_map=placed, slide=info)
    seen = labels_at(segmentation, (30, 20))
    for y, x in np.ndindex(20, 30):
        col, row = ((2 * x + 1) - 30) / 2.5, ((2 * y + 1) - 10) / 2.5
        inside = 0 <= col < 4 and 0 <= row < 3
        assert seen[y, x] == (labels[int(row), int(col)] if inside else 0)


def test_labels_on_disk_are_sampled_in_bands(make_segmentation, lazily):
    segmentation = make_segmentation(np.random.default_rng(2).integers(0, 5, (300, 4)), l0_per_px=1.0)
    lazy = lazily(segmentation)
    for size in ((16, 1200), (7, 90), (3, 2)):
        np.testing.assert_array_equal(labels_at(lazy, size), labels_at(segmentation, size))
    assert lazy.label_map.labels.largest == 256 * 16


def test_the_file_is_the_rendered_overlay(make_segmentation, tmp_path):
    segmentation = make_segmentation()
    rgb = np.random.default_rng(1).integers(0, 256, (16, 24, 3), np.uint8)
    write_overlay(rgb, segmentation, tmp_path / "a" / "overlay.png")
    with Image.open(tmp_path / "a" / "overlay.png") as image:
        np.testing.assert_array_equal(np.asarray(image), render_overlay(rgb, segmentation))


def test_mistakes_are_named(make_segmentation, tmp_path):
    rgb = np.zeros((16, 24, 3), np.uint8)
    with pytest.raises(OptionError, match="opacity"):
        render_overlay(rgb, make_segmentation(), opacity=1.5)
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        write_overlay(rgb, make_segmentation(), tmp_path / "out" / "overlay.png")
