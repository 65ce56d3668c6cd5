"""How levels lie within each other: by leaves that they share, or that a split put in the place of others."""

from dataclasses import replace

import numpy as np
import pytest

from histofactor.concepts.bank.edit import merge
from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.nesting import leaf_owners, leaves_of, moved, parents, put_levels, sums, unions
from histofactor.concepts.bank.record import new_bank
from histofactor.records import EncoderKey, Leaves

KEY = EncoderKey("e", None, "l", "relu")
LEAVES = np.array([[1, 0, 0], [2, 0, 0], [0, 5, 0], [0, 0, 9]], np.float32)


def level(owners, leaves=LEAVES):
    k = max(owners) + 1
    means = np.array([leaves[[i for i, owner in enumerate(owners) if owner == one]].mean(0) for one in range(k)])
    bank = new_bank(means.astype(np.float32), KEY)
    return bank if k == len(leaves) else replace(bank, leaves=Leaves(leaves, tuple(owners)))


FINEST, THREE, TWO, OTHER = level([0, 1, 2, 3]), level([0, 0, 1, 2]), level([0, 0, 1, 1]), level([0, 1, 0, 1])
SPLIT = level([0, 1, 2, 3, 4], np.array([[1, 0, 0], [2, 0, 0], [0, 5, 0], [0, 0.5, 9], [0.5, 0, 9]], np.float32))


def test_unions_are_of_the_same_leaves():
    assert unions(FINEST, THREE) == (0, 0, 1, 2)
    assert unions(THREE, TWO) == (0, 1, 1)
    assert unions(THREE, OTHER) is None
    assert unions(SPLIT, THREE) is None
    assert unions(THREE, THREE) == (0, 1, 2)


def test_a_split_came_from_the_leaf_that_it_lies_about():
    assert leaf_owners(SPLIT, THREE) == (0, 0, 1, 2, 2)
    assert parents(SPLIT, TWO) == (0, 0, 1, 1, 1)
    assert parents(SPLIT, FINEST) == (0, 1, 2, 3, 3)
    assert leaf_owners(FINEST, SPLIT) is None
    assert leaf_owners(THREE, SPLIT) is None


@pytest.mark.parametrize(
    "other", [new_bank(np.eye(2, 3, dtype=np.float32), KEY), new_bank(np.eye(2, 4, dtype=np.float32), KEY)]
)
def test_what_is_not_nested_is_told_apart(other):
    assert parents(FINEST, other) is None


def test_levels_are_put_in_order_and_taken_out():
    file = BankFile(
        {3: THREE, 4: replace(FINEST, parents=(0, 0, 1, 2))},
        unknown_by_k={3: {"a": 1}, 4: {"b": 1}},
        unknown_tensors={"k3/x": np.zeros(1), "k30/x": np.zeros(1)},
    )
    made = put_levels(file, {2: TWO}, gone=(3,))
    assert list(made.banks) == [2, 4]
    assert made.banks[4].parents == (0, 0, 1, 1)
    assert made.unknown_by_k == {4: {"b": 1}}
    assert list(made.unknown_tensors) == ["k30/x"]
    assert leaves_of(made.banks[4]).owners == (0, 1, 2, 3)


def test_unions_are_weighed_by_what_they_were_once_inputs_move():
    file = BankFile({2: TWO, 3: THREE, 4: FINEST})
    assert sums(THREE, TWO) is None
    made = moved(file, 3, 2).banks[2]
    assert made.parts.owners == (0, 1, 1)
    np.testing.assert_array_equal(made.parts.vectors, THREE.vectors)
    assert sums(THREE, made) == (0, 1, 1)
    assert moved(file, 2, 3) is file
    assert moved(BankFile({2: OTHER, 3: THREE}), 3, 2).banks[2].parts is None
    again = moved(BankFile({2: TWO, 3: moved(file, 4, 3).banks[3]}), 3, 2).banks[2]
    assert again.parts.owners == (0, 0, 1, 1)
    assert sums(FINEST, again) == (0, 0, 1, 1)


def test_a_merge_comes_apart_on_the_way_to_another_k():
    file = merge(BankFile({2: TWO, 4: FINEST}), 4, [((1, 4), "both")])  # of which K = 2 is no union
    assert unions(file.banks[3], TWO) is None
    made = moved(file, 3, 2).banks[2]
    assert made.parts.owners == (0, 0, 1, 1)
    assert sums(FINEST, made) == (0, 0, 1, 1)
    assert moved(file, 3, 4) is file
