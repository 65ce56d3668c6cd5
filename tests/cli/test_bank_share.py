"""``histofactor concepts push|pull``."""

import hashlib

import pytest

from histofactor.concepts.bank.file import BankFile, load_bank, write_bank_file
from histofactor.concepts.bank.record import bank_hash, new_bank
from histofactor.concepts.on_hub import BANK, CARD
from histofactor.encoders.embedded.network import DIM
from histofactor.records import EncoderKey
from small_banks import bank, vectors

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub of its client


@pytest.fixture
def shared_bank(tmp_path):
    file = BankFile(
        {3: bank(3, encoder=EncoderKey("embedded", "2", "code", "split-root"))},
        {"slides": [{"name": f"case {number}.svs", "group": None} for number in range(5)]},
    )
    write_bank_file(file, tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


def test_pushed_and_pulled(histofactor, hub, shared_bank, tmp_path):
    code, out, _ = histofactor("concepts", "push", shared_bank, "hf://anna/bank")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == f"sending to hf://anna/bank at {hub.address}, for those you let in to see:"
    sent = hub.files("anna/bank")
    assert lines[1] == f"  {BANK}: {len(sent[BANK]):,} bytes"
    assert lines[2].startswith(f"  {CARD}: ")
    assert lines[3].startswith("not in it: names and hashes of 5 inputs")
    assert lines[4].endswith(f"{hub.address}/anna/bank, private")
    code, out, _ = histofactor("concepts", "pull", "hf://anna/bank", "-o", tmp_path / "theirs.safetensors")
    assert code == 0
    assert (tmp_path / "theirs.safetensors").read_bytes() == sent[BANK]
    assert f"sha256 {hashlib.sha256(sent[BANK]).hexdigest()}" in out
    assert hub.repositories["anna/bank"]["commits"][-1][0] in out
    assert "embedded: licence Apache-2.0; commercial use: yes; sharing: yes" in out
    assert bank_hash(load_bank(tmp_path / "theirs.safetensors")) == bank_hash(load_bank(shared_bank))


def test_what_is_asked_for_is_said(histofactor, hub, shared_bank):
    code, out, _ = histofactor("concepts", "push", shared_bank, "hf://anna/bank", "--public", "--with-names")
    assert code == 0
    assert "for everybody to see" in out
    assert "with names of 5 inputs: case 0.svs, case 1.svs, case 2.svs and 2 more" in out
    assert "not in it" not in out
    assert b"case 4.svs" in hub.files("anna/bank")[BANK]


def test_a_dry_run_sends_nothing(histofactor, hub, shared_bank):
    code, out, _ = histofactor("concepts", "push", shared_bank, "hf://anna/bank", "--dry-run")
    card = shared_bank.with_name("mine.README.md")
    assert code == 0
    assert f"wrote {card}" in out
    assert not hub.requests
    assert "hf://anna/bank" in card.read_text()
    card.write_text(card.read_text() + "\nMine.\n")
    code, _, err = histofactor("concepts", "push", shared_bank, "hf://anna/bank", "--dry-run")
    assert code == 2
    assert "another card" in err
    code, _, _ = histofactor("concepts", "push", shared_bank, "hf://anna/bank", "--card", card)
    assert code == 0
    assert hub.files("anna/bank")[CARD].endswith(b"\nMine.\n")


def test_refusals(histofactor, hub, tmp_path):
    write_bank_file(BankFile({3: bank(3)}), tmp_path / "uni.safetensors")
    code, _, err = histofactor("concepts", "push", tmp_path / "uni.safetensors", "hf://anna/bank")
    assert code == 2
    assert "forbids to share" in err
    assert "--i-may-share" in err
    assert not hub.requests
    code, _, err = histofactor("concepts", "push", tmp_path / "uni.safetensors", "hf://anna/bank", "--with-patches")
    assert code == 2
    assert "patches are of slides" in err


def test_a_pull_takes_nothing_away(histofactor, hub, shared_bank, tmp_path):
    histofactor("concepts", "push", shared_bank, "hf://anna/bank")
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"mine")
    for out, words in ((other, "another file"), (tmp_path, "is a folder")):
        code, _, err = histofactor("concepts", "pull", "hf://anna/bank", "-o", out)
        assert code == 2
        assert words in err
    assert other.read_bytes() == b"mine"
    for _ in range(2):
        assert histofactor("concepts", "pull", "hf://anna/bank", "-o", tmp_path / "new.safetensors")[0] == 0


def test_segmented_with_a_bank_of_the_hub(histofactor, hub, whole_study, tmp_path):
    _, paths = whole_study
    key = load_bank(whole_study[0] / BANK).encoder
    made = new_bank(vectors(4, 2 * DIM), key, mpp=1.0)
    write_bank_file(BankFile({4: made}), tmp_path / "b.safetensors")
    histofactor("concepts", "push", tmp_path / "b.safetensors", "hf://anna/bank")
    options = ("--fast", "--source-mpp", 1, "-o", tmp_path / "out")
    code, _, err = histofactor("segment", paths[0], *options, "--concepts", "hf://anna/bank")
    assert code == 0, err
    assert bank_hash(made) in (tmp_path / "out" / "a" / "segmentation.json").read_text()
    code, _, err = histofactor("segment", paths[0], *options, "--concepts", "hf://anna/none")
    assert code == 2
    assert "hf://anna/none cannot be fetched" in err
