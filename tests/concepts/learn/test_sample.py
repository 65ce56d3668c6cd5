"""The sample: balanced, bounded, the same in whatever order and however shared out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histofactor.base.digests import DamagedError
from histofactor.concepts.learn import sample as module
from histofactor.concepts.learn.sample import Known, Sample, read_sample
from histofactor.concepts.learn.sample_file import read_note
from histofactor.errors import OptionError
from histofactor.records import SlideMean


def slide(number, n, d=3):
    """Tokens that say where they come from."""
    tokens = np.zeros((n, d), np.float32)
    tokens[:, 0], tokens[:, 1] = number, np.arange(n)
    return tokens


def take(sample, number, n, weight=1.0):
    draw = sample.quota.draw(f"slide {number}", n, weight)
    tokens, rows = slide(number, n), np.flatnonzero(draw.wanted)
    known = Known(
        tokens[rows, 1], np.stack([rows, rows], 1).astype(np.float32), np.stack([rows] * 5, 1).astype(np.float32)
    )
    sample.add(tokens[rows], draw.keys[rows], number, known)


def content(sample):
    sample.sort()
    part = slice(0, sample.size)
    return [
        values[part].copy()
        for values in (sample.tokens, sample.keys, sample.slides, sample.places, sample.sq_norms, sample.stains)
    ]


def filled(sizes, capacity=100, order=None, seed=0):
    sample = Sample(capacity, 3, seed)
    for number in order if order is not None else range(len(sizes)):
        take(sample, number, sizes[number])
    return sample


def test_every_slide_gives_alike_and_small_ones_all_they_have():
    sample = filled([10, 1000, 50_000, 700], capacity=190)
    counts = np.bincount(sample.slides[: sample.size])
    assert counts.sum() == 190
    assert counts[0] == 10
    assert counts[1:].max() - counts[1:].min() <= 3


def test_weights_balance_groups():
    sample = Sample(300, 3)
    for number in range(6):  # five slides of one hospital, one of another
        take(sample, number, 5000, weight=1 / 5 if number < 5 else 1.0)
    counts = np.bincount(sample.slides)
    assert counts[5] == pytest.approx(counts[:5].sum(), abs=8)


def test_rows_keep_what_belongs_to_them():
    tokens, _, slides, places, norms, stains = content(filled([300, 400, 500]))
    np.testing.assert_array_equal(tokens[:, 0], slides)
    np.testing.assert_array_equal(tokens[:, 1], places[:, 0])
    np.testing.assert_array_equal(tokens[:, 1], norms)
    np.testing.assert_array_equal(tokens[:, 1], stains[:, 4])
    assert len({tuple(row) for row in tokens}) == len(tokens)


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(0, 120), min_size=1, max_size=8),
    capacity=st.integers(1, 200),
    seed=st.integers(0, 5),
    data=st.data(),
)
def test_order_and_shares_do_not_matter(sizes, capacity, seed, data):
    whole = content(filled(sizes, capacity, seed=seed))
    numbers = list(range(len(sizes)))
    for got, wanted in zip(
        content(filled(sizes, capacity, data.draw(st.permutations(numbers)), seed)), whole, strict=True
    ):
        np.testing.assert_array_equal(got, wanted)
    cut = data.draw(st.integers(0, len(sizes)))
    merged = filled(sizes, capacity, numbers[cut:], seed)
    merged.merge(filled(sizes, capacity, numbers[:cut], seed))
    for got, wanted in zip(content(merged), whole, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_it_holds_the_smallest_keys_of_all():
    sizes = [80, 300, 150]
    reference = Sample(1000, 3)
    keys = np.concatenate([reference.quota.draw(f"slide {i}", n).keys for i, n in enumerate(sizes)])
    np.testing.assert_array_equal(content(filled(sizes, 77))[1], np.sort(keys)[:77])


def test_no_more_is_wanted_than_can_be_held():
    sample = Sample(50, 3)
    assert sample.quota.draw("large", 10_000).wanted.sum() == 50
    take(sample, 0, 60)
    assert 0 < sample.quota.draw("another", 10_000).wanted.sum() < 60


def test_a_prefix_is_balanced_too():
    slides = content(filled([1000] * 4, 400))[2]
    assert np.ptp(np.bincount(slides[:80], minlength=4)) <= 4


def test_what_is_saved_comes_back(tmp_path):
    sample = filled([50, 60], 90)
    sample.save(tmp_path / "s.npz", "a note µ")
    assert read_note(tmp_path / "s.npz") == "a note µ"
    again = Sample(90, 3)
    again.load(tmp_path / "s.npz")
    take(again, 2, 70)
    for got, wanted in zip(content(again), content(filled([50, 60, 70], 90)), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_other_seeds_draw_others_and_do_not_merge():
    first, other = filled([5000], seed=0), filled([5000], seed=1)
    assert set(content(first)[0][:, 1]) != set(content(other)[0][:, 1])
    with pytest.raises(OptionError, match="equal capacity"):
        first.merge(other)


def test_a_sample_of_nothing():
    with pytest.raises(OptionError, match="at least 1"):
        Sample(0, 3)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("s") / "s.npz"
    filled([50, 60], 90).save(path, "a note µ")
    return path.read_bytes()


def test_a_directory_that_points_before_the_file_is_told(saved, tmp_path):
    changed = bytearray(saved)
    changed[-5] ^= 1  # where the directory begins: the archive now seems to begin before the file
    (tmp_path / "s.npz").write_bytes(bytes(changed))
    with pytest.raises(DamagedError, match=r"s\.npz is not as it was written"):
        Sample(90, 3).load(tmp_path / "s.npz")


@settings(max_examples=200)
@given(data=st.data())
def test_a_byte_that_is_not_as_it_was_written_is_told_or_changes_nothing(saved, tmp_path_factory, data):
    changed = bytearray(saved)
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("s") / "s.npz"
    path.write_bytes(bytes(changed))
    sample = Sample(90, 3)
    try:
        assert read_note(path) == "a note µ"
        sample.load(path)
    except DamagedError as error:
        assert "s.npz is not as it was written" in str(error)  # noqa: PT017 - other bytes are read all the same
        assert sample.size == 0
    else:
        for got, wanted in zip(content(sample), content(filled([50, 60], 90)), strict=True):
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("change", ["cut", "empty", "text", "none", "array"])
def test_a_file_that_is_no_sample_is_told(saved, tmp_path, change):
    path = tmp_path / "s.npz"
    if change == "array":
        np.save(tmp_path / "s.npy", np.arange(3))
        (tmp_path / "s.npy").rename(path)
    elif change != "none":
        path.write_bytes({"cut": saved[:-100], "empty": b"", "text": b"text"}[change])
    with pytest.raises(DamagedError, match=r"s\.npz"):
        read_note(path)
    with pytest.raises(DamagedError, match=r"s\.npz"):
        Sample(90, 3).load(path)


def test_values_that_were_exchanged_are_told(saved, tmp_path):
    """A file that is whole as a zip, with the values of another sample in it."""
    path = tmp_path / "s.npz"
    path.write_bytes(saved)
    with np.load(path) as file:
        held = dict(file)
    held["keys"] = held["keys"][::-1]
    np.savez(path, **held)
    with pytest.raises(DamagedError):
        Sample(90, 3).load(path)


def test_a_sample_of_other_channels_is_told(saved, tmp_path):
    (tmp_path / "s.npz").write_bytes(saved)
    with pytest.raises(DamagedError):
        Sample(90, 4).load(tmp_path / "s.npz")


def test_a_sample_of_nothing_yet_comes_back(tmp_path):
    Sample(90, 3).save(tmp_path / "s.npz", "")
    again = Sample(90, 3)
    again.load(tmp_path / "s.npz")
    assert again.size == 0


def test_means_of_slides_are_kept_and_taken_away(tmp_path):
    sample = filled([30, 40, 50])
    values = ([1, 2, 3], [3, 2, 1], [2, 5, 2])
    sample.means = {slide: SlideMean(np.array(value, "f4"), 1e6 + slide) for slide, value in enumerate(values)}
    sample.save(tmp_path / "s.npz", "note")
    again = Sample(100, 3)
    again.load(tmp_path / "s.npz")
    assert {slide: (mean.value.tolist(), mean.mm2) for slide, mean in again.means.items()} == {
        slide: (value, 1e6 + slide) for slide, value in enumerate(values)
    }
    before, slides = again.tokens[: again.size].copy(), again.slides[: again.size]
    centring = again.centre(0.5)
    np.testing.assert_array_equal(centring.mean, [2, 3, 2])
    offsets = np.array([[-0.5, -0.5, 0.5], [0.5, -0.5, -0.5], [0, 1, 0]])
    np.testing.assert_allclose(again.tokens[: again.size], before - offsets[slides], atol=1e-5)
    moved, norms = before.astype(np.float64), before[:, 1].astype(np.float64)
    wanted = norms - 2 * (moved * offsets[slides]).sum(1) + (offsets[slides] ** 2).sum(1)
    np.testing.assert_allclose(again.sq_norms[: again.size], np.maximum(wanted, 0), atol=1e-3 * np.abs(wanted).max())


def test_a_sample_that_an_earlier_version_kept_is_read_without_its_stain(tmp_path, monkeypatch):
    sample = filled([30, 40])
    with monkeypatch.context() as patch:
        patch.setattr(module, "_COLUMNS", ("tokens", "sq_norms", "keys", "slides", "places"))
        sample.save(tmp_path / "sample.npz", "note")
    with np.load(tmp_path / "sample.npz") as held:
        assert "stains" not in held
    again, note = read_sample(tmp_path / "sample.npz")
    assert note == "note"
    assert np.isnan(again.stains).all()
    for ours, theirs in zip(content(again)[:5], content(sample)[:5], strict=True):
        np.testing.assert_array_equal(ours, theirs)
