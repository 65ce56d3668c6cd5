"""Concepts from images: sampled evenly, repeatable, tolerant of a bad file."""

import json

import numpy as np
import pytest
from PIL import Image

from histofactor.concepts.learn.kmeans import KMeansOptions
from histofactor.concepts.learn.levels import TrainOptions
from histofactor.errors import BankError, ImageError, OptionError
from histofactor.runs.learn_concepts import learn_concepts
from histofactor.runs.outcome import Reporter
from histofactor.runs.sample_builder import LearnOptions
from histofactor.runs.source import Opening, file_sources
from histofactor.runs.table import read_table
from histofactor.segmentation.page import segment
from histofactor.segmentation.setup import SegmentOptions
from histofactor.slides.phantom import phantom

OPTIONS = LearnOptions(opening=Opening(source_mpp=1.0))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for seed in (0, 1):
        Image.fromarray(phantom((320, 240), seed=seed, mpp=1.0).image).save(folder / f"{seed}.png")
    (folder / "bad.png").write_bytes(b"not an image")
    return folder


def test_banks_that_segment(images, tiny_encoder):
    paths = [images / name for name in ("0.png", "bad.png", "1.png")]
    told = {}
    reporter = Reporter(on_outcome=lambda outcome: told.update({outcome.input: outcome.error}))
    learned = learn_concepts(paths, [5, 3], encoder=tiny_encoder, options=OPTIONS, reporter=reporter)
    banks, card = learned.banks, learned.card
    assert [len(bank.vectors) for bank in banks] == [3, 5]
    assert banks[0].encoder == tiny_encoder.spec.key
    assert banks[0].mpp == 1.0
    assert [bank.provenance["window_px"] for bank in banks] == [128, 128]
    assert [slide["name"] for slide in card["slides"]] == ["0.png", "1.png"]
    assert sum(slide["sampled"] for slide in card["slides"]) == card["options"]["tokens"]
    assert list(card["left_out"]) == ["bad.png"]
    assert json.loads(json.dumps(card)) == card
    assert "bad.png" in told["bad.png"]
    assert told["0.png"] == ""
    assert np.shape(banks[0].provenance["per_slide"]) == (2, 3)
    assert {one["slide"] for examples in banks[1].provenance["examples"] for one in examples} == {0, 1}
    labels = segment(images / "0.png", encoder=tiny_encoder, concepts=banks[1], source_mpp=1.0).label_map.labels
    assert len(np.unique(labels[labels > 0])) >= 4


@pytest.mark.parametrize("algorithm", ["kmeans", "nmf"])
def test_same_seed_same_bank(images, tiny_encoder, algorithm):
    train = TrainOptions(algorithm, kmeans=KMeansOptions(seed=4))
    options = LearnOptions(opening=Opening(source_mpp=1.0), seed=4, tokens=200, train=train)
    first, second = (learn_concepts([images / "0.png"], [4], encoder=tiny_encoder, options=options) for _ in range(2))
    np.testing.assert_array_equal(first.banks[0].vectors, second.banks[0].vectors)
    assert first.card == second.card
    assert first.card["options"]["tokens"] == 200


def test_cut_short_and_gone_on_with_gives_the_same_bank(images, tiny_encoder, tmp_path):
    paths = [images / "0.png", images / "1.png"]
    options = LearnOptions(opening=Opening(source_mpp=1.0), checkpoint_s=0)

    def stop(outcome):
        raise KeyboardInterrupt

    work = tmp_path / "work.npz"
    with pytest.raises(KeyboardInterrupt):
        learn_concepts(
            paths, [4, 8], encoder=tiny_encoder, options=options, work=work, reporter=Reporter(on_outcome=stop)
        )
    resumed = learn_concepts(paths, [4, 8], encoder=tiny_encoder, options=options, work=work)
    undisturbed = learn_concepts(paths, [4, 8], encoder=tiny_encoder, options=options)
    for got, wanted in zip(resumed.banks, undisturbed.banks, strict=True):
        np.testing.assert_array_equal(got.vectors, wanted.vectors)
        assert got.provenance == wanted.provenance
    assert resumed.card == undisturbed.card


