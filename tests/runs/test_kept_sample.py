"""The sample of a bank read again: as it was clustered, and of this bank alone."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from histofactor.concepts.bank.file import read_bank_file
from histofactor.concepts.centring import offset_of
from histofactor.concepts.learn.sample import Sample, read_sample
from histofactor.errors import BankError, OptionError
from histofactor.runs.kept_sample import check_explained, learned_tokens, told_by
from histofactor.runs.study import sample_of


@pytest.fixture
def bank(study):
    return study[0] / "concepts.safetensors"


def with_card(file, **changes):
    return replace(file, card={**file.card, **changes})


def rewritten(path, change):
    """The sample of a bank with another note."""
    sample, note = read_sample(sample_of(path))
    told = json.loads(note)
    change(told)
    sample.save(sample_of(path), json.dumps(told))


def test_every_token_knows_its_slide(bank):
    file = read_bank_file(bank)
    learned = learned_tokens(bank, file)
    assert [int(count) for count in np.bincount(learned.slides)] == [one["sampled"] for one in file.card["slides"]]
    assert learned.sides == tuple(one["side"] for one in file.card["slides"])
    for k, level in file.banks.items():
        check_explained(bank, file, k, learned)
        again = told_by(file, k, learned).banks[k]
        ours, theirs = (np.array(one.provenance["per_slide"]) for one in (again, level))
        assert np.abs(ours - theirs).sum() <= 0.01 * theirs.sum()  # what is negative in a centroid became 0
        assert len(again.provenance["examples"]) == k


def test_tokens_are_centred_as_they_were(bank):
    file = read_bank_file(bank)
    raw, _ = read_sample(sample_of(bank))
    learned, centring = learned_tokens(bank, file), file.banks[8].centring
    for slide in (0, 1):
        rows = raw.slides[: raw.size] == slide
        expected = raw.tokens[: raw.size][rows] - offset_of(centring, raw.means[slide])
        np.testing.assert_allclose(learned.tokens[rows], expected, atol=1e-5)
    other = replace(centring, mean=centring.mean + 1)
    banks = {k: replace(one, centring=other) for k, one in file.banks.items()}
    with pytest.raises(BankError, match="is not the sample that"):
        learned_tokens(bank, replace(file, banks=banks))


def test_slides_without_tokens_are_passed_over(bank):
    """An input that was left out comes first, and one without tissue lies between those with tokens."""
    file, (sample, note) = read_bank_file(bank), read_sample(sample_of(bank))
    told = json.loads(note)
    bare = {"windows": 1, "of": 1, "held": 0, "mpp": 1.0, "tokens": 0, "side": 8.0, "sha256": "0"}
    told["slides"] |= {"bare.png": bare, "spared.png": {**bare, "windows": 0}}
    sample.slides[: sample.size] = np.where(sample.slides[: sample.size] == 0, 1, 4)
    sample.means = {1: sample.means[0], 4: sample.means[1]}
    sample.save(sample_of(bank), json.dumps(told))
    first, last = file.card["slides"]
    middle = {"name": "bare.png", "group": None, "sha256": "0", "side": 8.0, "sampled": 0}
    learned = learned_tokens(bank, with_card(file, slides=[first, middle, last]))
    assert np.bincount(learned.slides).tolist() == [first["sampled"], 0, last["sampled"]]


def test_directions_have_unit_length(bank):
    file = read_bank_file(bank)
    options = {**file.card["options"], "spherical": True}
    learned = learned_tokens(bank, with_card(file, options=options))
    np.testing.assert_allclose(np.linalg.norm(learned.tokens, axis=1), 1, rtol=1e-5)


def test_what_does_not_belong_is_refused(bank, tmp_path):
    file = read_bank_file(bank)
    with pytest.raises(OptionError, match="no clusters"):
        learned_tokens(bank, with_card(file, algorithm="nmf"))
    with pytest.raises(OptionError, match="no sample of"):
        learned_tokens(tmp_path / "other.safetensors", file)
    fewer = [{**one, "sampled": one["sampled"] - 1} for one in file.card["slides"]]
    with pytest.raises(BankError, match="is not the sample that"):
        learned_tokens(bank, with_card(file, slides=fewer))
    learned = learned_tokens(bank, file)
    finest = file.banks[max(file.banks)]
    other = replace(finest, provenance={**finest.provenance, "counts": finest.provenance["counts"][::-1]})
    with pytest.raises(BankError, match="was not learned from the sample"):
        check_explained(bank, replace(file, banks={len(other.names): other}), len(other.names), learned)


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.pop("slides"),
        lambda told: told.update(slides=3),
        lambda told: next(iter(told["slides"].values())).pop("sha256"),
        lambda told: next(iter(told["slides"].values())).update(side="wide"),
    ],
)
def test_notes_that_make_no_sense(bank, change):
    rewritten(bank, change)
    with pytest.raises(BankError, match="does not say what it is of"):
        learned_tokens(bank, read_bank_file(bank))


def test_a_sample_that_is_empty_or_something_else(bank, tmp_path):
    file, path = read_bank_file(bank), tmp_path / "b.safetensors"
    Sample(5, 3).save(sample_of(path), json.dumps({"slides": {}}))
    with pytest.raises(BankError, match="0 tokens of 3 channels from 0 inputs"):
        learned_tokens(path, file)
    shutil.copy(bank, sample_of(path))
    with pytest.raises(BankError, match="is damaged"):
        learned_tokens(path, file)
