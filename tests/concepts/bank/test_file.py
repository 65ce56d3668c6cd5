"""Banks on disk: everything survives, and whatever is not a bank is refused by name."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from histofactor.concepts.bank.file import (
    BankFile,
    load_bank,
    load_banks,
    read_bank_file,
    recommended_k,
    save_bank,
    write_bank_file,
)
from histofactor.concepts.bank.record import bank_hash, validate_bank
from histofactor.errors import BankError, OptionError
from histofactor.records import Centring, Leaves
from small_banks import KEY, bank, vectors


def edit(path, **changes):
    """Save two banks, then change the JSON of the file."""
    save_bank([bank(2), bank(4)], path)
    header = json.loads(read_entry(path))
    header |= changes
    save_file({"k2/vectors": vectors(2), "k4/vectors": vectors(4)}, path, {"histofactor": json.dumps(header)})
    return header


def read_entry(path):
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8 : 8 + size])["__metadata__"]["histofactor"]


def same(a, b):
    assert a.vectors.dtype == np.float32
    np.testing.assert_array_equal(a.vectors, b.vectors)
    assert replace(a, vectors=None) == replace(b, vectors=None)


def poke(value):
    changed = vectors(2)
    changed[1, 2] = value
    return changed


def test_every_k_survives_the_file(path):
    banks = [
        bank(8),
        bank(2, names=("tumour", "µ 基质"), colors=((0, 0, 0), (255, 1, 2)), parents=(0, 0)),
        bank(4, provenance={"nested": {"list": [1, 2.5, None, "x"]}}),
    ]
    save_bank(banks, path)
    loaded = load_banks(path)
    assert list(loaded) == [2, 4, 8]
    for saved in banks:
        same(loaded[len(saved.names)], saved)
        assert bank_hash(loaded[len(saved.names)]) == bank_hash(saved)


def test_vectors_of_any_memory_layout_survive(path):
    strided = np.asfortranarray(vectors(4, 12))[:, ::2]
    save_bank([bank(4, vectors=strided)], path)
    np.testing.assert_array_equal(load_bank(path).vectors, strided)


def test_saving_twice_gives_the_same_bytes_and_nothing_beside(path):
    save_bank([bank(2), bank(4)], path)
    first = path.read_bytes()
    save_bank([bank(2), bank(4)], path)
    assert path.read_bytes() == first
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("ks", "default"), [([3], 3), ([8, 16, 32], 16), ([32, 8], 8)])
def test_default_k(path, ks, default):
    save_bank([bank(k) for k in ks], path)
    assert len(load_bank(path).vectors) == default


def test_a_k_that_is_not_there_lists_those_that_are(path):
    save_bank([bank(8), bank(2)], path)
    assert len(load_bank(path, 8).vectors) == 8
    with pytest.raises(
        BankError,
        match=r"K = 3.*choose K from .*, or learn it with: histofactor concepts train INPUT\.\.\. -o BANK -k 3",
    ):
        load_bank(path, 3)


@pytest.mark.parametrize("k", [0, -1, True, 2.0, "2"])
def test_k_must_be_a_positive_integer(path, k):
    save_bank([bank(2)], path)
    with pytest.raises(OptionError, match="integer ≥ 1"):
        load_bank(path, k)


def test_leaves_survive(path):
    merged = bank(2, leaves=Leaves(vectors(5, seed=1), (0, 1, 1, 0, 1)))
    save_bank([bank(5), merged], path)
    loaded = load_banks(path)[2]
    np.testing.assert_array_equal(loaded.leaves.vectors, merged.leaves.vectors)
    assert loaded.leaves.owners == merged.leaves.owners
    assert bank_hash(loaded) == bank_hash(merged)


def test_leaves_without_owners_are_refused(path):
    save_bank([bank(2, leaves=Leaves(vectors(3), (0, 1, 1)))], path)
    header = json.loads(read_entry(path))
    tensors = {"k2/vectors": vectors(2), "k2/leaves": vectors(3)}
    header["banks"]["2"]["owners"] = None
    save_file(tensors, path, {"histofactor": json.dumps(header)})
    with pytest.raises(BankError, match="one without the other"):
        load_banks(path)


def test_the_card_survives(path):
    card = {"licence": "CC0", "slides": [{"name": "µ.svs", "tokens": 3}]}
    save_bank([bank(2)], path, card)
    assert read_bank_file(path).card == card
    with pytest.raises(BankError, match="JSON types only"):
        save_bank([bank(2)], path, {"array": vectors(2)})
    assert read_bank_file(path).card == card


def test_unknown_fields_survive(path):
    header = edit(path, later={"field": [1, 2]})
    header["banks"]["4"]["quality"] = 0.5
    edit(path, **header)
    file = read_bank_file(path)
    write_bank_file(file, path)
    again = json.loads(read_entry(path))
    assert again["later"] == {"field": [1, 2]}
    assert again["banks"]["4"]["quality"] == 0.5
    assert again["format_version"] == 2  # banks without centring are written so that older versions read them
    assert read_bank_file(path).unknown == {"later": {"field": [1, 2]}}


def test_unknown_tensors_and_metadata_survive(path):
    tensors = {
        "k2/vectors": vectors(2),
        "k4/vectors": vectors(4),
        "k2/spread": np.arange(6, dtype=np.float16).reshape(2, 3),
        "mean": np.array(3, np.int64),
    }
    header = edit(path)
    save_file(tensors, path, {"histofactor": json.dumps(header), "signed by": "me"})
    file = read_bank_file(path)
    write_bank_file(replace(file, banks={**file.banks, 2: replace(file.banks[2], names=("a", "b"))}), path)
    written = load_file(path)
    assert written.keys() == tensors.keys()
    for name, values in tensors.items():
        assert written[name].dtype == values.dtype
        np.testing.assert_array_equal(written[name], values)
    assert read_bank_file(path).metadata == {"signed by": "me"}


@pytest.mark.parametrize("place", ["top", "banks", "provenance"])
def test_a_key_that_is_there_twice_is_refused(path, place):
    text = json.dumps(edit(path))
    text = {
        "top": text[:-1] + ', "mpp": 1}',
        "banks": text.replace('"4": {', '"2": {}, "4": {'),
        "provenance": text.replace('"images": 3', '"images": 3, "images": 4', 1),
    }[place]
    save_file({"k2/vectors": vectors(2), "k4/vectors": vectors(4)}, path, {"histofactor": text})
    with pytest.raises(BankError, match="is there twice"):
        load_banks(path)


def test_a_bank_stands_under_its_own_k(path):
    for banks in ({3: bank(2)}, {}):
        with pytest.raises(BankError, match="by its K"):
            write_bank_file(BankFile(banks), path)
    assert not path.exists()


def test_two_concepts_may_have_one_name(path):
    header = edit(path)
    header["banks"]["2"]["names"] = ["a", "a"]
    edit(path, **header)
    assert load_banks(path)[2].names == ("a", "a")


def test_a_name_without_end_is_refused(path):
    header = edit(path)
    header["banks"]["2"]["names"] = ["a" * 200, "b"]
    edit(path, **header)
    assert load_banks(path)[2].names[0] == "a" * 200
    header["banks"]["2"]["names"] = ["a" * 100_000, "b"]
    edit(path, **header)
    with pytest.raises(BankError, match=r"at most 200 characters.*100,000") as told:
        load_banks(path)
    assert len(str(told.value)) < 500


def test_version_1_is_read(path):
    header = edit(path)
    for entry in header["banks"].values():
        del entry["owners"]
    del header["card"]
    edit(path, **{**header, "format_version": 1})
    text = json.loads(read_entry(path))
    text.pop("card")
    save_file({"k2/vectors": vectors(2), "k4/vectors": vectors(4)}, path, {"histofactor": json.dumps(text)})
    assert list(load_banks(path)) == [2, 4]
    assert read_bank_file(path).card == {}


def test_k_in_any_order_comes_out_ascending(path):
    save_bank([bank(8), bank(2), bank(4)], path)
    assert list(json.loads(read_entry(path))["banks"]) == ["2", "4", "8"]
    header = edit(path)
    edit(path, banks=dict(reversed(header["banks"].items())))
    assert list(load_banks(path)) == [2, 4]


@pytest.mark.parametrize(
    ("banks", "told"),
    [
        ([], "at least one"),
        ([bank(2), bank(2)], "one bank for every K"),
        ([bank(2), bank(4, mpp=1.0)], "of one encoder"),
        ([bank(2), bank(4, encoder=replace(KEY, name="other"))], "of one encoder"),
        ([bank(2), bank(4, vectors=vectors(4, 7))], "of one encoder"),
        ([bank(2, names=("a", "b" * 201))], "at most 200 characters"),
        ([bank(2, provenance={"array": np.zeros(2)})], "JSON"),
        ([bank(2, provenance={"inertia": float("nan")})], "JSON"),
    ],
)
def test_banks_that_cannot_share_a_file(path, banks, told):
    with pytest.raises(BankError, match=told):
        save_bank(banks, path)
    assert not path.exists()


def test_other_safetensors_files_are_not_banks(path):
    for metadata in (None, {"format": "pt"}):
        save_file({"weight": vectors(2)}, path, metadata)
        with pytest.raises(BankError, match="something else"):
            load_banks(path)


DAMAGED = {
    "newer": ({"format_version": 4}, "update histofactor"),
    "no version": ({"format_version": None}, "format_version"),
    "no banks": ({"banks": {}}, "no banks by K"),
    "bad k": ({"banks": {"eight": {}}}, "no banks by K"),
    "huge k": ({"banks": {"9" * 5000: {}}}, "no banks by K"),
    "negative k": ({"banks": {"-2": {}}}, "no banks by K"),
    "no tensor": ({"banks": {"3": {}}}, "no tensor k3/vectors"),
    "no names": ({"banks": {"2": {}}}, "KeyError"),
    "entry list": ({"banks": {"2": []}}, "TypeError"),
    "encoder text": ({"encoder": "uni"}, "TypeError"),
    "encoder part": ({"encoder": {"name": "uni"}}, "KeyError: 'revision'"),
    "encoder type": (
        {"encoder": {"name": [1], "revision": None, "layer": "l", "transform": "t"}},
        "a name, a layer",
    ),
    "mpp": ({"mpp": -1}, "mpp is not valid"),
    "mpp NaN": ({"mpp": float("nan")}, "not JSON"),
    "mpp beyond": ({"mpp": 10**400}, "mpp is not valid"),
    "card": ({"card": []}, "no JSON object"),
}


@pytest.mark.parametrize(("changes", "told"), DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_metadata(path, changes, told):
    edit(path, **changes)
    with pytest.raises(BankError) as error:
        load_banks(path)
    assert told in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("names", ["a"]),
        ("names", 5),
        ("colors", [[1, 2, 3]]),
        ("colors", [1, 2]),
        ("parents", [0]),
        ("provenance", "ab"),
        ("owners", 3),
        ("excluded", 3),
        ("excluded", None),
        ("excluded", "1"),
        ("excluded", [[1]]),
        ("excluded", [5]),
    ],
)
def test_damaged_entries(path, field, value):
    header = edit(path)
    header["banks"]["2"][field] = value
    edit(path, **header)
    with pytest.raises(BankError, match="bank"):
        load_banks(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000])
def test_metadata_that_is_not_an_object(path, text):
    save_file({"k2/vectors": vectors(2)}, path, {"histofactor": text})
    with pytest.raises(BankError, match="metadata"):
        load_banks(path)


@pytest.mark.parametrize("tensor", [vectors(3), vectors(2).astype(np.float64), vectors(2)[0], poke(np.nan), poke(-1.0)])
def test_damaged_tensors(path, tensor):
    save_bank([bank(2)], path)
    text = read_entry(path)
    save_file({"k2/vectors": tensor}, path, {"histofactor": text})
    with pytest.raises(BankError, match="bank"):
        load_banks(path)


@settings(max_examples=60)
@given(cut=st.floats(0, 1, exclude_max=True))
def test_every_truncation_is_refused(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "bank.safetensors"
    save_bank([bank(2)], path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(cut * len(raw))])
    with pytest.raises(BankError):
        load_banks(path)


@settings(max_examples=60)
@given(place=st.integers(0, 10**6), value=st.integers(0, 255))
def test_a_flipped_byte_gives_a_valid_bank_or_a_bank_error(tmp_path_factory, place, value):
    path = tmp_path_factory.mktemp("flip") / "bank.safetensors"
    save_bank([bank(2)], path)
    raw = bytearray(path.read_bytes())
    raw[place % len(raw)] = value
    path.write_bytes(raw)
    try:
        loaded = load_bank(path)
    except BankError:
        return
    validate_bank(loaded)


def test_saving_over_a_bank_that_fails_keeps_it(path):
    save_bank([bank(2)], path)
    with pytest.raises(BankError):
        save_bank([bank(2, vectors=poke(np.nan))], path)
    same(load_bank(path), bank(2))


def centred(k, share=0.5, mean=None):
    return bank(k, centring=Centring(share, np.arange(6, dtype=np.float32) - 2 if mean is None else mean))


def test_centring_survives_and_is_part_of_what_a_bank_does(path):
    save_bank([centred(2), centred(4)], path)
    read = load_banks(path)
    assert [read[k].centring.share for k in (2, 4)] == [0.5, 0.5]
    np.testing.assert_array_equal(read[4].centring.mean, np.arange(6) - 2)
    assert bank_hash(read[4]) == bank_hash(centred(4))
    assert (
        len({bank_hash(one) for one in (bank(4), centred(4), centred(4, 0.25), centred(4, mean=np.ones(6, "f4")))}) == 4
    )
    assert json.loads(read_entry(path))["format_version"] == 3  # an older version would leave it out without a word


def test_banks_of_other_centring_do_not_belong_together(path):
    with pytest.raises(BankError, match="centring"):
        save_bank([centred(2), centred(4, 0.25)], path)


@pytest.mark.parametrize(
    ("share", "mean"),
    [(0, np.ones(6, "f4")), (1.5, np.ones(6, "f4")), (True, np.ones(6, "f4")), (0.5, np.ones(5, "f4")),
     (0.5, np.ones(6)), (0.5, np.full(6, np.nan, "f4")), (float("nan"), np.ones(6, "f4"))],
)  # fmt: skip
def test_centring_that_is_none(share, mean):
    with pytest.raises(BankError, match="centring"):
        validate_bank(centred(3, share, mean))


@pytest.mark.parametrize("share", ["half", [0.5], 2, 0])
def test_damaged_centring(path, share):
    save_bank([centred(2)], path)
    header = json.loads(read_entry(path)) | {"centring": share}
    save_file(load_file(path), path, {"histofactor": json.dumps(header)})
    with pytest.raises(BankError, match="centring"):
        read_bank_file(path)


def test_a_mean_that_is_not_there(path):
    save_bank([centred(2)], path)
    header = json.loads(read_entry(path))
    save_file({"k2/vectors": vectors(2)}, path, {"histofactor": json.dumps(header)})
    with pytest.raises(BankError, match="centring/mean"):
        read_bank_file(path)


def test_artefacts_survive_and_a_bank_without_any_is_as_it_was(path):
    save_bank([bank(2), bank(4)], path)
    before = path.read_bytes()
    assert b"excluded" not in before
    save_bank([bank(2), replace(bank(4), excluded=(0, 3))], path)
    assert {k: one.excluded for k, one in load_banks(path).items()} == {2: (), 4: (0, 3)}
    assert bank_hash(load_banks(path)[4]) == bank_hash(bank(4))
    write_bank_file(read_bank_file(path), path)
    assert load_banks(path)[4].excluded == (0, 3)
    save_bank([bank(2), bank(4)], path)
    assert path.read_bytes() == before


def test_parts_survive_and_are_part_of_what_a_bank_does(path):
    parts = Leaves(vectors(3, seed=4), (0, 1, 1))
    save_bank([replace(bank(2), parts=parts), bank(4)], path)
    read = load_banks(path)
    np.testing.assert_array_equal(read[2].parts.vectors, parts.vectors)
    assert (read[2].parts.owners, read[4].parts) == ((0, 1, 1), None)
    assert bank_hash(read[2]) == bank_hash(replace(bank(2), parts=parts)) != bank_hash(bank(2))
    assert bank_hash(replace(bank(2), parts=parts)) != bank_hash(replace(bank(2), leaves=parts))
    assert json.loads(read_entry(path))["format_version"] == 3  # an older version would leave them out without a word
    write_bank_file(read_bank_file(path), path)
    assert load_banks(path)[2].parts.owners == (0, 1, 1)
    header = json.loads(read_entry(path))
    del header["banks"]["2"]["part_owners"]
    save_file(load_file(path), path, {"histofactor": json.dumps(header)})
    with pytest.raises(BankError, match="parts"):
        read_bank_file(path)


def test_parts_that_are_none(path):
    with pytest.raises(BankError, match="owners"):
        save_bank([replace(bank(2), parts=Leaves(vectors(3), (0, 0, 0)))], path)


def test_the_recommended_k_is_taken_where_none_is_asked_for(tmp_path, tiny_bank):
    banks = [replace(tiny_bank, vectors=tiny_bank.vectors[:k], names=tiny_bank.names[:k], colors=tiny_bank.colors[:k])
             for k in (2, 3, 5)]  # fmt: skip
    rows = []
    for recommended, taken in ((3, 3), (5, 5), (4, 2), ("3", 2), (None, 2)):
        path = tmp_path / f"{recommended}.safetensors"
        save_bank(banks, path, {"choice": {"recommended": recommended, "rows": rows}})
        assert len(load_bank(path).names) == taken
        assert len(load_bank(path, 5).names) == 5
        assert recommended_k(read_bank_file(path)) == (taken if taken == recommended else None)
