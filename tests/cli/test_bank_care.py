"""``histofactor concepts show``."""

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


def test_a_page(histofactor, bank, tmp_path):
    assert histofactor("concepts", "show", bank, "--html", tmp_path / "page.html")[0] == 0
    assert "K = 8" in (tmp_path / "page.html").read_text()


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


@pytest.mark.parametrize(("arguments", "told"), [(("slide.svs",), "--html"), (("-k", 3), "no K = 3")])
def test_mistakes(histofactor, bank, arguments, told):
    code, _, err = histofactor("concepts", "show", bank, *arguments)
    assert code == 2
    assert told in err


def test_a_study_and_its_artefacts(histofactor, study):
    out, _ = study
    histofactor("concepts", "exclude", out, 2)
    code, told, _ = histofactor("concepts", "show", out, "-k", 8)
    assert code == 0
    assert "segmented with K = 8" in told
    assert told.count("excluded") == 1


def test_a_folder_that_is_no_study(histofactor, tmp_path):
    code, _, err = histofactor("concepts", "show", tmp_path)
    assert code == 2
    assert "holds no concepts of its own" in err
