"""What a bank promises, its fingerprint, and the features it belongs to."""

import hashlib
import struct
from dataclasses import replace

import numpy as np
import pytest

from histofactor.concepts.bank.file import load_bank, save_bank
from histofactor.concepts.bank.record import bank_hash, check_features, check_name, new_bank, validate_bank
from histofactor.errors import BankError, BankMismatch, OptionError
from histofactor.records import EncoderKey, Leaves
from small_banks import KEY, bank, vectors


def test_new_bank_has_numbered_names_and_distinct_colors():
    made = bank(5)
    assert made.names == ("Concept 1", "Concept 2", "Concept 3", "Concept 4", "Concept 5")
    assert len(set(made.colors)) == 5


def test_hash_tells_what_matters():
    made = bank(3)
    assert bank_hash(made) == bank_hash(replace(made, names=("a", "b", "c"), provenance={}, mpp=None))
    nudged = made.vectors.copy()
    nudged[2, 5] = np.nextafter(nudged[2, 5], np.float32(2))
    others = [
        replace(made, vectors=nudged),
        replace(made, vectors=made.vectors.reshape(6, 3)),
        replace(made, encoder=replace(KEY, revision=None)),
        replace(made, encoder=replace(KEY, layer="blocks[-2]")),
    ]
    assert len({bank_hash(other) for other in [made, *others]}) == 5


def test_hash_is_pinned():
    pinned = new_bank(np.arange(1, 7, dtype=np.float32).reshape(2, 3), KEY)
    content = b'["uni","abc123","blocks[-1]","relu",2,3]' + b"\0" + struct.pack("<6f", 1, 2, 3, 4, 5, 6)
    assert bank_hash(pinned) == hashlib.sha256(content).hexdigest()


LOCAL, LOCAL2 = "sha256:" + "a" * 64, "sha256:" + "b" * 64


@pytest.mark.parametrize(
    "revisions", [("r1", "r1"), (None, "r1"), ("r1", None), (None, None), ("r1", LOCAL), (LOCAL, "r1")]
)
def test_features_that_match(revisions):
    check_features(bank(2, encoder=replace(KEY, revision=revisions[0])), replace(KEY, revision=revisions[1]))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (KEY, replace(KEY, name="virchow2")),
        (KEY, replace(KEY, layer="blocks[-2]")),
        (KEY, replace(KEY, transform="shift")),
        (KEY, replace(KEY, revision="def456")),
        (replace(KEY, revision=LOCAL), replace(KEY, revision=LOCAL2)),
        (replace(KEY, revision=None), replace(KEY, revision=None, name="virchow2")),
    ],
)
def test_features_that_differ_are_told_from_both_sides(ours, theirs):
    with pytest.raises(BankMismatch) as told:
        check_features(bank(2, encoder=ours), theirs)
    for key in (ours, theirs):
        assert f"{key.name} (revision {key.revision or 'not stated'}" in str(told.value)
        assert f"layer {key.layer}, transform {key.transform})" in str(told.value)


def poke(value):
    changed = vectors(2)
    changed[1, 2] = value
    return changed


INVALID = {
    "float64": ({"vectors": vectors(2).astype(np.float64)}, "float32"),
    "a list": ({"vectors": [[1.0], [2.0]]}, "float32"),
    "one dimension": ({"vectors": vectors(2)[0]}, "(K, d)"),
    "no channel": ({"vectors": vectors(2)[:, :0]}, "names"),
    "no concept": ({"vectors": vectors(2)[:0], "names": (), "colors": ()}, "≥ 1"),
    "NaN": ({"vectors": poke(np.nan)}, "1 NaN or infinite"),
    "infinite": ({"vectors": poke(np.inf)}, "1 NaN or infinite"),
    "negative": ({"vectors": poke(-1e-6)}, "1 negative"),
    "zero row": ({"vectors": vectors(2) * np.float32([[1], [0]])}, "zeros in concept 2"),
    "names short": ({"names": ("a",)}, "2 ≥ 1 names"),
    "name empty": ({"names": ("a", "")}, "none empty"),
    "name number": ({"names": ("a", 1)}, "names"),
    "colors long": ({"colors": ((0, 0, 0),) * 3}, "2 triples"),
    "color range": ({"colors": ((0, 0, 0), (0, 0, 256))}, "0…255"),
    "color alpha": ({"colors": ((0, 0, 0), (0, 0, 0, 0))}, "0…255"),
    "color float": ({"colors": ((0, 0, 0), (0, 0, 0.5))}, "0…255"),
    "parents short": ({"parents": (0,)}, "2 concept indices"),
    "parents empty": ({"parents": ()}, "2 concept indices"),
    "parents negative": ({"parents": (0, -1)}, "2 concept indices"),
    "excluded twice": ({"excluded": (1, 1)}, "excluded"),
    "excluded order": ({"excluded": (1, 0)}, "excluded"),
    "excluded beyond": ({"excluded": (2,)}, "0 … 1"),
    "excluded bool": ({"excluded": (True,)}, "excluded"),
    "mpp zero": ({"mpp": 0.0}, "µm/px > 0"),
    "mpp NaN": ({"mpp": float("nan")}, "µm/px > 0"),
    "mpp text": ({"mpp": "0.5"}, "µm/px > 0"),
    "encoder name": ({"encoder": replace(KEY, name="")}, "a name"),
    "encoder revision": ({"encoder": replace(KEY, revision=3)}, "revision"),
}


