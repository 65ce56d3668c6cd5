"""The sample of a builder: complete slides only, balanced, gone on with after any interruption."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from histofactor.concepts.learn.levels import TrainOptions
from histofactor.concepts.learn.sample import Sample
from histofactor.concepts.learn.sample_file import read_note
from histofactor.errors import ImageError, OptionError, OutputError
from histofactor.runs.execute.local import LocalWorkers
from histofactor.runs.loaded import memory_of
from histofactor.runs.outcome import Reporter
from histofactor.runs.sample_builder import LearnOptions, SampleBuilder
from histofactor.runs.source import Opening, Source, Sources, file_sources
from histofactor.runs.thrift import Thrift
from histofactor.segmentation import encoding as stream
from histofactor.segmentation import sampling
from histofactor.slides.phantom import phantom

OPTIONS = LearnOptions(opening=Opening(source_mpp=1.0), tokens=500, checkpoint_s=0)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for seed in range(4):
        Image.fromarray(phantom((200 + 40 * seed, 160), seed=seed, mpp=1.0).image).save(folder / f"{seed}.png")
    return folder


@pytest.fixture
def collect(images, tiny_encoder):
    def build(numbers=range(4), options=OPTIONS, work=None, find=None, groups=None, told=None):
        sources = [Source(f"{n}.png", groups and groups[n]) for n in numbers]
        inputs = Sources(sources, find or (lambda todo: (images / source.name for source in todo)))
        reporter = Reporter(on_note=(told if told is not None else []).append)
        builder = SampleBuilder(inputs, tiny_encoder, options, work=work, reporter=reporter)
        builder.gather()
        return builder

    return build


def content(builder):
    sample = builder.sample
    sample.sort()
    return [values[: sample.size].copy() for values in (sample.tokens, sample.keys, sample.places)]


def same(a, b):
    for got, wanted in zip(content(a), content(b), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_every_input_gives_alike_and_is_known_by_its_hash(collect):
    builder = collect()
    counts = np.bincount(builder.sample.slides[: builder.sample.size])
    assert counts.sum() == 500
    assert np.ptp(counts) <= 3
    assert all(len(known["sha256"]) == 64 and known["tokens"] > 125 for known in builder.slides.values())


def test_groups_give_alike(collect):
    builder = collect(groups=["a", "b", "b", "b"])
    counts = np.bincount(builder.sample.slides[: builder.sample.size])
    assert counts[0] == pytest.approx(250, abs=3)


def test_slides_give_alike_although_there_are_groups(collect):
    options = replace(OPTIONS, balance="slide")
    builder = collect(groups=["a", "b", "b", "b"], options=options)
    assert builder.balance == "slide"
    same(builder, collect(options=options))  # as if there were none


def test_shares_of_two_workers_make_the_whole(collect, images):
    whole = collect()
    first, second = (
        collect(
            find=lambda todo, own=own: (
                images / s.name if s.name in own else ImageError("another worker's") for s in todo
            )
        )
        for own in ({"0.png", "2.png"}, {"1.png", "3.png"})
    )
    first.sample.merge(second.sample)
    same(first, whole)


@pytest.mark.parametrize(("kept", "saved"), [(False, 2 + 4 + 4), (True, 2 + 4)])  # at both ends, of looks, of samples
def test_the_sample_is_not_saved_for_what_lies_on_the_disk(images, tiny_encoder, tmp_path, monkeypatch, kept, saved):
    times, save = [], Sample.save
    monkeypatch.setattr(Sample, "save", lambda *args: times.append(args) or save(*args))
    sources = file_sources(sorted(images.iterdir()), {}, OPTIONS.opening)
    options = replace(OPTIONS, checkpoint_s=0.0, thrift=Thrift(), keep=tmp_path / "out" if kept else None)
    SampleBuilder(sources, tiny_encoder, options, work=tmp_path / "w.npz").gather()
    assert len(times) == saved


@pytest.mark.parametrize("stop", [0, 1, 3])
def test_cut_short_and_gone_on_with(collect, images, tmp_path, stop):
    work, looked = tmp_path / "w.npz", []

    def cut(todo):
        for number, source in enumerate(todo):
            if number == stop:
                raise KeyboardInterrupt
            yield images / source.name

    def rest(todo):
        for source in todo:
            looked.append(source.name)
            yield images / source.name

    with pytest.raises(KeyboardInterrupt):
        collect(work=work, find=cut)
    same(collect(work=work, find=rest), collect(work=tmp_path / "whole.npz"))
    assert work.read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert looked == [f"{n}.png" for n in range(stop, 4)]


@pytest.mark.parametrize("thrift", [None, Thrift()])
def test_every_input_is_saved_before_the_next_is_begun(images, tiny_encoder, tmp_path, thrift):
    """Files on disk are all at hand at once; a process that is killed at the last of them keeps the others."""
    work, begun = tmp_path / "w.npz", []

    def on_input(name, index, total):
        begun.append((index, len(json.loads(read_note(work))["slides"])))

    builder = SampleBuilder(
        file_sources([images / f"{n}.png" for n in range(4)]), tiny_encoder, replace(OPTIONS, thrift=thrift),
        work=work, reporter=Reporter(on_input=on_input),
    )  # fmt: skip
    builder.gather()
    assert begun == [(0, 0), (1, 1), (2, 2), (3, 3)]


def test_another_recipe_begins_anew(collect, tmp_path):
    work = tmp_path / "w.npz"
    collect(work=work)
    other = LearnOptions(opening=Opening(source_mpp=1.0), tokens=500, seed=1, checkpoint_s=0)
    kept, told = work.read_bytes(), []
    same(collect(work=work, options=other, told=told), collect(options=other))
    (aside,) = tmp_path.glob("w.npz.*")
    assert aside.read_bytes() == kept  # a sample took hours: nothing overwrites it
    assert str(aside) in told[0]
    same(collect(range(3), work=work), collect(range(3)))


def test_a_sample_of_nothing_is_not_kept_aside(collect, tmp_path):
    """As where every input lacked its µm/px, and is given it now."""
    work, told = tmp_path / "w.npz", []
    collect(work=work, options=LearnOptions(mpp=1.0))
    assert work.exists()
    same(collect(work=work, told=told), collect())
    assert (told, [*tmp_path.glob("w.npz.*")]) == ([], [])


def test_a_changed_input_begins_anew(images, tiny_encoder, tmp_path):
    work, paths, told = tmp_path / "w.npz", [tmp_path / "0.png", tmp_path / "1.png"], []

    def tokens():
        reporter = Reporter(on_note=told.append)
        builder = SampleBuilder(file_sources(paths), tiny_encoder, OPTIONS, work=work, reporter=reporter)
        builder.gather()
        return {name: known["tokens"] for name, known in builder.slides.items()}

    for path in paths:
        path.write_bytes((images / "0.png").read_bytes())
    before = tokens()
    assert tokens() == before
    assert told == []
    paths[1].write_bytes((images / "3.png").read_bytes())
    after = tokens()
    assert after["0.png"] == before["0.png"]
    assert after["1.png"] > 1.2 * before["1.png"]
    assert "kept as" in told[0]


def test_which_image_of_a_file_is_read_is_told(images, tiny_encoder, tmp_path):
    with Image.open(images / "3.png") as large, Image.open(images / "0.png") as small:
        large.save(tmp_path / "two.tif", save_all=True, append_images=[small.copy()])
    told = []
    reporter = Reporter(on_outcome=told.append)
    SampleBuilder(file_sources([tmp_path / "two.tif"]), tiny_encoder, OPTIONS, reporter=reporter).gather()
    assert "'page 1' (200 × 160 px)" in told[0].notes[0]


def test_a_work_file_that_cannot_be_read(collect, tmp_path):
    work = tmp_path / "w.npz"
    work.write_bytes(b"PK\x03\x04 not a sample")
    told = []
    same(collect(work=work, told=told), collect())
    assert "damaged and made anew" in told[0]


def test_an_input_that_fails_half_way_leaves_nothing(collect, monkeypatch):
    real = sampling.cluster_rows_of

    def failing(planned, *others):
        rows = real(planned, *others)

        def stream():
            for number, part in enumerate(rows.stream):
                if number == 1 and planned.slide.info.path.name == "2.png":
                    raise ImageError("the rest is gone")
                yield part

        return replace(rows, stream=stream())

    monkeypatch.setattr(sampling, "cluster_rows_of", failing)
    builder = collect()
    assert builder.left_out == {"2.png": "the rest is gone"}
    assert sorted(set(builder.sample.slides[: builder.sample.size])) == [0, 1, 3]


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory"), MemoryError("no room"), ZeroDivisionError()])
def test_any_error_on_one_slide_leaves_that_slide_out(collect, monkeypatch, error):
    real = sampling.cluster_rows_of

    def failing(planned, *others):
        if planned.slide.info.path.name == "2.png":
            raise error
        return real(planned, *others)

    monkeypatch.setattr(sampling, "cluster_rows_of", failing)
    builder = collect()
    assert list(builder.left_out) == ["2.png"]
    assert type(error).__name__ in builder.left_out["2.png"]
    assert sorted(set(builder.sample.slides[: builder.sample.size])) == [0, 1, 3]


def test_features_that_are_not_finite_leave_the_input_out(collect, monkeypatch):
    real = stream.respond
    monkeypatch.setattr(stream, "respond", lambda features, aims: tuple(part * np.nan for part in real(features, aims)))
    builder = collect()
    assert builder.sample.size == 0
    assert all("not finite" in reason for reason in builder.left_out.values())


def test_the_same_input_twice(collect):
    with pytest.raises(OptionError, match="twice"):
        collect([1, 1])


def test_windows_out_of_range(collect):
    with pytest.raises(OptionError, match="windows"):
        collect(options=LearnOptions(windows=-1))


def test_a_resolution_is_used(collect, images, tiny_encoder):
    sources = Sources([Source("3.png", mpp=0.5)], lambda todo: [images / "3.png"])
    builder = SampleBuilder(sources, tiny_encoder, LearnOptions(tokens=5000))
    builder.gather()
    assert builder.slides["3.png"]["tokens"] < 0.3 * collect([3]).slides["3.png"]["tokens"]


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_encoded(collect, tmp_path):
    (tmp_path / "file").write_text("x")
    looked = []

    def find(todo):
        looked.append(todo)
        yield from ()

    with pytest.raises(OutputError):
        collect(work=tmp_path / "file" / "w.npz", find=find)
    assert not looked


@pytest.mark.parametrize(
    "wrong",
    [
        LearnOptions(pool="slide"),
        LearnOptions(train=TrainOptions("lda")),
        LearnOptions(centring=1.5),
        LearnOptions(centring=-1),
    ],
)
def test_options_that_make_no_sense_are_told_before_anything_is_encoded(collect, wrong):
    with pytest.raises(OptionError, match=r"unknown pool|unknown algorithm|centring"):
        collect(options=wrong, find=lambda todo: pytest.fail("an input was looked at"))


def thrifty(**changes):
    return replace(OPTIONS, thrift=Thrift(**changes))


def spent(builder):
    """Windows encoded of every input, and whether they are held."""
    return {name: (known["windows"], known["of"], known["held"] > 0) for name, known in builder.slides.items()}


def test_small_inputs_are_encoded_whole_and_held_within_the_budget(images, tiny_encoder):
    def build(**changes):
        workers = LocalWorkers()
        builder = SampleBuilder(
            file_sources([images / f"{n}.png" for n in range(4)]), tiny_encoder, thrifty(**changes), workers=workers
        )
        builder.gather()
        memory = memory_of(workers.shared)
        held = [memory.take(images / source.name, source.content) for source in builder.sources]
        return builder, held

    builder, held = build()
    assert all(windows == of and kept for windows, of, kept in spent(builder).values())
    assert all(one.windows is not None and one.mean is not None for one in held)
    two = sum(builder.slides[f"{n}.png"]["held"] for n in (0, 1))
    builder, held = build(held_bytes=two, fewest=4)
    assert [kept for _, _, kept in spent(builder).values()] == [True, True, False, False]
    assert [one.windows is not None for one in held] == [True, True, False, False]
    assert builder.sample.means.keys() == {0, 1, 2, 3}


def test_of_large_inputs_a_share_of_the_windows_is_encoded(collect):
    found = spent(collect(options=thrifty(small_bytes=0, share=0.25)))
    assert all(not kept and windows == max(1, round(of / 4 / 4)) * 4 for windows, of, kept in found.values())


def test_learning_alone_takes_its_share_of_all_windows_and_no_more(collect):
    """Inputs too large to be held, of few windows each: once the share is spent, others are passed over."""
    options = replace(thrifty(small_bytes=0, share=0.01, fewest=2), tokens=500)
    builder = collect(options=options)
    found = spent(builder)
    assert [windows > 0 for windows, _, _ in found.values()] == [True, True, False, False]
    assert [source.name for source in builder.used] == ["0.png", "1.png"]


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_thrift_that_was_cut_short_chooses_as_if_it_had_not_been(collect, images, tmp_path, stop):
    options = thrifty(held_bytes=10**6, fewest=1)

    def cut(todo):
        for number, source in enumerate(todo):
            if number == stop:
                raise KeyboardInterrupt
            yield images / source.name

    with pytest.raises(KeyboardInterrupt):
        collect(options=options, work=tmp_path / "w.npz", find=cut)
    resumed, whole = collect(options=options, work=tmp_path / "w.npz"), collect(options=options)
    assert spent(resumed) == spent(whole)
    same(resumed, whole)