def test_a_kept_sample_serves_other_ks(images, tiny_encoder, tmp_path):
    def look(name, index, total):
        raise AssertionError

    work, paths = tmp_path / "work.npz", [images / "0.png", images / "1.png"]
    learn_concepts(paths, [4], encoder=tiny_encoder, options=OPTIONS, work=work)
    again = learn_concepts(
        paths, [6], encoder=tiny_encoder, options=OPTIONS, work=work, reporter=Reporter(on_input=look)
    )
    anew = learn_concepts(paths, [6], encoder=tiny_encoder, options=OPTIONS)
    np.testing.assert_array_equal(again.banks[0].vectors, anew.banks[0].vectors)


def test_groups_are_told(images, tiny_encoder, tmp_path):
    (tmp_path / "t.csv").write_text("name,hospital\n0,north\n1,south\n")
    paths = [images / "0.png", images / "1.png"]
    sources = file_sources(paths, read_table(tmp_path / "t.csv", paths, "hospital"))
    learned = learn_concepts(sources, [3], encoder=tiny_encoder, options=OPTIONS)
    assert learned.card["groups"] == {"north": 1, "south": 1}
    assert sorted(learned.banks[0].provenance["per_group"]) == ["north", "south"]


def test_what_is_not_in_the_sample_is_told(images, tiny_encoder, tmp_path):
    """An input without tissue, and a group that has a third of what the other has, until fewer tokens are asked for."""
    names = ("0.png", "1.png", "2.png", "3.png", "glass.png")
    for seed, name in enumerate(names):
        Image.fromarray(phantom((320, 240), seed=seed, mpp=1.0).image).save(tmp_path / name)
    Image.new("RGB", (320, 240), (243, 243, 243)).save(tmp_path / "glass.png")
    rows = "".join(f"{name},1,{group}\n" for name, group in zip(names, "nnsnn", strict=True))
    (tmp_path / "t.csv").write_text(f"path,mpp,group\n{rows}")
    sources = file_sources([tmp_path / name for name in names], read_table(tmp_path / "t.csv"))

    def told(**options):
        notes = []
        learned = learn_concepts(
            sources, [2], encoder=tiny_encoder, options=LearnOptions(**options), reporter=Reporter(on_note=notes.append)
        )
        given = [sum(one["sampled"] for one in learned.card["slides"] if one["group"] == group) for group in "ns"]
        return notes, given

    glass = "no tissue was found in 1 input, which gives nothing to learn from: glass.png"
    (first, uneven), (north, south) = told()
    assert first == glass
    assert uneven.startswith(f"groups do not give alike: n {north:,} tokens, s {south:,}, for it has no more; ")
    assert f"--tokens {2 * south}`" in uneven
    notes, given = told(tokens=2 * south)
    assert notes == [glass]
    assert given == [south, south]
    assert told(balance="slide")[0] == [glass]


def test_nothing_to_learn_from(images, tiny_encoder, tmp_path):
    Image.new("RGB", (64, 64), (245, 245, 245)).save(tmp_path / "blank.png")
    for path in (images / "bad.png", tmp_path / "blank.png"):
        with pytest.raises(ImageError, match="no tissue"):
            learn_concepts([path], [3], encoder=tiny_encoder)


def test_fewer_tokens_than_concepts(images, tiny_encoder):
    options = LearnOptions(opening=Opening(source_mpp=1.0), tokens=10)
    with pytest.raises(BankError, match="20"):
        learn_concepts([images / "0.png"], [20], encoder=tiny_encoder, options=options)


def test_ks_are_checked_before_anything_is_encoded(images, tiny_encoder):
    def look(name, index, total):
        raise AssertionError

    for ks in ([300], [], [4, 4]):
        with pytest.raises(OptionError, match="1 to 256"):
            learn_concepts([images / "0.png"], ks, encoder=tiny_encoder, reporter=Reporter(on_input=look))


def test_banks_tell_what_is_unlike_them(images, tiny_encoder):
    paths = [images / "0.png", images / "1.png"]
    learned = learn_concepts(paths, [4, 8], encoder=tiny_encoder, options=OPTIONS)
    limits = [bank.provenance["residual_limit"] for bank in learned.banks]
    assert limits == [row["residual_limit"] for row in learned.card["choice"]["rows"]]
    auto = SegmentOptions(unlike="auto")
    found = segment(images / "0.png", encoder=tiny_encoder, concepts=learned.banks[1], source_mpp=1.0, options=auto)
    assert found.recipe["unlike"] == limits[1]
    assert (found.label_map.labels == 9).mean() < 0.02
    tiles = learn_concepts(
        paths, [2], encoder=tiny_encoder, options=LearnOptions(opening=Opening(source_mpp=1.0), pool="tile")
    )
    assert "residual_limit" not in tiles.banks[0].provenance
