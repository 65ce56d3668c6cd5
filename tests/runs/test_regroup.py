"""What the weight of a group is, and what nested banks say belongs together."""

from dataclasses import replace

import numpy as np
import pytest

from histofactor.concepts.bank.file import save_bank
from histofactor.concepts.bank.groups import Group, regroup
from histofactor.concepts.bank.record import bank_hash, new_bank
from histofactor.errors import BankError, BankMismatch, OptionError
from histofactor.records import EncoderKey
from histofactor.runs.regroup import coarser, combine


@pytest.fixture
def groups():
    return [Group((i,), f"Concept {i + 1}", (i, i, i)) for i in range(5)]


@pytest.fixture
def nested(tmp_path):
    """A file of nested banks of K = 6, 4 and 2, and the hash of the finest."""
    key = EncoderKey("tiny", "1", "conv", "relu")
    parents = {6: (0, 0, 1, 3, 2, 3), 4: (1, 0, 0, 1), 2: None}
    rng = np.random.default_rng(0)
    banks = [
        replace(new_bank(rng.gamma(1, 1, (k, 3)).astype(np.float32), key), parents=above)
        for k, above in parents.items()
    ]
    save_bank(banks, tmp_path / "nested.safetensors")
    return tmp_path / "nested.safetensors", bank_hash(banks[0])


def test_parts_of_a_mixture_add_up():
    weights = np.array([[1.0, 2, 3, 4]], np.float32)
    groups = [Group((0, 3), "a", (0, 0, 0)), Group((2,), "b", (0, 0, 0))]
    assert combine(weights, [group.members for group in groups]).tolist() == [[5, 3]]


def test_nested_banks_say_what_belongs_together(nested):
    path, sha256 = nested
    assert [group.members for group in coarser(path, sha256, 6)] == [(0, 1), (2,), (4,), (3, 5)]
    two = coarser(path, sha256, 6, 2)
    assert [group.members for group in two] == [(2, 4), (0, 1, 3, 5)]
    assert [group.name for group in two] == ["Concept 1", "Concept 2"]


def test_merges_count_in_the_coarser_labels(nested):
    found = regroup(coarser(*nested, 6), [((1, 4), "epithelium")], {})
    assert [group.members for group in found] == [(0, 1, 3, 5), (2,), (4,)]


def test_banks_that_do_not_fit(nested, tmp_path):
    path, sha256 = nested
    with pytest.raises(BankError, match="no bank of K = 5"):
        coarser(path, sha256, 5)
    with pytest.raises(BankMismatch, match="other concepts"):
        coarser(path, "0" * 64, 6)
    with pytest.raises(OptionError, match="one of K = 4, 2"):
        coarser(path, sha256, 6, 3)
    flat = [new_bank(np.eye(k, 6, dtype=np.float32) + 1, EncoderKey("tiny", "1", "conv", "relu")) for k in (6, 3)]
    save_bank(flat, tmp_path / "flat.safetensors")
    with pytest.raises(BankError, match="not nested"):
        coarser(tmp_path / "flat.safetensors", bank_hash(flat[0]), 6)
    save_bank(flat[:1], tmp_path / "one.safetensors")
    with pytest.raises(OptionError, match="one of K = none"):
        coarser(tmp_path / "one.safetensors", bank_hash(flat[0]), 6)
