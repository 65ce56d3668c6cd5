"""The study of an output folder: its bank, and the journal that knows what was done to it."""

import json

import numpy as np
import pytest

from histofactor.concepts.bank.edit import rename
from histofactor.concepts.bank.file import BankFile, load_banks, read_bank_file, save_bank, write_bank_file
from histofactor.concepts.bank.record import new_bank
from histofactor.errors import BankError, OptionError
from histofactor.records import EncoderKey
from histofactor.runs import study as module
from histofactor.runs.study import (
    BANK,
    find_bank,
    journal_of,
    open_study,
    read_journal,
    sample_of,
    study_lock,
    write_study,
)

KEY = EncoderKey("tiny", None, "blocks[-1]", "split-root")


def file_of(seed=0):
    rng = np.random.default_rng(seed)
    return BankFile({k: new_bank(rng.random((k, 6)).astype(np.float32) + 0.1, KEY) for k in (4, 8)})


@pytest.fixture
def bank(tmp_path):
    write_study(file_of(), tmp_path / BANK, 8, "learned")
    return tmp_path / BANK


def test_what_was_done_is_told(bank):
    study = open_study(bank)
    assert (study.k, study.learned, list(study.file.banks)) == (8, True, [4, 8])
    write_study(rename(study.file, 4, {1: "tumour"}), bank, 4, "named", ["1=tumour"])
    study = open_study(bank)
    assert study.k == 4
    assert study.file.banks[4].names[0] == "tumour"
    assert [(entry["did"], entry["arguments"], entry["k"]) for entry in read_journal(bank)] == [
        ("learned", [], 8),
        ("named", ["1=tumour"], 4),
    ]


def test_names_may_be_changed_by_other_hands_concepts_may_not(bank):
    write_bank_file(rename(read_bank_file(bank), 8, {2: "stroma"}), bank)
    assert open_study(bank).file.banks[8].names[1] == "stroma"
    write_bank_file(file_of(seed=1), bank)
    with pytest.raises(BankError, match="other concepts than histofactor wrote") as told:
        open_study(bank)
    assert "--relearn" in told.value.mend


@pytest.mark.parametrize("after", ["the journal", "nothing"])
def test_a_change_cut_short_is_none(bank, monkeypatch, after):
    """Killed between journal and bank, or before both: the bank is the one before."""

    def killed(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_bank_file" if after == "the journal" else "atomic", killed)
    with pytest.raises(KeyboardInterrupt):
        write_study(file_of(seed=1), bank, 4, "learned")
    assert open_study(bank).k == 8


def test_a_bank_without_a_journal_gets_none(tmp_path):
    save_bank(list(file_of().banks.values()), tmp_path / "b.safetensors")
    study = open_study(tmp_path / "b.safetensors")
    assert (study.learned, study.k) == (False, 4)
    write_study(rename(study.file, 4, {1: "x"}), study.path, 4, "named")
    assert not journal_of(study.path).exists()
    assert load_banks(study.path)[4].names[0] == "x"


@pytest.mark.parametrize("line", ["", "{", "[]", '{"k": "8"}', "\x00\x1b", "[" * 100_000])
def test_lines_that_cannot_be_read_are_left_out(bank, line):
    journal = journal_of(bank)
    journal.write_text(line + "\n" + journal.read_text())
    assert len(read_journal(bank)) == 1
    assert open_study(bank).k == 8


def test_a_journal_of_nonsense_leaves_a_bank_on_its_own(bank):
    journal_of(bank).write_bytes(b"\xff\xfe\x00nonsense")
    assert not open_study(bank).learned


def test_where_the_bank_is(bank, tmp_path):
    assert find_bank(tmp_path) == bank
    assert find_bank(bank) == bank
    (tmp_path / "empty").mkdir()
    with pytest.raises(OptionError, match="no concepts of its own"):
        find_bank(tmp_path / "empty")


def test_one_at_a_time(tmp_path):
    with study_lock(tmp_path) as mine:
        assert mine
        with study_lock(tmp_path, blocking=False) as other:
            assert not other
    with study_lock(tmp_path, blocking=False) as mine:
        assert mine


def test_what_a_killed_process_left_is_cleared_and_nothing_of_others(tmp_path):
    leftovers = [f".0123456789ab-{name}" for name in (BANK, sample_of(tmp_path / BANK).name, "run.json")]
    for name in leftovers:
        (tmp_path / name).write_text("half")
    with study_lock(tmp_path), study_lock(tmp_path, blocking=False):
        pass
    assert [path.name for path in tmp_path.glob(".0*")] == leftovers[-1:]


def test_the_journal_is_lines_of_json(bank):
    (line,) = journal_of(bank).read_text().splitlines()
    entry = json.loads(line)
    assert set(entry) == {"at", "histofactor", "did", "arguments", "k", "vectors", "bank", "before"}
    assert set(entry["vectors"]) == {"4", "8"}
