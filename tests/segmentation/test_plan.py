"""The plan covers the input once, and encodes nothing without tissue."""

from dataclasses import replace

import numpy as np
import pytest

from dicom_writer import dicom
from histofactor.errors import ImageError
from histofactor.records import WindowRule
from histofactor.segmentation.plan import make_plan, mask_of, tissue_rows, unreadable_share
from histofactor.segmentation.setup import SegmentOptions, prepare
from histofactor.slides.geometry.tapers import tapers_of
from histofactor.slides.geometry.windows import token_overlap
from histofactor.slides.phantom import phantom
from histofactor.slides.reader import open_slide


def plan_of(image, encoder, bank, **options):
    segmenter = prepare(encoder=encoder, concepts=bank, options=SegmentOptions(**options))
    with open_slide(image, source_mpp=1.0) as slide:
        return make_plan(slide, segmenter.setup), segmenter.setup


@pytest.mark.parametrize("shift_px", [0, 8, 40, 100])
@pytest.mark.parametrize("size", [(400, 300), (100, 90), (131, 700)])
def test_rows_follow_each_other_and_no_later_window_touches_what_is_finished(tiny_encoder, tiny_bank, size, shift_px):
    image = np.full((size[1], size[0], 3), 120, np.uint8)
    plan, _ = plan_of(image, tiny_encoder, tiny_bank, tissue=False, shift_px=shift_px)
    starts, stops = zip(*(row.g_rows for row in plan.rows), strict=True)
    assert starts == (0, *stops[:-1])
    assert stops[-1] == plan.frame.g_size[1]
    assert all(start <= stop for start, stop in zip(starts, stops, strict=True))
    shares = tapers_of(plan.frame, plan.rule, plan.layout)
    for index, row in enumerate(plan.rows):
        for window in (window for later in plan.rows[index + 1 :] for window in later.windows):
            rows = token_overlap(plan.frame, window)[0][0]
            part = token_overlap(plan.frame, window)[1][0]
            weight = shares(window)[part].max(axis=1)
            assert not (weight[np.arange(rows.start, rows.stop) < row.g_rows[1]] > 0).any()


def test_windows_without_tissue_are_left_out_and_tissue_is_covered(tiny_encoder, tiny_bank):
    image = np.full((900, 900, 3), 245, np.uint8)
    image[600:760, 100:300] = phantom((200, 160), seed=3, mpp=1.0).image // 2  # dark enough to be tissue throughout
    plan, _ = plan_of(image, tiny_encoder, tiny_bank)
    everything, _ = plan_of(image, tiny_encoder, tiny_bank, tissue=False)
    assert 0 < plan.windows < everything.windows / 4
    covered = np.zeros(plan.g_tissue.shape, bool)
    shares = tapers_of(plan.frame, plan.rule, plan.layout)
    for window in (window for row in plan.rows for window in row.windows):
        grid, part = token_overlap(plan.frame, window)
        covered[grid] |= shares(window)[part] > 0
    assert covered[plan.g_tissue].all()
    assert plan.g_tissue[152:188, 28:72].mean() > 0.8
    assert not plan.g_tissue[:140].any()


def test_tokens_hold_tissue_where_any_of_their_px_does(tiny_encoder, tiny_bank):
    rng = np.random.default_rng(0)
    plan, _ = plan_of(np.full((210, 333, 3), 120, np.uint8), tiny_encoder, tiny_bank, tissue=False)
    thumbnail = rng.random((50, 70)) < 0.1
    px = tissue_rows(thumbnail, plan.frame, 0, 210)
    assert px.shape == (210, 333)
    np.testing.assert_array_equal(px[40:90], tissue_rows(thumbnail, plan.frame, 40, 90))
    assert abs(px.mean() - thumbnail.mean()) < 0.01


def test_amask_of_the_users_takes_the_place_of_finding(tiny_encoder, tiny_bank, tmp_path, tissue):
    from PIL import Image

    mask = np.zeros((30, 40), np.uint8)
    mask[10:20, 5:15] = 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    plan, _ = plan_of(tissue, tiny_encoder, tiny_bank, tissue_mask=tmp_path / "mask.png")
    px = tissue_rows(plan.thumbnail, plan.frame, 0, 300)
    assert px[100:200, 50:150].all()
    assert px.sum() == 100 * 100
    Image.fromarray(tissue).save(tmp_path / "slide.png")
    masks = tmp_path / "masks"
    masks.mkdir()
    with pytest.raises(ImageError, match=r"slide\.png"):
        plan_of(tmp_path / "slide.png", tiny_encoder, tiny_bank, tissue_mask=masks)
    Image.fromarray(mask).save(masks / "slide.png")
    of_folder, _ = plan_of(tmp_path / "slide.png", tiny_encoder, tiny_bank, tissue_mask=masks)
    np.testing.assert_array_equal(of_folder.g_tissue, plan.g_tissue)


def test_themask_of_a_dicom_slide_is_called_like_its_results(tmp_path):
    for folder in ("case 7", "masks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "case 7" / "1.2.3.dcm").write_bytes(dicom())
    with pytest.raises(ImageError, match=r"case 7\.png"):
        mask_of(tmp_path / "masks", tmp_path / "case 7" / "1.2.3.dcm")
    (tmp_path / "masks" / "case 7.png").write_bytes(b"x")
    assert mask_of(tmp_path / "masks", tmp_path / "case 7" / "1.2.3.dcm") == tmp_path / "masks" / "case 7.png"


def test_what_cannot_be_read_is_told_with_place_and_share(tiny_encoder, tiny_bank, tissue):
    plan, _ = plan_of(tissue, tiny_encoder, tiny_bank, tissue=False)
    unreadable = np.zeros(plan.g_tissue.shape, bool)
    assert unreadable_share(unreadable, plan) == (0.0, "")
    unreadable[8:12, 20:30] = True
    share, sentence = unreadable_share(unreadable, plan)
    assert share == pytest.approx(40 / plan.g_tissue.size)
    assert "40 × 16 px at (80, 32)" in sentence


def test_fixed_windows_of_a_transformer_are_planned_too(tiny_encoder, tiny_bank):
    encoder = replace(tiny_encoder, spec=replace(tiny_encoder.spec, window=WindowRule(96, 48)))
    plan, _ = plan_of(np.full((300, 300, 3), 120, np.uint8), encoder, tiny_bank, tissue=False)
    assert {window.size for row in plan.rows for window in row.windows} == {(96, 96)}
