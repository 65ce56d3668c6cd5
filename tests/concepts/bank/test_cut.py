"""Another K of nested banks is what training with that K nests."""

import numpy as np
import pytest

from histofactor.concepts.bank.cut import cut
from histofactor.concepts.bank.edit import rename
from histofactor.concepts.bank.exclude import exclude
from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.learn.levels import banks_from_features
from histofactor.errors import OptionError
from histofactor.records import EncoderKey

KEY = EncoderKey("tiny", None, "blocks[-1]", "split-root")
X = np.random.default_rng(0).gamma(0.5, 1.0, (900, 5)).astype(np.float32)


def file_of(*ks):
    return BankFile({len(bank.names): bank for bank in banks_from_features(X, ks, KEY)})


def test_a_level_as_training_nests_it():
    found, wanted = cut(file_of(4, 16), 7).banks, file_of(4, 7, 16).banks
    assert list(found) == [4, 7, 16]
    order = np.argsort(found[7].vectors[:, 0]), np.argsort(wanted[7].vectors[:, 0])
    np.testing.assert_allclose(found[7].vectors[order[0]], wanted[7].vectors[order[1]], rtol=1e-4)
    assert sorted(found[7].provenance["counts"]) == sorted(wanted[7].provenance["counts"])
    assert found[7].names == tuple(f"Concept {i}" for i in range(1, 8))
    members = [{found[7].leaves.owners.index(owner) for owner in range(7)}]
    assert len(members[0]) == 7
    assert set(found[7].parents) == set(range(4))
    np.testing.assert_array_equal(found[16].vectors, wanted[16].vectors)


@pytest.mark.parametrize("k", [0, 16, 17, 300])
def test_there_are_not_so_many(k):
    with pytest.raises(OptionError, match="--relearn"):
        cut(file_of(4, 16), k)


def test_artefacts_are_together_as_where_they_were_excluded():
    file = exclude(rename(file_of(4, 8, 16), 8, {2: "pen", 5: "fold"}), 8, [2, 5]).file
    leaves = {i for i, owner in enumerate(file.banks[8].leaves.owners) if owner in (1, 4)}
    assert {*file.banks[16].excluded} == leaves
    assert len(leaves) > 2
    found = cut(file, 3).banks[3]
    assert {i for i, owner in enumerate(found.leaves.owners) if owner in found.excluded} == leaves
    assert {found.names[one] for one in found.excluded} == {"pen", "fold"}
    assert len(found.excluded) == 2
    with pytest.raises(OptionError, match=r"K from 3 to 16: 2 of them are artefacts"):
        cut(file, 2)
