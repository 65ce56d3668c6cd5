"""Banks without what tells of their inputs."""

import json
from dataclasses import replace

import numpy as np
import pytest

from histofactor.concepts.bank.file import BankFile, bank_bytes
from histofactor.concepts.bank.following import Following, following_of, stated
from histofactor.concepts.bank.nameless import with_names, without_names
from histofactor.concepts.bank.record import bank_hash
from histofactor.errors import BankError
from small_banks import bank

SECRETS = ("Meier", "St. Anna", "aa" * 32, "/data/", "b" * 12, "4711")


def told_bank(k):
    examples = [[{"slide": 0, "x": 4711.0, "y": 0.0, "side": 64.0, "distance": 0.1}]] * k
    return bank(
        k,
        provenance={
            "counts": [5] * k,
            "per_group": {"St. Anna": [2] * k, "Other": [3] * k},
            "per_slide": [[2] * k, [3] * k],
            "examples": examples,
            "residual_limit": 0.7,
            "origin": "learned from 2 inputs",
            "source": "/data/Meier.svs",
            "seen in": {"St. Anna": 0.9},
            "following": stated(
                Following(
                    groups=2,
                    slides=2,
                    ari=0.5,
                    by_chance=0.1,
                    p=None,
                    tail_mean=0.2,
                    excess=(0.5,) * k,
                    most=("St. Anna",) * (k - 1) + ("",),
                    follows=(False,) * k,
                    share=0.0,
                )
            ),
        },
    )


@pytest.fixture
def file():
    card = {
        "made": "histofactor 0.1.0",
        "licence": "CC0",
        "options": {"tokens": 10, "pool": "token", "exclude": ["St. Anna"]},
        "groups": {"Other": 1, "St. Anna": 1},
        "slides": [
            {"name": "Meier.svs", "group": "St. Anna", "sha256": "aa" * 32, "tokens": 5, "mpp": 0.5, "note": "Meier"},
            {"name": "x.svs", "group": "Other", "sha256": "cc" * 32, "tokens": 5, "mpp": 0.5},
        ],
        "left_out": {"Meier 2.svs": "cannot open /data/Meier 2.svs"},
        "given": ["b" * 12],
        "title": "Meier",
        "choice": {"recommended": 2, "rows": [{"k": 2, "stability": 0.5, "inertia": 1.0, "residual": 0.1}]},
    }
    return BankFile(
        {k: told_bank(k) for k in (2, 4)},
        card,
        {"new field": "Meier"},
        {2: {"newer": "Meier"}},
        {"k2/new": np.zeros(3, np.float32)},
        {"author": "Meier"},
    )


def test_nothing_of_the_inputs_is_left(file):
    assert all(secret.encode() in bank_bytes(file) for secret in SECRETS)
    made = without_names(file)
    content = bank_bytes(made.file)
    assert not [secret for secret in SECRETS if secret.encode() in content]
    assert not made.file.unknown_tensors
    assert not made.file.metadata


def test_what_the_concepts_are_stays(file):
    made = without_names(file).file
    assert {k: bank_hash(one) for k, one in made.banks.items()} == {k: bank_hash(one) for k, one in file.banks.items()}
    assert made.banks[2].names == file.banks[2].names
    assert made.card["choice"] == file.card["choice"]
    assert made.card["options"] == {"tokens": 10, "pool": "token"}
    assert made.card["groups"] == {"group 1": 1, "group 2": 1}
    assert made.card["slides"] == [
        {"name": "input 1", "group": "group 2", "tokens": 5, "mpp": 0.5},
        {"name": "input 2", "group": "group 1", "tokens": 5, "mpp": 0.5},
    ]
    assert len(made.card["left_out"]) == 1
    told = made.banks[4].provenance
    assert told["per_group"] == {"group 2": [2] * 4, "group 1": [3] * 4}
    assert following_of(made.banks[4]).most == ("group 2",) * 3 + ("",)
    assert following_of(made.banks[4]).excess == following_of(file.banks[4]).excess
    assert (told["residual_limit"], told["per_slide"]) == (0.7, [[2] * 4, [3] * 4])


def test_what_is_left_out_is_told(file):
    notes = "; ".join(without_names(file).notes)
    for words in ("hashes of 2 inputs", "2 groups", "1 input that could not be used", "places of typical patches"):
        assert words in notes
    for field in ("author", "exclude", "given", "k2/new", "new field", "newer", "seen in", "source", "title"):
        assert field in notes.rpartition(": ")[2].split(", ")


def test_a_bank_that_tells_nothing_is_as_it_was():
    file = BankFile({3: replace(bank(3), provenance={})})
    made = without_names(file)
    assert made.notes == ()
    assert bank_bytes(made.file) == bank_bytes(file)


def test_with_names_the_machine_is_still_not_told(file):
    made = with_names(file)
    content = bank_bytes(made)
    assert b"Meier 2.svs" in content
    assert b"cannot open" not in content
    assert b"b" * 12 not in content
    assert made.card["slides"] == file.card["slides"]
    assert json.dumps(made.unknown) == json.dumps(file.unknown)


def test_a_damaged_card_is_refused(file):
    with pytest.raises(BankError, match="slides cannot be read"):
        without_names(replace(file, card={"slides": [3]}))
