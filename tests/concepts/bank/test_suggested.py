"""Suggestions beside a bank follow their concepts, and nothing else."""

import json
from dataclasses import replace

import numpy as np
import pytest

from histofactor.concepts.bank.edit import merge, rename
from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.record import new_bank
from histofactor.concepts.bank.suggested import (
    concept_keys,
    of_level,
    read_suggested,
    suggested_path,
    write_suggested,
)
from histofactor.errors import BankError
from small_banks import KEY, bank, vectors
from small_pairs import suggested


@pytest.fixture
def file():
    counts = {"counts": [10, 20, 30, 40]}
    return BankFile({4: bank(4, provenance=counts)})


@pytest.fixture
def written(file, path):
    """Suggestions for all four concepts of a bank."""
    keys = concept_keys(file.banks[4])
    made = {key: suggested(f"tissue {label}") for label, key in enumerate(keys, 1)}
    write_suggested(path, file, made)
    return made


def names(path, bank):
    return {label: one.suggestion.best[0].name for label, one in of_level(bank, read_suggested(path)).items()}


def test_what_is_written_is_read_back(written, file, path):
    assert suggested_path(path).name == "bank.suggested.json"
    assert read_suggested(path) == written
    assert names(path, file.banks[4]) == {label: f"tissue {label}" for label in (1, 2, 3, 4)}


def test_no_file_is_no_suggestion(path):
    assert read_suggested(path) == {}


def test_a_merge_drops_those_of_what_it_merged_and_keeps_the_others_at_their_new_labels(written, file, path):
    merged = merge(file, 4, [((1, 3), "both")])
    assert names(path, merged.banks[3]) == {2: "tissue 2", 3: "tissue 4"}
    assert names(path, merged.banks[4]) == names(path, file.banks[4])  # the level that there was


def test_names_and_colours_change_nothing_and_other_features_all(written, file, path):
    assert len(names(path, rename(file, 4, {1: "stroma"}).banks[4])) == 4
    other = replace(KEY, revision="another")
    assert names(path, replace(file.banks[4], encoder=other)) == {}
    assert names(path, new_bank(vectors(4, seed=1), KEY)) == {}


def test_new_suggestions_take_the_place_of_those_for_the_same_concepts(written, file, path):
    keys = concept_keys(file.banks[4])
    write_suggested(path, file, {keys[1]: suggested("fat"), "0" * 64: suggested("of another bank")})
    assert names(path, file.banks[4]) == {1: "tissue 1", 2: "fat", 3: "tissue 3", 4: "tissue 4"}
    assert {*read_suggested(path)} == {*keys}


def test_those_of_concepts_that_are_gone_are_cleared(written, path):
    relearned = BankFile({4: new_bank(vectors(4, seed=1), KEY)})
    write_suggested(path, relearned, {concept_keys(relearned.banks[4])[0]: suggested("new")})
    assert len(read_suggested(path)) == 1


def changed(entry, **values):
    return {"format_version": 1, "concepts": {"k": {**entry, **values}}}


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda entry: "{", "cannot be read"),
        (lambda entry: [], "no suggestions by concept"),
        (lambda entry: {"format_version": 2, "concepts": {}}, "newer version"),
        (lambda entry: {"format_version": 1, "concepts": []}, "no suggestions by concept"),
        (lambda entry: changed(entry, margin=float("nan")), "no share"),
        (lambda entry: changed(entry, margin=True), "no share"),
        (lambda entry: changed(entry, votes=9), "make no sense"),
        (lambda entry: changed(entry, best=entry["best"][:1]), "make no sense"),
        (lambda entry: changed(entry, best=[{**entry["best"][0], "name": "a\nb"}] * 2), "cannot have this name"),
        (lambda entry: changed(entry, model="m" * 501), "no short text"),
        (lambda entry: changed(entry, unsure=None), "no short text"),
    ],
)
def test_a_file_that_makes_no_sense_is_told_and_made_anew(written, file, path, spoil, told):
    place = suggested_path(path)
    entry = next(iter(json.loads(place.read_text())["concepts"].values()))
    content = spoil(entry)
    place.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(BankError, match=told):
        read_suggested(path)
    write_suggested(path, file, written)
    assert read_suggested(path) == written


def test_keys_depend_on_the_vector_alone():
    one = bank(3)
    assert concept_keys(one) == concept_keys(replace(one, names=("a", "b", "c")))
    assert len({*concept_keys(one)}) == 3
    swapped = replace(one, vectors=np.ascontiguousarray(one.vectors[::-1]))
    assert concept_keys(swapped) == concept_keys(one)[::-1]
