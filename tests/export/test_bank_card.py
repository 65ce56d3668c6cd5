"""The card of a shared bank."""

from dataclasses import replace

import pytest
import yaml
from huggingface_hub import ModelCard

from histofactor.concepts.bank.file import BankFile, read_bank_file
from histofactor.concepts.bank.following import Following, stated
from histofactor.concepts.bank.record import bank_hash
from histofactor.encoders.terms import terms_of
from histofactor.encoders.weights import embedded_path
from histofactor.errors import BankError
from histofactor.export.bank_card import Sharing, bank_card
from small_banks import KEY, bank

CHOICE = {
    "recommended": 4,
    "rows": [
        {"k": 2, "stability": 0.91, "inertia": 1.25, "residual": 0.4, "residual_limit": 0.75},
        {"k": 4, "stability": 0.8125, "inertia": 1.0, "residual": 0.3, "residual_limit": 0.7},
    ],
}


def file(**changes):
    key = replace(KEY, name=changes.pop("encoder", "uni"))
    banks = {k: bank(k, encoder=key, provenance={"counts": [10] * k, "residual_limit": 0.7}) for k in (2, 4)}
    told = {"names": ("tumour", "stroma", "pen", "Concept 4"), "excluded": (2,)} | changes
    banks[4] = replace(banks[4], **told)
    slides = [{"name": "input 1", "group": "group 1"}, {"name": "input 2", "group": "group 1"}]
    card = {
        "made": "histofactor 0.1.0",
        "algorithm": "kmeans",
        "licence": "CC0 (slides)",
        "options": {"tokens": 12345, "seed": 0},
        "groups": {"group 1": 2},
        "slides": slides,
        "choice": CHOICE,
    }
    return BankFile(banks, card)


def card_of(made, encoder="uni", **told):
    return bank_card(made, Sharing(repository="anna/bank", terms=terms_of(encoder), k=4, **told))


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        ("uni", {"license": "cc-by-nc-nd-4.0"}),
        ("embedded", {"license": "apache-2.0"}),
        (
            "kaiko-s8",
            {
                "license": "other",
                "license_name": "kaiko-non-commercial-v1",
                "license_link": "https://huggingface.co/1aurent/vit_small_patch8_224.kaiko_ai_towards_large_pathology_fms",
            },
        ),
        ("timm:resnet18", {"license": "other", "license_name": "that-of-its-repository"}),
    ],
)
def test_what_the_hub_reads(encoder, expected):
    text = card_of(file(encoder=encoder), encoder)
    header = yaml.safe_load(text.split("---\n")[1])
    assert {name: value for name, value in header.items() if name.startswith("license")} == expected
    assert header["library_name"] == "histofactor"
    assert "histofactor" in header["tags"]
    assert ModelCard(text).data.license == expected["license"]


def test_the_address_of_a_mirror_is_not_told(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://bob:pa55word@mirror.intern")
    text = card_of(file(encoder="kaiko-s8"), "kaiko-s8")
    assert "pa55word" not in text
    assert "mirror" not in text


def test_what_a_reader_wants_to_know():
    made = file()
    text = card_of(made)
    for words in (
        "Commercial use: no; sharing what is made with it: no",
        "`blocks[-1]`",
        "revision `abc123`",
        "0.5 µm/px",
        "Learned from 2 inputs of 1 group (group 1: 2), 12,345 tokens",
        "Their names are not told",
        f"| 4 | recommended | 0.812 | 1.000 | 0.300 | 0.700 | `{bank_hash(made.banks[4])[:12]}` |",
        "| tumour | 33.3 % |",
        "| pen | artefact |",
        "histofactor concepts pull hf://anna/bank -o bank.safetensors",
        "--encoder uni --concepts bank.safetensors",
        "CC0 (slides)",
    ):
        assert words in text
    assert "Shared although" not in text
    assert "by letter" in card_of(made, permission="the authors said so by letter")


def test_whether_concepts_follow_groups_is_told():
    told = Following(2, 8, 0.5, 0.1, 0.01, 0.9, (0.9,) * 4, ("group 1",) * 4, (True,) * 4, 1.0)
    made = file()
    level = replace(made.banks[4], provenance={**made.banks[4].provenance, "following": stated(told)})
    words = "the concepts are the groups: 4 concepts, 100% of the tissue"
    assert words in card_of(replace(made, banks={**made.banks, 4: level}))
    assert "follow the groups" not in card_of(made)


def test_foreign_text_is_no_markup():
    names = ("<script>alert(1)</script>", "[x](http://evil)", "a|b\nc", "`rm -rf`")
    text = card_of(file(names=names))
    assert "<script>" not in text
    assert "\\[x\\](http://evil)" in text
    rows = [line for line in text.splitlines() if line.startswith(("| 1 | `#", "| 2 | `#", "| 3 | `#", "| 4 | `#"))]
    assert len(rows) == 4
    assert "a\\|b c" in rows[2]


def test_a_bank_that_tells_little():
    text = card_of(BankFile({4: replace(bank(4), provenance={})}))
    assert "Where the concepts were learned is not told" in text
    assert "{" not in text


def test_a_damaged_card():
    with pytest.raises(BankError):
        card_of(replace(file(), card={"groups": 3}))


def test_the_bank_that_ships_states_one_licence_of_its_encoder():
    """The licence of the table and of the project is what the bank itself says."""
    shipped = read_bank_file(embedded_path("concepts.safetensors"))
    text = bank_card(shipped, Sharing(repository="anna/bank", terms=terms_of("embedded"), k=min(shipped.banks)))
    assert yaml.safe_load(text.split("---\n")[1])["license"] == "apache-2.0"
    assert "the encoder is Apache-2.0" in text
    assert "MIT" not in text
