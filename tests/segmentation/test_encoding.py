"""The stream gives what one look at the whole input gives, and can be gone on with after any row of windows."""

import numpy as np
import pytest
import torch

from histofactor.base.clock import Clock, Watch
from histofactor.encoders.encode import encode, respond
from histofactor.factor.nnls import unit_concepts
from histofactor.masks.decode import label_pixels
from histofactor.segmentation.encoding import Blender, Decoder, encode_rows
from histofactor.segmentation.plan import make_plan
from histofactor.segmentation.setup import SegmentOptions, prepare
from histofactor.slides.reader import open_slide


@pytest.fixture
def setting(tiny_encoder, tiny_bank, tissue):
    segmenter = prepare(encoder=tiny_encoder, concepts=tiny_bank, options=SegmentOptions(tissue=False, views=1))
    with open_slide(tissue, source_mpp=1.0) as slide:
        yield slide, segmenter, make_plan(slide, segmenter.setup)


def blended(setting, blender=None, watch=None):
    """Bands of responses, and who blends them."""
    slide, segmenter, plan = setting
    blender = blender or Blender(plan, len(segmenter.bank.vectors), Clock())
    rows = encode_rows(slide, segmenter.setup, plan, segmenter.directions, watch or Watch(), blender.next_row)
    return blender.blend(rows), blender


def test_the_bands_are_the_whole(setting, tissue, tiny_bank):
    segmenter = setting[1]
    B, sq_norms = (np.concatenate([getattr(part, name) for part in blended(setting)[0]]) for name in ("B", "sq_norms"))
    aims = unit_concepts(tiny_bank.vectors)[0].T
    padded = np.pad(tissue, ((40, 44), (40, 40), (0, 0)), mode="symmetric")
    whole, norms = respond(encode(segmenter.setup.encoder, padded[None]), aims)
    np.testing.assert_allclose(B, whole[0, 5:43, 5:55], atol=2e-4)
    np.testing.assert_allclose(sq_norms, norms[0, 5:43, 5:55], atol=2e-3)


def test_bands_follow_each_other_and_progress_is_told(setting):
    plan = setting[2]
    seen = []
    stops = [0]
    for part in blended(setting, watch=Watch(lambda done, total: seen.append((done, total))))[0]:
        assert part.g_rows[0] == stops[-1]
        stops.append(part.g_rows[1])
    assert stops[-1] == plan.frame.g_size[1]
    assert seen[0] == (0, plan.windows)
    assert seen[-1] == (plan.windows, plan.windows)


def test_going_on_gives_the_same_bits(setting):
    _, segmenter, plan = setting
    whole = list(blended(setting)[0])
    ends = [index for index, part in enumerate(whole) if part.ends_row]
    assert len(ends) > 2
    for end in ends[:-1]:
        parts, first = blended(setting)
        for _ in range(end + 1):
            next(parts)
        second = Blender(plan, len(segmenter.bank.vectors), Clock())
        second.restore({name: values.copy() for name, values in first.state().items()})
        rest = list(blended(setting, second)[0])
        assert [part.g_rows for part in rest] == [part.g_rows for part in whole[end + 1 :]]
        for part, own in zip(rest, whole[end + 1 :], strict=True):
            np.testing.assert_array_equal(part.B, own.B)
            np.testing.assert_array_equal(part.sq_norms, own.sq_norms)


@pytest.mark.parametrize("cuts", [[], [1], [3, 4, 20], list(range(1, 38))])
def test_labels_of_bands_are_those_of_the_whole(setting, cuts):
    _, _, plan = setting
    (columns, rows), (width, height) = plan.frame.g_size, plan.frame.t_size
    W = np.random.default_rng(0).gamma(0.3, 1.0, (rows, columns, 5)).astype(np.float32)
    labels, margin = label_pixels(W, (rows * 8, columns * 8))
    decoder, parts = Decoder(plan), []
    for start, stop in zip([0, *cuts], [*cuts, rows], strict=True):
        none = np.zeros((stop - start, columns), bool)
        parts.append(decoder.rows((start, stop), W[start:stop], none, none))
        state, decoder = decoder.state(), Decoder(plan)
        decoder.restore(state)
    for found, whole in zip(zip(*parts, strict=True), (labels, margin), strict=True):
        np.testing.assert_array_equal(np.concatenate(found), whole[:height, :width])


@pytest.mark.parametrize("cuts", [[], [1], [3, 4, 20], list(range(1, 38))])
def test_what_is_unlike_the_bank_is_marked_across_bands(setting, cuts):
    _, _, plan = setting
    (columns, rows), (width, height) = plan.frame.g_size, plan.frame.t_size
    rng = np.random.default_rng(1)
    W = rng.gamma(0.3, 1.0, (rows, columns, 5)).astype(np.float32)
    unlike, unreadable = rng.random((2, rows, columns)) < 0.2
    labels, _ = label_pixels(W, (rows * 8, columns * 8))
    labels[np.kron(unlike, np.ones((8, 8), bool))] = 6
    labels[np.kron(unreadable, np.ones((8, 8), bool))] = 0
    decoder, parts = Decoder(plan, None, 5), []
    for start, stop in zip([0, *cuts], [*cuts, rows], strict=True):
        part = slice(start, stop)
        parts.append(decoder.rows((start, stop), W[part], unreadable[part], unlike[part])[0])
        state, decoder = decoder.state(), Decoder(plan, None, 5)
        decoder.restore(state)
    np.testing.assert_array_equal(np.concatenate(parts), labels[:height, :width])


def test_unreadable_tokens_have_no_label(setting):
    _, _, plan = setting
    columns, rows = plan.frame.g_size
    unreadable = np.zeros((rows, columns), bool)
    unreadable[10:12, 7:9] = True
    decoder = Decoder(plan)
    W = np.ones((rows, columns, 2), np.float32)
    none = np.zeros((1, columns), bool)
    parts = [decoder.rows((r, r + 1), W[r : r + 1], unreadable[r : r + 1], none) for r in range(rows)]
    labels = np.concatenate([labels for labels, _ in parts])
    expected = unreadable.repeat(8, 0).repeat(8, 1)[: labels.shape[0], : labels.shape[1]]
    np.testing.assert_array_equal(labels == 0, expected)


def test_the_caller_keeps_its_threads(setting):
    before = torch.get_num_threads()
    for _ in blended(setting)[0]:
        assert torch.get_num_threads() == before
    next(blended(setting)[0])
    assert torch.get_num_threads() == before