@pytest.mark.parametrize(("changes", "told"), INVALID.values(), ids=INVALID.keys())
def test_invalid_banks_are_neither_valid_nor_saved(path, changes, told):
    with pytest.raises(BankError) as error:
        validate_bank(bank(2, **changes))
    assert told in str(error.value)
    with pytest.raises(BankError):
        save_bank([bank(2, **changes)], path)
    assert not path.exists()


def leaves(vectors=None, owners=(0, 1, 0)):
    return Leaves(np.ones((3, 6), np.float32) if vectors is None else vectors, owners)


def test_the_hash_covers_leaves():
    plain = bank(2)
    others = [replace(plain, leaves=one) for one in (leaves(), leaves(owners=(0, 1, 1)), leaves(2 * leaves().vectors))]
    assert len({bank_hash(one) for one in (plain, *others)}) == 4


@pytest.mark.parametrize(
    "wrong",
    [
        leaves(owners=(0, 1)),
        leaves(owners=(0, 0, 0)),
        leaves(owners=(0, 1, 2)),
        leaves(owners=(0, True, 0)),
        leaves(np.ones((3, 5), np.float32)),
        leaves(np.ones((3, 6))),
        leaves(np.zeros((3, 6), np.float32)),
        leaves(np.full((3, 6), np.nan, np.float32)),
        leaves(np.ones((1, 6), np.float32), (0,)),
    ],
)
def test_invalid_leaves(wrong):
    with pytest.raises(BankError, match=r"leaves|owners"):
        validate_bank(replace(bank(2), leaves=wrong))


def test_two_concepts_of_one_name():
    validate_bank(bank(3, names=("stroma", "tumour", "stroma")))


@pytest.mark.parametrize("revision", [[], ["1"], {}, 0, "", False])
def test_a_revision_is_a_text_or_none(revision):
    key = EncoderKey("uni", revision, "blocks[-1]", "relu")
    with pytest.raises(BankError, match="encoder is not valid"):
        new_bank(vectors(2), key)
    new_bank(vectors(2), replace(key, revision=None))


def test_a_file_whose_revision_is_a_list_is_refused(path):
    save_bank([bank(3)], path)
    path.write_bytes(path.read_bytes().replace(b'\\"abc123\\"', b"[      ]  "))
    with pytest.raises(BankError, match="encoder is not valid"):
        load_bank(path)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a ",
        " a",
        "a\nb",
        "a\r",
        "\x1b[31mred",
        "a\0",
        "a\tb",
        "\u202etxt",
        "\ud800",
        "unlike the bank",
        "a\u200db",
        "ß\u200dß",
        "\u200d😀",
        "😀\u200d",
        "😀\u200d\u200d😀",
        "😀\u200d\u202e😀",
        "😀\u200b😀",
    ],
)
def test_names_that_cannot_be_given(name):
    with pytest.raises(OptionError, match="cannot have this name"):
        check_name(name)


@pytest.mark.parametrize(
    "name",
    ["tumour", "µ stroma", "=1+1", "a, b; \"c\" 'd'", "淋巴", "\N{GRINNING FACE}", "👩🏽\u200d🔬 gland", "❤️\u200d🔥"],
)
def test_names_that_can_be_given(name):
    check_name(name)


def test_a_name_has_an_end():
    check_name("ß" * 200)
    with pytest.raises(OptionError, match=r"200 characters at most.*100,000") as told:
        check_name("x" * 100_000)
    assert len(str(told.value)) < 300
