"""Artefacts: marked at every K, apart where they were a part of something, and included again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histofactor.concepts.bank.cut import cut
from histofactor.concepts.bank.edit import merge, rename
from histofactor.concepts.bank.exclude import exclude, include
from histofactor.concepts.bank.file import BankFile, read_bank_file, write_bank_file
from histofactor.concepts.bank.nesting import leaves_of, put_levels
from histofactor.concepts.bank.record import bank_hash
from histofactor.concepts.learn.levels import TrainOptions, banks_from_features
from histofactor.concepts.learn.split import Splitting, split
from histofactor.errors import BankError, OptionError
from histofactor.records import EncoderKey

KEY = EncoderKey("embedded", None, "code", "relu")
X = np.random.default_rng(0).gamma(0.6, 1.0, (900, 6)).astype(np.float32)


def trained(ks, independent=False):
    banks = banks_from_features(X, ks, KEY, mpp=1.0, options=TrainOptions(nested=not independent))
    return BankFile({len(bank.names): bank for bank in banks}, {"licence": "x"})


FILE = trained([3, 6, 12])


def excluded_leaves(bank):
    return {i for i, owner in enumerate(leaves_of(bank).owners) if owner in bank.excluded}


@settings(max_examples=40)
@given(st.sampled_from([3, 6, 12]), st.data())
def test_the_same_leaves_are_out_at_every_k(k, data):
    labels = data.draw(st.lists(st.integers(1, k), min_size=1, max_size=k - 1, unique=True))
    made = exclude(FILE, k, labels)
    wanted = {i for i, owner in enumerate(leaves_of(FILE.banks[k]).owners) if owner + 1 in labels}
    left = [int(note.split()[2]) for note in made.notes]
    for level, bank in made.file.banks.items():
        if level in left:
            assert bank_hash(bank) == bank_hash(FILE.banks[level])
            assert bank.excluded == ()
            continue
        assert excluded_leaves(bank) == wanted
        assert sum(bank.provenance["counts"]) == 900
        if level not in made.grown.values():
            assert bank_hash(bank) == bank_hash(FILE.banks[level])


def test_a_part_becomes_a_concept_of_its_own_and_the_rest_is_the_mean_of_the_rest():
    owners, counts = FILE.banks[3].leaves.owners, np.array(FILE.banks[12].provenance["counts"])
    mixed = next(one for one in range(3) if owners.count(one) > 1)
    leaf = owners.index(mixed)
    made = exclude(rename(FILE, 12, {leaf + 1: "pen"}), 12, [leaf + 1])
    assert made.grown[3] == 4
    level, finest = made.file.banks[4], FILE.banks[12]
    assert (level.names[3], level.excluded) == ("pen", (3,))
    assert level.colors[3] not in level.colors[:3]
    np.testing.assert_array_equal(level.vectors[3], finest.vectors[leaf])
    rest = [i for i in range(12) if owners[i] == mixed and i != leaf]
    expected = np.average(finest.vectors[rest].astype(np.float64), 0, counts[rest])
    np.testing.assert_allclose(level.vectors[mixed], expected, rtol=1e-6)
    for other in {0, 1, 2} - {mixed}:
        np.testing.assert_array_equal(level.vectors[other], FILE.banks[3].vectors[other])
    assert level.provenance["counts"][3] == counts[leaf]
    assert level.provenance["grown_from"] == 3


def test_a_part_of_a_split_is_out_where_its_concept_is_whole(tmp_path):
    made = exclude(split(FILE, 6, Splitting(2, 3), X), 8, [3])
    assert made.grown == {12: 13, 6: 7, 3: 4}
    assert made.notes == ()
    for level, bank in made.file.banks.items():
        assert len(bank.excluded) == 1, level
        assert bank.names[bank.excluded[0]] == f"Concept {bank.excluded[0] + 1}"  # as nobody named it
        assert bank.provenance["counts"][bank.excluded[0]] == made.file.banks[8].provenance["counts"][2]
    assert made.file.banks[8].parents == (0, 1, 6, 1, 2, 3, 4, 5)
    write_bank_file(made.file, tmp_path / "b.safetensors")
    again = read_bank_file(tmp_path / "b.safetensors")
    assert {k: bank.excluded for k, bank in again.banks.items()} == {
        k: bank.excluded for k, bank in made.file.banks.items()
    }


def test_a_level_that_cannot_grow_is_left_and_told():
    owners = FILE.banks[3].leaves.owners
    leaf = owners.index(next(one for one in range(3) if owners.count(one) > 1)) + 1
    apart = include(exclude(FILE, 12, [leaf]).file, 12, [leaf]).file  # where that leaf is a concept of K = 4
    file = put_levels(apart, {3: FILE.banks[3]})
    made = exclude(file, 12, [leaf])
    assert made.notes == (
        "K = 3 is left as it is: an artefact is part of a concept there, and there is a K = 4 already",
    )
    assert bank_hash(made.file.banks[3]) == bank_hash(FILE.banks[3])
    assert (made.file.banks[3].excluded, made.file.banks[4].excluded) == ((), (3,))


def test_levels_that_are_not_nested_are_left_and_told():
    made = exclude(trained([3, 6, 12], independent=True), 6, [1])
    assert made.notes == ("K = 3, 12 is left as it is: its concepts are not nested with those of K = 6",)
    assert [bank.excluded for bank in made.file.banks.values()] == [(), (0,), ()]


@pytest.mark.parametrize("k", [3, 6, 12])
def test_the_way_back(k):
    out = exclude(FILE, k, [1, 2])
    back = include(out.file, k, [1, 2])
    assert all(bank.excluded == () for bank in back.file.banks.values())
    assert list(back.file.banks) == list(out.file.banks)
    half = include(out.file, k, [2])
    assert half.file.banks[k].excluded == (0,)
    for bank in half.file.banks.values():
        inside = {i for i, owner in enumerate(leaves_of(FILE.banks[k]).owners) if owner == 0}
        assert excluded_leaves(bank) == inside


@pytest.mark.parametrize(
    ("k", "labels", "error", "told"),
    [(5, [1], BankError, "K = 5"), (6, [7], OptionError, "no label 7"), (6, [1, 1], OptionError, "twice"),
     (3, [1, 2, 3], OptionError, "nothing would be left")],
)  # fmt: skip
def test_mistakes(k, labels, error, told):
    with pytest.raises(error, match=told):
        exclude(FILE, k, labels)
    if k == 6 and labels == [7]:
        with pytest.raises(OptionError, match="label 2 is not excluded"):
            include(exclude(FILE, 6, [1]).file, 6, [1, 2])


def test_an_artefact_is_merged_with_artefacts_alone():
    file = exclude(FILE, 6, [1, 2]).file
    with pytest.raises(OptionError, match="artefact and none"):
        merge(file, 6, [((2, 3), "a")])
    assert merge(file, 6, [((1, 2), "dirt")]).banks[5].excluded == (0,)
    assert merge(file, 6, [((3, 4), "a")]).banks[5].excluded == (0, 1)


def test_another_k_leaves_artefacts_apart():
    file = exclude(rename(FILE, 12, {5: "pen"}), 12, [5]).file
    made = cut(file, 8)
    bank = made.banks[8]
    assert [bank.names[one] for one in bank.excluded] == ["pen"]
    assert {name for name in bank.names if name != "pen"} <= {f"Concept {label}" for label in range(1, 9)}
    with pytest.raises(OptionError, match="K = 1 concepts"):
        cut(file, 1)


def test_artefacts_of_one_name_keep_it_at_every_level_and_names_have_an_end():
    owners = FILE.banks[3].leaves.owners
    mixed = next(one for one in range(3) if owners.count(one) > 2)
    first, second = [leaf for leaf, owner in enumerate(owners) if owner == mixed][:2]
    made = exclude(rename(FILE, 12, {first + 1: "pen", second + 1: "pen"}), 12, [first + 1, second + 1])
    assert made.file.banks[made.grown[3]].names[3:] == ("pen", "pen")
    long = "x" * 200
    taken = rename(rename(FILE, 12, {first + 1: long}), 3, {1: long})
    named = exclude(taken, 12, [first + 1]).file.banks[4].names[3]
    assert (len(named), named[-10:]) == (200, " of K = 12")
