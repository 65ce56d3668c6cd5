"""Concepts named and merged: nothing else changes, and nesting stays true."""

from dataclasses import replace

import numpy as np
import pytest

from histofactor.concepts.bank.edit import merge, rename
from histofactor.concepts.bank.file import BankFile, load_banks, write_bank_file
from histofactor.concepts.bank.one_name import in_one_color
from histofactor.concepts.bank.record import new_bank
from histofactor.concepts.learn.levels import banks_from_features
from histofactor.errors import BankError, OptionError
from histofactor.records import EncoderKey

KEY = EncoderKey("embedded", None, "code", "relu")


@pytest.fixture
def file():
    X = np.random.default_rng(0).gamma(0.6, 1.0, (900, 6)).astype(np.float32)
    banks = banks_from_features(X, [3, 6, 12], KEY, mpp=1.0)
    return BankFile({len(bank.names): bank for bank in banks}, {"licence": "x"}, {"new": 1}, {6: {"later": 2}})


def test_names_and_colors_change_and_nothing_else(file):
    named = rename(file, 6, {2: "stroma", 5: "tumour"}, {5: (1, 2, 3)})
    bank, before = named.banks[6], file.banks[6]
    assert bank.names == ("Concept 1", "stroma", "Concept 3", "Concept 4", "tumour", "Concept 6")
    assert bank.colors[4] == (1, 2, 3)
    assert bank.colors[:4] == before.colors[:4]
    assert bank.vectors is before.vectors
    assert (named.card, named.unknown, named.unknown_by_k) == (file.card, file.unknown, file.unknown_by_k)
    assert named.banks[3] is file.banks[3]


def test_a_colour_of_a_name_is_that_of_its_largest_and_parting_gives_back_ones_own(file):
    counts = file.banks[6].provenance["counts"]
    small, large = sorted((1, 2), key=lambda label: counts[label - 1])
    named = rename(file, 6, {1: "stroma", 2: "stroma"})
    assert named.banks[6].colors == file.banks[6].colors
    seen = in_one_color(named.banks[6]).colors
    assert seen[0] == seen[1] == file.banks[6].colors[large - 1]
    told = rename(named, 6, {}, {1: seen[0], 2: seen[1]})  # as a table of the slides has it
    assert told.banks[6].colors == file.banks[6].colors
    chosen = rename(named, 6, {}, {small: (1, 2, 3)})
    assert in_one_color(chosen.banks[6]).colors[:2] == ((1, 2, 3), (1, 2, 3))
    parted = rename(chosen, 6, {large: "fat"})
    assert in_one_color(parted.banks[6]).colors[small - 1] == file.banks[6].colors[small - 1]


def test_a_merge_is_a_coarser_level_of_unions(file, tmp_path):
    merged = merge(file, 12, [((1, 4, 9), "tumour"), ((2, 12), "stroma")])
    assert list(merged.banks) == [3, 6, 9, 12]
    level, finest = merged.banks[9], merged.banks[12]
    assert level.names[:2] == ("tumour", "stroma")
    assert level.colors[0] == finest.colors[0]
    assert level.leaves.vectors is finest.vectors
    assert level.leaves.owners == finest.parents
    counts = np.array(finest.provenance["counts"])
    own = np.array([0, 3, 8])
    np.testing.assert_allclose(level.vectors[0], np.average(finest.vectors[own], 0, counts[own]), rtol=1e-5)
    assert sum(level.provenance["counts"]) == 900
    write_bank_file(merged, tmp_path / "b.safetensors")
    assert load_banks(tmp_path / "b.safetensors")[9].leaves.owners == level.leaves.owners


def test_the_stain_of_a_union_is_the_mean_over_its_tokens(file):
    rng, counts = np.random.default_rng(2), np.array(file.banks[12].provenance["counts"])
    stains = rng.random((12, 5)).round(4)
    told = [None if index in {1, 6, 7} else row for index, row in enumerate(stains.tolist())]
    finest = replace(file.banks[12], provenance={**file.banks[12].provenance, "stains": told})
    merged = merge(replace(file, banks={**file.banks, 12: finest}), 12, [((1, 2, 4), "a"), ((7, 8), "b")])
    found = merged.banks[9].provenance["stains"]
    assert found[0] == pytest.approx(np.average(stains[[0, 3]], 0, counts[[0, 3]]), abs=1e-4)
    assert found[1] == told[2]
    assert found[merged.banks[9].names.index("b")] is None
    assert "stains" not in merge(file, 12, [((1, 2), "a")]).banks[11].provenance


def test_parents_are_true_or_none(file):
    owners = file.banks[3].leaves.owners
    together = tuple(i + 1 for i in range(12) if owners[i] == owners[0])[:2]
    apart = (1, 1 + next(i for i in range(12) if owners[i] != owners[0]))
    fits, breaks = merge(file, 12, [(together, "a")]), merge(file, 12, [(apart, "a")])
    for made in (fits, breaks):
        for fine, coarse in ((12, 11), (11, 6), (6, 3)):
            parents = made.banks[fine].parents
            if parents is None:
                continue
            finer = made.banks[fine].leaves.owners if made.banks[fine].leaves else range(12)
            assert all(
                parents[own] == above for own, above in zip(finer, made.banks[coarse].leaves.owners, strict=True)
            )
    assert breaks.banks[12].parents is not None
    assert breaks.banks[11].parents is None


def test_merging_merged_concepts_keeps_the_leaves(file):
    twice = merge(merge(file, 6, [((1, 2), "a")]), 5, [((1, 2), "b")])
    level = twice.banks[4]
    assert level.leaves.vectors is file.banks[12].vectors
    first = {leaf for leaf, owner in enumerate(file.banks[6].leaves.owners) if owner in {0, 1, 2}}
    assert {leaf for leaf, owner in enumerate(level.leaves.owners) if owner == 0} == first
    assert twice.banks[6].parents is not None


