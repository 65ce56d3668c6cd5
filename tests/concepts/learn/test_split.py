"""One concept clustered again: its tokens, and nobody else's."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from histofactor.concepts.bank.edit import merge, rename
from histofactor.concepts.bank.exclude import exclude
from histofactor.concepts.bank.file import BankFile, read_bank_file, write_bank_file
from histofactor.concepts.learn.kmeans import KMeansOptions, unit_rows
from histofactor.concepts.learn.levels import TrainOptions, banks_from_features
from histofactor.concepts.learn.split import Splitting, label_by, level_by, split
from histofactor.errors import BankError, OptionError
from histofactor.records import EncoderKey

KEY = EncoderKey("e", None, "l", "relu")


def tokens(n=3000, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.gamma(0.6, 2.0, (20, 8))
    return (centres[rng.integers(0, 20, n)] + 0.4 * rng.gamma(1, 1, (n, 8))).astype(np.float32)


def trained(X, ks, **options):
    banks = banks_from_features(
        X, ks, KEY, mpp=1.0, options=TrainOptions(**options), provenance={"residual_limit": 0.5}
    )
    return BankFile({len(bank.names): bank for bank in banks})


X = tokens()
FILE = trained(X, [4, 32])


@settings(max_examples=15)
@given(st.sampled_from([4, 32]), st.data())
def test_tokens_stay_within_their_concept(k, data):
    label, into = data.draw(st.integers(1, k)), data.draw(st.integers(2, 4))
    before = label_by(FILE.banks[k], X)
    if np.count_nonzero(before == label - 1) < into:
        return
    made = split(FILE, k, Splitting(label, into), X)
    bank = made.banks[k + into - 1]
    up = np.array([min(one, max(label - 1, one - into + 1)) for one in range(k + into - 1)])
    after = label_by(bank, X)
    assert (up[after] == before).mean() > 0.985  # tokens near the border move
    kept = [one for one in range(k + into - 1) if not label - 1 <= one < label - 1 + into]
    np.testing.assert_array_equal(bank.vectors[kept], FILE.banks[k].vectors[up[kept]])
    assert bank.names == tuple(f"Concept {one}" for one in range(1, k + into))
    assert len({*bank.colors}) == len(bank.colors)
    assert bank.provenance["counts"] == np.bincount(after, minlength=k + into - 1).tolist()
    assert bank.provenance["residual_limit"] == 0.5


@pytest.mark.parametrize("k", [4, 32])
def test_parts_are_as_good_as_those_of_another_library(k):
    made = split(FILE, k, Splitting(1, 3), X, KMeansOptions(seeds=5, passes=10))
    mine = X[label_by(FILE.banks[k], X) == 0].astype(np.float64)
    ours = ((mine[:, None] - made.banks[k + 2].vectors[:3]) ** 2).sum(-1).min(1).sum()
    theirs = KMeans(3, n_init=5, random_state=0).fit(mine).inertia_
    assert ours <= 1.02 * theirs


def test_names_parents_and_leaves(tmp_path):
    made = split(FILE, 4, Splitting(2, 3, "stroma"), X)
    bank = made.banks[6]
    assert bank.names == ("Concept 1", "stroma a", "stroma b", "stroma c", "Concept 5", "Concept 6")
    assert bank.parents == (0, 1, 1, 1, 2, 3)
    assert made.banks[32].parents is None
    assert bank.colors[1] == FILE.banks[4].colors[1]
    assert (bank.provenance["split_from"], bank.provenance["split_label"]) == (4, 2)
    assert sum(bank.provenance["leaf_counts"]) == len(X)
    kept = [one for one, owner in enumerate(FILE.banks[4].leaves.owners) if owner != 1]
    old = {row.tobytes() for row in FILE.banks[4].leaves.vectors[kept]}
    assert old <= {row.tobytes() for row in bank.leaves.vectors}
    finest = split(FILE, 32, Splitting(1, 2), X).banks[33]
    assert finest.leaves is None
    assert finest.parents == (0, 0, *range(1, 32))
    write_bank_file(made, tmp_path / "b.safetensors")
    assert read_bank_file(tmp_path / "b.safetensors").banks[6].leaves.owners == bank.leaves.owners


def test_a_part_is_split_again():
    named = rename(FILE, 4, {2: "gland", 4: "fat"})
    twice = split(split(named, 4, Splitting(2, 3), X), 6, Splitting(3, 2), X)
    assert twice.banks[7].names == ("Concept 1", "gland a", "gland b a", "gland b b", "gland c", "Concept 6", "fat")
    assert twice.banks[7].parents == (0, 1, 2, 2, 3, 4, 5)


def test_directions_are_split_by_directions():
    file = trained(X, [4, 16], kmeans=KMeansOptions(spherical=True))
    made = split(file, 16, Splitting(1, 2), unit_rows(X), KMeansOptions(spherical=True))
    np.testing.assert_allclose(np.linalg.norm(made.banks[17].vectors[:2], axis=1), 1, rtol=1e-5)


def test_an_artefact_is_split_into_artefacts():
    made = split(exclude(FILE, 4, [2]).file, 4, Splitting(2, 2), X)
    assert made.banks[5].excluded == (1, 2)
    made = split(exclude(FILE, 4, [2]).file, 4, Splitting(1, 2), X)
    assert made.banks[5].excluded == (2,)


def test_what_a_level_says_of_tokens():
    level = level_by(FILE.banks[4], X)
    assert level.counts.tolist() == FILE.banks[4].provenance["counts"]
    assert level.labels.shape == (len(X),)


@pytest.mark.parametrize(
    ("k", "wanted", "error", "told"),
    [
        (4, Splitting(5, 2), OptionError, "no label 5"),
        (4, Splitting(1, 1), OptionError, "so many"),
        (4, Splitting(1, 254), OptionError, "from 2 to 253"),
        (5, Splitting(1, 2), BankError, "K = 5"),
        (4, Splitting(1, 2, "a\nb"), OptionError, "this name"),
    ],
)
def test_mistakes(k, wanted, error, told):
    with pytest.raises(error, match=told):
        split(FILE, k, wanted, X)


def test_too_few_tokens_say_how_many_they_bear():
    rows = np.concatenate([np.full((30, 3), [5, 0, 1]), np.eye(3)[[1] * 20 + [2] * 20]]).astype(np.float32)
    rows[:2] += 0.01
    file = trained(rows, [3])
    label = int(label_by(file.banks[3], rows[:1])[0]) + 1
    with pytest.raises(BankError, match=r"at least 3 distinct ones.*got 2"):
        split(file, 3, Splitting(label, 3), rows)
    with pytest.raises(BankError, match="got 0"):
        split(file, 3, Splitting(label, 3), rows[40:])


def test_what_is_weighed_by_parts_stays_so():
    file = merge(FILE, 4, [((1, 3), "both")])
    made = split(file, 3, Splitting(2, 2), X).banks[4]
    old = file.banks[4].vectors
    assert made.parts.owners == (0, 0, 3, 1, 2)
    np.testing.assert_array_equal(made.parts.vectors[:3], old[[0, 2, 3]])
    np.testing.assert_array_equal(made.parts.vectors[3:], made.vectors[1:3])
    made = split(file, 3, Splitting(1, 2), X).banks[4]
    assert made.parts.owners == (2, 3, 0, 1)
    grown = exclude(replace(file, banks={3: file.banks[3], 32: file.banks[32]}), 32, [1])
    (level,) = grown.grown.values()
    bank = grown.file.banks[level]
    np.testing.assert_array_equal(bank.parts.vectors[-1], FILE.banks[32].vectors[0])
    assert (bank.parts.owners[-1], set(bank.parts.owners)) == (3, {0, 1, 2, 3})


def test_names_of_parts_have_an_end():
    with pytest.raises(OptionError, match="too long"):
        split(FILE, 4, Splitting(1, 2, "x" * 199), X)
