"""Batches on disk come back bit by bit, are taken for no others, and are as good as none where they are spoilt."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from histofactor.base.clock import Watch
from histofactor.segmentation import encoding
from histofactor.segmentation.batches import batches
from histofactor.segmentation.encoding import Planned, Responded, encode_features, encode_rows
from histofactor.segmentation.kept_batches import KeptBatches, KeptInput, KeptWindows
from histofactor.segmentation.plan import make_plan
from histofactor.segmentation.setup import SegmentOptions, prepare
from histofactor.segmentation.store import DiskStore
from histofactor.segmentation.window_memory import EncodedBatch, WindowMemory
from histofactor.slides.geometry.windows import Window
from histofactor.slides.phantom import phantom
from histofactor.slides.reader import open_slide

WINDOWS = (Window(-16, 80, (32, 24), 1), Window(0, 80, (32, 24), 3))


@pytest.fixture
def responded():
    rng = np.random.default_rng(0)
    B = [rng.random((4, 3, 5)).astype(np.float32) for _ in WINDOWS]
    return Responded(WINDOWS, B, [one[..., 0] for one in B], ((1, 2, 3, 4), (5, 6, 7, 8)))


@pytest.fixture
def setting(tiny_encoder, tiny_bank):
    segmenter = prepare(encoder=tiny_encoder, concepts=tiny_bank, options=SegmentOptions(borders="image", views=4))
    with open_slide(phantom((200, 500), seed=3, mpp=1.0).image, source_mpp=1.0) as slide:
        yield slide, segmenter, make_plan(slide, segmenter.setup)


def test_what_a_batch_responded_comes_back(responded, tmp_path):
    kept = KeptBatches(tmp_path)
    assert kept.get(3, WINDOWS) is None
    kept.put(3, responded)
    found = KeptBatches(tmp_path).get(3, list(WINDOWS))
    assert (found.windows, found.unreadable) == (WINDOWS, responded.unreadable)
    for name in ("B", "sq_norms"):
        for one, other in zip(getattr(found, name), getattr(responded, name), strict=True):
            assert one.dtype == np.float32
            np.testing.assert_array_equal(one, other)


def test_it_is_taken_for_no_other_batch(responded, tmp_path):
    kept = KeptBatches(tmp_path)
    kept.put(3, responded)
    assert kept.get(2, WINDOWS) is None
    assert kept.get(3, WINDOWS[:1]) is None  # as where a GPU has less memory now
    assert kept.get(3, [*WINDOWS, Window(16, 80, (32, 24))]) is None


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-9], lambda data: b"", lambda data: data[:500] + b"?" + data[501:]]
)
def test_what_is_spoilt_is_encoded_again(responded, tmp_path, spoil):
    kept = KeptBatches(tmp_path)
    kept.put(3, responded)
    (path,) = tmp_path.iterdir()
    path.write_bytes(spoil(path.read_bytes()))
    assert kept.get(3, WINDOWS) is None


def test_finished_rows_are_let_go(responded, tmp_path):
    kept = KeptBatches(tmp_path)
    for row in (8, 9, 10):
        kept.put(row, responded)
    kept.drop(10)
    assert [kept.get(row, WINDOWS) is not None for row in (8, 9, 10)] == [False, False, True]


def rows_of(setting, kept):
    slide, segmenter, plan = setting
    rows = encode_rows(Planned(slide, segmenter.setup, plan, elsewhere=kept), segmenter.directions, Watch())
    return [list(batches) for _, batches in rows]


def test_the_first_batches_of_a_row_are_kept_and_not_encoded_again(setting, tmp_path, monkeypatch):
    monkeypatch.setattr("histofactor.encoders.batch._CPU_MOST", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    whole = rows_of(setting, None)
    assert len(whole) >= 3
    rows_of(setting, KeptBatches(tmp_path))
    real, encoded = encoding.encode, []
    monkeypatch.setattr(encoding, "encode", lambda *given: encoded.append(given) or real(*given))
    again = rows_of(setting, KeptBatches(tmp_path))
    assert len(encoded) == sum(len(row) - 2 for row in whole) > 0
    for row, its in zip(again, whole, strict=True):
        for one, other in zip(row, its, strict=True):
            np.testing.assert_array_equal(np.stack(one.B), np.stack(other.B))


def test_an_input_of_one_row_keeps_nothing(tiny_encoder, tiny_bank, tmp_path):
    segmenter = prepare(encoder=tiny_encoder, concepts=tiny_bank)
    with open_slide(phantom((300, 60), seed=3, mpp=1.0).image, source_mpp=1.0) as slide:
        assert rows_of((slide, segmenter, make_plan(slide, segmenter.setup)), KeptBatches(tmp_path))
    assert not list(tmp_path.iterdir())


def test_another_process_finds_the_windows(setting, tmp_path, monkeypatch):
    slide, segmenter, plan = setting
    spec = segmenter.setup.encoder.spec
    first = list(encode_features(Planned(slide, segmenter.setup, plan, KeptWindows(tmp_path, spec, "recipe"))))
    monkeypatch.setattr(encoding, "encode", None)
    monkeypatch.setattr(encoding, "read_window", None)
    second = list(encode_features(Planned(slide, segmenter.setup, plan, KeptWindows(tmp_path, spec, "recipe"))))
    for one, other in zip(first, second, strict=True):
        for name in ("B", "sq_norms", "unreadable", "colours"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_windows_that_are_spoilt_or_others_are_not_there(tiny_encoder, tmp_path):
    device, spec = torch.device("cpu"), tiny_encoder.spec
    memory = KeptWindows(tmp_path, spec, "recipe")
    features = encoding.encode(tiny_encoder, np.zeros((2, 24, 32, 3), np.uint8))
    memory.keep(WINDOWS, EncodedBatch(features, ((1, 2, 3, 4),)))
    found = KeptWindows(tmp_path, spec, "recipe").recall(WINDOWS, device)
    assert torch.equal(found.features.values, features.values)
    assert (found.unreadable, found.colours) == (((1, 2, 3, 4),), ())
    assert (found.features.stride_px, found.features.encoder) == (features.stride_px, features.encoder)
    assert KeptWindows(tmp_path, spec, "recipe").recall(WINDOWS[:1], device) is None
    assert KeptWindows(tmp_path, spec, "another").recall(WINDOWS, device) is None
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-9])
    assert KeptWindows(tmp_path, spec, "recipe").recall(WINDOWS, device) is None


def test_windows_of_an_input_depend_on_its_content_its_encoder_and_how_it_is_cut(setting, tmp_path):
    slide, segmenter, plan = setting
    planned = Planned(slide, segmenter.setup, plan)
    first = KeptInput(tmp_path, "content").memory(planned)
    (batch, *_), *_ = (batches(row, segmenter.setup.encoder) for row in plan.rows)
    list(encode_features(replace(planned, memory=first)))

    def found(content="content", **changes):
        memory = KeptInput(tmp_path, content).memory(replace(planned, **changes))
        return memory.recall(batch, torch.device("cpu")) is not None

    assert found()
    assert not found("another")
    assert not found(setup=replace(segmenter.setup, colours=False))
    assert not found(setup=replace(segmenter.setup, encoder=replace(segmenter.setup.encoder, precision="bfloat16")))
    assert not found(plan=replace(plan, frame=replace(plan.frame, t_mpp=2.0)))


def test_windows_of_an_input_of_one_row_end_with_the_process(setting, tmp_path):
    slide, segmenter, plan = setting
    store, planned = DiskStore(tmp_path, "recipe"), Planned(slide, segmenter.setup, plan)
    assert type(store.windows(planned)) is KeptWindows
    assert type(store.windows(replace(planned, plan=replace(plan, rows=plan.rows[:1])))) is WindowMemory
    assert store.found_windows(planned) is None
    list(encode_features(replace(planned, memory=store.windows(planned))))
    assert type(DiskStore(tmp_path, "recipe").found_windows(planned)) is KeptWindows