def test_mistakes(file):
    with pytest.raises(BankError, match="K = 5"):
        rename(file, 5, {1: "a"})
    with pytest.raises(BankError, match="choose K from 3, 6, 12"):
        merge(file, 5, [((1, 2), "a")])
    for names, colors in (({7: "a"}, {}), ({}, {7: (0, 0, 0)})):
        with pytest.raises(OptionError, match="no label 7"):
            rename(file, 6, names, colors)


def test_a_level_above_those_between(file):
    owners = file.banks[3].leaves.owners
    whole = [tuple(i + 1 for i in range(12) if owners[i] == one) for one in range(3)]
    merges = [(labels, f"all {i}") for i, labels in enumerate(whole) if len(labels) > 1]
    made = merge(file, 12, merges)
    assert len(made.banks[3].names) == 3
    assert made.banks[12].parents == file.banks[12].parents
    assert len(set(zip(made.banks[6].parents, file.banks[6].parents, strict=True))) == 3


def test_levels_elsewhere_keep_what_they_state():
    flat = {k: new_bank(np.eye(k, 8, dtype=np.float32) + 1, KEY) for k in (2, 3, 5, 8)}
    flat[3] = replace(flat[3], parents=(0, 1, 1))  # without leaves to tell it by
    made = merge(BankFile(flat), 8, [((1, 2), "a")])
    assert list(made.banks) == [2, 3, 5, 7, 8]
    assert made.banks[3].parents == (0, 1, 1)
    assert [made.banks[k].parents for k in (2, 5, 7)] == [None] * 3
    assert made.banks[8].parents == (0, 0, 1, 2, 3, 4, 5, 6)


def told(**provenance):
    return BankFile({3: replace(new_bank(np.diag([1, 2, 3]).astype(np.float32), KEY), provenance=provenance)})


def test_what_adds_up_is_added():
    examples = [
        [{"slide": 0, "x": 1, "y": 2, "side": 8, "distance": distance} for distance in distances]
        for distances in ([0.1, 0.4], [0.5], [0.2, 0.3])
    ]
    known = {"counts": [6, 3, 2], "per_group": {"A": [6, 1, 0], "B": [0, 2, 2]}, "per_slide": [[1, 2, 3]]}
    file = told(**known, examples=examples, inertia=3.5, licence="CC0", images=["a"])
    provenance = dict(merge(file, 3, [((3, 1), "a")]).banks[2].provenance)
    assert [one["distance"] for one in provenance.pop("examples")[0]] == [0.1, 0.2]
    assert provenance == {
        "licence": "CC0",
        "merged_from": 3,
        "members": [[1, 3], [2]],
        "counts": [8, 3],
        "per_group": {"A": [6, 1], "B": [2, 2]},
        "per_slide": [[4, 2]],
    }


@pytest.mark.parametrize("provenance", [{}, {"counts": [0, 5, 0]}])
def test_members_without_tokens_weigh_alike(provenance):
    merged = merge(told(**provenance), 3, [((1, 3), "a")]).banks[2]
    np.testing.assert_allclose(merged.vectors, [[0.5, 0, 1.5], [0, 2, 0]])


def test_what_is_not_known_of_a_level_goes_with_it():
    flat = BankFile(
        {k: new_bank(np.eye(k, 3, dtype=np.float32) + 1, KEY) for k in (2, 3)},
        unknown_by_k={2: {"icons": 1}, 3: {"icons": 2}},
        unknown_tensors={"k2/spread": np.zeros(1), "k20/spread": np.zeros(1)},
    )
    made = merge(flat, 3, [((1, 2), "a")])
    assert made.unknown_by_k == {3: {"icons": 2}}
    assert list(made.unknown_tensors) == ["k20/spread"]


def test_merged_concepts_are_weighed_by_what_they_were(file):
    once = merge(file, 6, [((1, 2), "a")]).banks[5]
    np.testing.assert_array_equal(once.parts.vectors, file.banks[6].vectors)
    assert once.parts.owners == (0, 0, 1, 2, 3, 4)
    twice = merge(merge(file, 6, [((1, 2), "a")]), 5, [((1, 3), "b")]).banks[4]
    np.testing.assert_array_equal(twice.parts.vectors, file.banks[6].vectors)
    assert twice.parts.owners == (0, 0, 1, 0, 2, 3)


def test_the_name_that_a_concept_has_by_its_number_is_no_name_for_another(file):
    for names in ({3: "Concept 6"}, {1: "Concept 9", 2: "Concept 9"}):
        with pytest.raises(OptionError, match=r"cannot be called 'Concept"):
            rename(file, 6, names)
    named = rename(file, 6, {6: "stroma"})
    with pytest.raises(OptionError, match=r"label 3 cannot be called 'Concept 6'.*that of label 6"):
        rename(named, 6, {3: "Concept 6"})
    with pytest.raises(OptionError, match="cannot be called 'Concept 9'"):  # it would be another one after a merge
        rename(file, 6, {3: "Concept 9"})
    assert rename(named, 6, {6: "Concept 6", 3: "Concept 3"}).banks[6].names == file.banks[6].names
    assert rename(file, 6, {2: "stroma", 4: "stroma"}).banks[6].names[1] == "stroma"


def test_after_a_merge_the_names_that_nobody_gave_are_those_of_the_labels(file):
    named = rename(file, 6, {5: "fat", 6: "Concept 6b"})
    made = merge(named, 6, [((1, 2), "Concept 2")])
    assert made.banks[5].names == ("Concept 1", "Concept 2", "Concept 3", "fat", "Concept 6b")
    assert made.banks[6].names == named.banks[6].names
