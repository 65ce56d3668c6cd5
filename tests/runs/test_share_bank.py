"""What of a bank is sent, and whether it may be."""

from dataclasses import replace

import pytest

from histofactor.concepts.bank.file import BankFile, bank_bytes, read_bank_file, write_bank_file
from histofactor.concepts.bank.record import bank_hash
from histofactor.concepts.on_hub import BANK, CARD, PAGE
from histofactor.errors import BankError, EncoderError, OptionError
from histofactor.runs.share_bank import PackOptions, pack
from histofactor.runs.source import Opening
from small_banks import KEY, bank

ADDRESS = "hf://anna/bank"


def bank_of(path, encoder):
    key = replace(KEY, name=encoder)
    write_bank_file(BankFile({3: bank(3, encoder=key)}, {"slides": [{"name": "Meier.svs", "group": None}]}), path)
    return path


@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        ("uni", ["licence of uni forbids to share", "CC-BY-NC-ND-4.0"]),
        ("prov-gigapath", ["licence of prov-gigapath"]),
        ("phikon", ["licence of phikon does not say that one may share", "Owkin"]),
        ("embedded,uni", ["licence of uni forbids"]),
        ("timm:resnet18", ["licence of timm:resnet18 does not say"]),
    ],
)
def test_what_the_licence_does_not_allow_is_refused(tmp_path, encoder, words):
    path = bank_of(tmp_path / "b.safetensors", encoder)
    for permission in ("", "  "):
        with pytest.raises(OptionError) as error:
            pack(path, ADDRESS, PackOptions(permission=permission))
        for word in [*words, "--i-may-share"]:
            assert word in str(error.value)
    parcel = pack(path, ADDRESS, PackOptions(permission="the authors wrote so"))
    assert b"the authors wrote so" in parcel.files[CARD]


@pytest.mark.parametrize("encoder", ["embedded", "hibou-l", "dinov2-small"])
def test_what_it_allows_is_packed(tmp_path, encoder):
    parcel = pack(bank_of(tmp_path / "b.safetensors", encoder), ADDRESS, PackOptions())
    assert [*parcel.files] == [BANK, CARD]
    assert parcel.levels == (3,)


@pytest.mark.parametrize("name", ["transformers:/home/anna/vit", "transformers:./vit", "timm:C:\\nets\\vit"])
def test_an_encoder_that_nobody_else_has(tmp_path, name):
    path = bank_of(tmp_path / "b.safetensors", name)
    with pytest.raises(OptionError, match="folder of this machine"):
        pack(path, ADDRESS, PackOptions(permission="yes"))


def test_other_mistakes(tmp_path):
    with pytest.raises(OptionError, match="no address"):
        pack(bank_of(tmp_path / "b.safetensors", "embedded"), "anna/bank", PackOptions())
    with pytest.raises(BankError, match="no such file"):
        pack(tmp_path / "none.safetensors", ADDRESS, PackOptions())
    with pytest.raises(EncoderError, match="unknown encoder"):
        pack(bank_of(tmp_path / "b.safetensors", "unii"), ADDRESS, PackOptions())
    (tmp_path / "empty.md").write_text("\n")
    for card in ("none.md", "empty.md", "b.safetensors"):
        with pytest.raises(OptionError, match="card"):
            pack(bank_of(tmp_path / "b.safetensors", "embedded"), ADDRESS, PackOptions(card=tmp_path / card))


def test_a_study_without_and_with_its_inputs(study):
    out, paths = study
    file = read_bank_file(out / BANK)
    parcel = pack(out, ADDRESS, PackOptions())
    sent = parcel.files[BANK]
    (out / "sent.safetensors").write_bytes(sent)
    told = read_bank_file(out / "sent.safetensors")
    assert {k: bank_hash(one) for k, one in told.banks.items()} == {k: bank_hash(one) for k, one in file.banks.items()}
    for secret in (*(path.name for path in paths), *(slide["sha256"] for slide in file.card["slides"]), str(out)):
        assert secret.encode() not in sent + parcel.files[CARD]
        assert parcel.names == ()
    assert any("hashes of 2 inputs" in note for note in parcel.left_out)
    named = pack(out, ADDRESS, PackOptions(names=True))
    assert named.names == ("a.png", "b.png")
    assert b"a.png" in named.files[BANK]
    assert str(out.parent).encode() not in b"".join(named.files.values())


def test_patches_go_without_names(study):
    out, paths = study
    parcel = pack(out, ADDRESS, PackOptions(patches=paths, opening=Opening(source_mpp=1.0)))
    page = parcel.files[PAGE].decode()
    assert page.count('src="data:image/jpeg') > 8
    assert "a.png" not in page
    assert "b.png" not in page
    assert parcel.missing == ()
    missing = pack(out, ADDRESS, PackOptions(patches=paths[:1], opening=Opening(source_mpp=1.0))).missing
    assert missing == ("b.png is not among the inputs",)


def test_a_card_that_is_given_goes_as_it_is(tmp_path):
    path = bank_of(tmp_path / "b.safetensors", "embedded")
    (tmp_path / "card.md").write_text("---\nlicense: mit\n---\nµ\n")
    parcel = pack(path, ADDRESS, PackOptions(card=tmp_path / "card.md"))
    assert parcel.files[CARD].decode() == "---\nlicense: mit\n---\nµ\n"
    assert bank_bytes(read_bank_file(path)) != parcel.files[BANK]
