"""Rows that others encoded are taken bit by bit, and nothing depends on whether, when or by whom they were."""

from dataclasses import replace

import numpy as np
import pytest

from histofactor.base.clock import Watch
from histofactor.errors import OutputError
from histofactor.records import Centring
from histofactor.segmentation.encoding import Planned, encode_rows
from histofactor.segmentation.kept_batches import KeptBatches
from histofactor.segmentation.plan import make_plan
from histofactor.segmentation.rows_ahead import RowsAhead, encode_ahead
from histofactor.segmentation.setup import SegmentOptions, prepare
from histofactor.slides.phantom import phantom
from histofactor.slides.reader import open_slide


@pytest.fixture(scope="module")
def setting(tiny_encoder, tiny_bank):
    segmenter = prepare(encoder=tiny_encoder, concepts=tiny_bank, options=SegmentOptions(views=4))
    with open_slide(phantom((200, 700), seed=3, mpp=1.0).image, source_mpp=1.0) as slide:
        yield slide, segmenter, make_plan(slide, segmenter.setup)


@pytest.fixture
def rows(tmp_path):
    found = RowsAhead(tmp_path / "rows/a", "recipe")
    found.open()
    return found


def responses(setting, rows=None):
    """What every window of the input responded, row by row."""
    kept = None if rows is None else KeptBatches(rows._folder.parent / "kept", rows)
    slide, segmenter, plan = setting
    planned = Planned(slide, segmenter.setup, plan, elsewhere=kept)
    return [list(batches) for _, batches in encode_rows(planned, segmenter.directions, Watch())]


def same(found, wanted):
    for row, its in zip(found, wanted, strict=True):
        for batch, other in zip(row, its, strict=True):
            assert list(batch.windows) == list(other.windows)
            assert list(batch.unreadable) == list(other.unreadable)
            for name in ("B", "sq_norms"):
                for one, another in zip(getattr(batch, name), getattr(other, name), strict=True):
                    assert one.dtype == another.dtype
                    np.testing.assert_array_equal(one, another)


def files(rows):
    return sorted(path.name for path in rows._folder.iterdir())


def test_rows_of_others_are_taken_bit_by_bit(setting, rows, tmp_path, monkeypatch):
    wanted = responses(setting)
    assert len(wanted) >= 4
    assert encode_ahead(*setting[:2], rows, Watch()) == sum(bool(row.windows) for row in setting[2].rows)
    again = RowsAhead(tmp_path / "rows/a", "recipe")
    monkeypatch.setattr("histofactor.segmentation.encoding._encoded", None)  # nothing is encoded
    same(responses(setting, again), wanted)
    again.close()
    assert not (tmp_path / "rows").exists()


def test_some_rows_of_others(setting, rows):
    wanted = responses(setting)
    for row in (1, 3):
        rows.put(row, wanted[row])
    same(responses(setting, rows), wanted)
    assert {"1.npz", "3.npz"} < set(files(rows))  # what was taken is there until its row is finished
    rows.drop(3)
    assert [name for name in files(rows) if name.endswith(".npz")] == ["3.npz"]


def test_helpers_and_whoever_segments_share_the_rows(setting, rows, tmp_path):
    helper = RowsAhead(tmp_path / "rows/a", "recipe")
    last = len(setting[2].rows) - 1
    assert helper.claim(last)
    assert not rows.claim(last)
    assert rows.get(0) is None  # so it is encoded there
    assert encode_ahead(*setting[:2], helper, Watch()) == sum(bool(row.windows) for row in setting[2].rows[1:last])
    same(responses(setting, rows), responses(setting))


def test_claims_of_helpers_that_died_do_not_last(rows, tmp_path):
    assert rows.claim(2)
    rows.open()
    assert rows.claim(2)


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-40], lambda data: b"", lambda data: data.replace(b"recipe", b"other!")]
)
def test_rows_that_are_not_whole_or_of_another_recipe_are_encoded(setting, rows, tmp_path, spoil):
    wanted = responses(setting)
    rows.put(0, wanted[0])
    other = RowsAhead(tmp_path / "rows/a", "another")
    assert other.get(0) is None
    path = tmp_path / "rows/a/0.npz"
    path.write_bytes(spoil(path.read_bytes()))
    assert rows.get(0) is None
    same(responses(setting, rows), wanted)


def test_a_helper_sees_that_nobody_segments_any_more(setting, rows, tmp_path):
    assert rows.is_open
    helper = RowsAhead(tmp_path / "rows/a", "recipe")
    assert helper.claim(0)
    rows.close()
    assert not helper.is_open
    helper.put(0, responses(setting)[0])
    assert not helper.claim(1)
    assert encode_ahead(*setting[:2], helper, Watch()) == 0
    assert not (tmp_path / "rows").exists()


def test_others_keep_their_rows(rows, tmp_path):
    other = RowsAhead(tmp_path / "rows/b", "recipe")
    other.open()
    rows.close()
    assert other.is_open


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "rows").write_text("no folder")
    with pytest.raises(OutputError, match="rows"):
        RowsAhead(tmp_path / "rows/a", "recipe").open()


def test_unreadable_blocks_travel(setting, rows):
    wanted = responses(setting)[1]
    wanted[0] = replace(wanted[0], unreadable=((1, 2, 3, 4), (5, 6, 7, 8)))
    rows.put(1, wanted)
    assert list(rows.get(1)[0].unreadable) == [(1, 2, 3, 4), (5, 6, 7, 8)]


def test_no_help_with_an_input_that_is_encoded_whole_to_know_its_mean(setting, rows, tiny_bank):
    slide, segmenter, _ = setting
    centred = replace(segmenter, bank=replace(tiny_bank, centring=Centring(0.5, tiny_bank.vectors.mean(0))))
    assert encode_ahead(slide, centred, rows, Watch()) == 0
    assert files(rows) == []
