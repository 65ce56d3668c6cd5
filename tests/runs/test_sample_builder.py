"""The sample of a collection: complete slides only, balanced, gone on with after any interruption."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from histofactor.errors import ImageError, OptionError, OutputError, ResolutionError
from histofactor.runs import sample_builder as gather
from histofactor.runs.sample_builder import (
    Collection,
    LearnOptions,
    LearnReporter,
    Source,
    Supply,
    name_sources,
    read_table,
    supply_files,
    supply_manifest,
)
from histofactor.segmentation import encoding as stream
from histofactor.segmentation.setup import SegmentOptions, prepare
from histofactor.slides.phantom import phantom
from histofactor.tcga.fetch import FetchOptions

OPTIONS = LearnOptions(source_mpp=1.0, tokens=500, checkpoint_s=0)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for seed in range(4):
        Image.fromarray(phantom((200 + 40 * seed, 160), seed=seed, mpp=1.0).image).save(folder / f"{seed}.png")
    return folder


@pytest.fixture
def collect(images, tiny_encoder):
    engine = prepare(encoder=tiny_encoder, method="single", options=SegmentOptions())

    def build(numbers=range(4), options=OPTIONS, work=None, find=None, groups=None):
        sources = [Source(f"{n}.png", groups and groups[n]) for n in numbers]
        supply = Supply(sources, find or (lambda todo: (images / source.name for source in todo)))
        collection = Collection(supply, engine, options, work)
        collection.gather(LearnReporter())
        return collection

    return build


def content(collection):
    sample = collection.sample
    sample.sort()
    return [values[: sample.size].copy() for values in (sample.tokens, sample.keys, sample.places)]


def same(a, b):
    for got, wanted in zip(content(a), content(b), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_every_input_gives_alike_and_is_known_by_its_hash(collect):
    collection = collect()
    counts = np.bincount(collection.sample.slides[: collection.sample.size])
    assert counts.sum() == 500
    assert np.ptp(counts) <= 3
    assert all(len(known["sha256"]) == 64 and known["tokens"] > 125 for known in collection.slides.values())


def test_groups_give_alike(collect):
    collection = collect(groups=["a", "b", "b", "b"])
    counts = np.bincount(collection.sample.slides[: collection.sample.size])
    assert counts[0] == pytest.approx(250, abs=3)


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
    same(collect(work=work, find=rest), collect())
    assert looked == [f"{n}.png" for n in range(stop, 4)]


def test_another_recipe_begins_anew(collect, tmp_path):
    work = tmp_path / "w.npz"
    collect(work=work)
    other = LearnOptions(source_mpp=1.0, tokens=500, seed=1, checkpoint_s=0)
    same(collect(work=work, options=other), collect(options=other))
    same(collect(range(3), work=work), collect(range(3)))


def test_a_work_file_that_cannot_be_read(collect, tmp_path):
    work = tmp_path / "w.npz"
    work.write_bytes(b"PK\x03\x04 not a sample")
    with pytest.raises(OptionError, match="delete it"):
        collect(work=work)


def test_an_input_that_fails_half_way_leaves_nothing(collect, monkeypatch):
    real = gather.cluster_rows_of

    def failing(slide, *others):
        units = real(slide, *others)

        def stream():
            for number, part in enumerate(units.stream):
                if number == 1 and slide.info.path.name == "2.png":
                    raise ImageError("the rest is gone")
                yield part

        return replace(units, stream=stream())

    monkeypatch.setattr(gather, "cluster_rows_of", failing)
    collection = collect()
    assert collection.left_out == {"2.png": "the rest is gone"}
    assert sorted(set(collection.sample.slides[: collection.sample.size])) == [0, 1, 3]


def test_features_that_are_not_finite_leave_the_input_out(collect, monkeypatch):
    real = stream.respond
    monkeypatch.setattr(stream, "respond", lambda features, aims: tuple(part * np.nan for part in real(features, aims)))
    collection = collect()
    assert collection.sample.size == 0
    assert all("not finite" in reason for reason in collection.left_out.values())


def test_names_are_the_shortest_ends_that_differ(tmp_path):
    names = [source.name for source in name_sources([tmp_path / "a/x/1.png", tmp_path / "b/x/1.png"])]
    assert names == ["a/x/1.png", "b/x/1.png"]
    assert [source.name for source in name_sources([tmp_path / "a/1.png", tmp_path / "b/2.png"])] == ["1.png", "2.png"]


def test_the_same_input_twice(collect):
    with pytest.raises(OptionError, match="twice"):
        collect([1, 1])


def test_windows_out_of_range(collect):
    with pytest.raises(OptionError, match="windows"):
        collect(options=LearnOptions(windows=-1))


def test_groups_from_a_table(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("slide,age,hospital\n1,50,north\n2.png,60,south\n")
    sources = [Source("1.png"), Source("2.png")]
    assert [source.group for source in read_table(sources, table, "hospital")] == ["north", "south"]
    for column, others, told in (
        ("project", sources, "no column 'project'"),
        ("slide", sources, "no column 'slide' after the first"),
        ("hospital", [Source("3.png")], "hospital of 3.png"),
    ):
        with pytest.raises(OptionError, match=told):
            read_table(others, table, column)
    for wrong in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(OptionError, match="cannot read the table"):
            read_table(sources, wrong, "hospital")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(OptionError, match="no rows"):
        read_table(sources, tmp_path / "empty.csv", "hospital")


def test_a_manifest_is_fetched_worked_on_and_deleted(gdc, tmp_path):
    supply = supply_manifest(gdc.files[:4], tmp_path, FetchOptions(gdc.endpoint))
    assert [source.group for source in supply.sources] == ["TCGA-A", "TCGA-B"] * 2
    for source, path in zip(supply.sources[1:], supply.find(supply.sources[1:]), strict=True):
        assert path == tmp_path / source.name
        assert path.exists()
    assert list(tmp_path.iterdir()) == []
    assert "/data/id-00" not in {path for path, _ in gdc.requests}


def test_files_with_groups(tmp_path):
    (tmp_path / "t.csv").write_text("slide,hospital\n1,north\n")
    supply = supply_files([tmp_path / "a/1.png"], tmp_path / "t.csv", "hospital")
    assert supply.sources == [Source("1.png", "north")]
    assert list(supply.find(supply.sources)) == [tmp_path / "a/1.png"]


def test_resolutions_from_a_table(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("file,mpp\n1,0.25\n2,\n3,coarse\n4,-1\n")
    sources = [Source("1.png"), Source("2.png")]
    assert [(source.mpp, source.group) for source in read_table(sources, table)] == [(0.25, None), (None, None)]
    for name, told in (("3.png", "no number"), ("4.png", "mpp of 4.png")):
        with pytest.raises(ResolutionError, match=told):
            read_table([Source(name)], table)


def test_a_resolution_is_used(collect, images, tiny_encoder):
    engine = prepare(encoder=tiny_encoder, method="single")
    supply = Supply([Source("3.png", mpp=0.5)], lambda todo: [images / "3.png"])
    collection = Collection(supply, engine, LearnOptions(tokens=5000))
    collection.gather(LearnReporter())
    assert collection.slides["3.png"]["tokens"] < 0.3 * collect([3]).slides["3.png"]["tokens"]


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_encoded(collect, tmp_path):
    (tmp_path / "file").write_text("x")
    looked = []

    def find(todo):
        looked.append(todo)
        yield from ()

    with pytest.raises(OutputError):
        collect(work=tmp_path / "file" / "w.npz", find=find)
    assert not looked
