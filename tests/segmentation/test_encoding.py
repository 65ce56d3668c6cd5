"""The stream gives what one look at the whole input gives, and can be gone on with after any row of windows."""

import numpy as np
import pytest
import torch

from histofactor.base.clock import Clock, Watch
from histofactor.encoders.encode import encode, respond
from histofactor.factor.nnls import unit_concepts
from histofactor.segmentation.encoding import Blender, Planned, encode_rows
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
    rows = encode_rows(Planned(slide, segmenter.setup, plan), segmenter.directions, watch or Watch(), blender.next_row)
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


def test_the_caller_keeps_its_threads(setting):
    before = torch.get_num_threads()
    for _ in blended(setting)[0]:
        assert torch.get_num_threads() == before
    next(blended(setting)[0])
    assert torch.get_num_threads() == before
