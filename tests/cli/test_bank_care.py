"""``histofactor concepts show|name|merge``."""

from dataclasses import replace

import numpy as np
import pytest

from histofactor.concepts.bank.file import load_banks, save_bank
from histofactor.concepts.bank.record import new_bank
from histofactor.concepts.learn.levels import banks_from_features
from histofactor.records import EncoderKey


@pytest.fixture
def bank(tmp_path):
    X = np.random.default_rng(0).gamma(0.6, 1.0, (300, 5)).astype(np.float32)
    save_bank(banks_from_features(X, [2, 4, 8], EncoderKey("e", None, "l", "relu")), tmp_path / "b.safetensors")
    return tmp_path / "b.safetensors"


def test_name_once_then_show(histofactor, bank):
    code, out, _ = histofactor("concepts", "name", bank, "3=lymphoid stroma", "1=tumour", "-k", 4)
    assert code == 0
    assert "2 names" in out
    assert load_banks(bank)[4].names == ("tumour", "Concept 2", "lymphoid stroma", "Concept 4")
    code, out, _ = histofactor("concepts", "show", bank, "-k", 4)
    assert code == 0
    assert "lymphoid stroma" in out
    assert "of 8" in out


def test_names_from_a_table(histofactor, bank, tmp_path):
    table = tmp_path / "phenotypes.csv"
    table.write_text("label,name,color,area_px\n0,unassigned,,5\n1,tumour,#0a0b0c,7\n2,stroma,#ffffff,1\n")
    out = tmp_path / "named.safetensors"
    assert histofactor("concepts", "name", bank, "-k", 2, "--table", table, "-o", out)[0] == 0
    assert load_banks(out)[2].names == ("tumour", "stroma")
    assert load_banks(out)[2].colors == ((10, 11, 12), (255, 255, 255))
    assert load_banks(bank)[2].names == ("Concept 1", "Concept 2")


def test_merge_adds_a_level(histofactor, bank, tmp_path):
    code, out, _ = histofactor("concepts", "merge", bank, "1+3=tumour", "2+8=stroma", "-k", 8)
    assert code == 0
    assert "K = 6" in out
    assert list(load_banks(bank)) == [2, 4, 6, 8]
    assert load_banks(bank)[6].names[:2] == ("tumour", "stroma")


def test_a_page(histofactor, bank, tmp_path):
    assert histofactor("concepts", "show", bank, "--html", tmp_path / "page.html")[0] == 0
    assert "K = 8" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("name", "1=a"), "several K"),
        (("name", "1=a", "-k", 3), "no K = 3"),
        (("name", "9=a", "-k", 4), "no label 9"),
        (("name", "1+2=a", "-k", 4), "one label"),
        (("name", "1=a", "1=b", "-k", 4), "once"),
        (("name", "-k", 4), "nothing to name"),
        (("show", "slide.svs"), "--html"),
        (("name", "1=a", "2=a", "-k", 4), "same name"),
        (("merge", "1=a", "-k", 4), "nothing to merge"),
        (("merge", "stroma", "-k", 4), "cannot be read"),
        (("show", "-k", 3), "no K = 3"),
    ],
)
def test_mistakes(histofactor, bank, arguments, told):
    before = bank.read_bytes()
    verb, *rest = arguments
    code, _, err = histofactor("concepts", verb, bank, *rest)
    assert code == 2
    assert told in err
    assert bank.read_bytes() == before


@pytest.mark.parametrize("text", ["name\nfoo\n", "label,name\nx,foo\n", "label,name,color\n1,foo,red\n"])
def test_tables_that_cannot_be_read(histofactor, bank, tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    code, _, err = histofactor("concepts", "name", bank, "-k", 2, "--table", tmp_path / "t.csv")
    assert code == 2
    assert str(tmp_path / "t.csv") in err


def test_what_a_terminal_would_obey_is_not_printed(histofactor, tmp_path):
    named = replace(
        new_bank(np.eye(2, dtype=np.float32), EncoderKey("e\x1b[2J", None, "l", "relu")),
        names=("a\x1b[31m", "[red]\udcff"),
    )
    save_bank([named], tmp_path / "b.safetensors", {"slides": [{"name": "a"}], "licence": "\x1b]0;x\x07"})
    code, out, _ = histofactor("concepts", "show", tmp_path / "b.safetensors", "-k", 2)
    assert code == 0
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "[red]" in out


def test_a_level_is_replaced_in_another_file_only(histofactor, bank, tmp_path):
    before, out = bank.read_bytes(), tmp_path / "other.safetensors"
    merges = ("merge", bank, "1+2+3+4+5=a", "-k", 8)  # K = 4, which there is
    code, _, err = histofactor("concepts", *merges)
    assert code == 2
    assert "K = 4 already" in err
    assert bank.read_bytes() == before
    assert histofactor("concepts", *merges, "-o", out)[0] == 0
    assert load_banks(out)[4].names[0] == "a"
    assert load_banks(bank)[4].names[0] == "Concept 1"
