"""Changes of a study's concepts taken back and made again."""

import json

import pytest

from histofactor.concepts.bank.file import read_bank_file
from histofactor.errors import OptionError
from histofactor.runs import study as module
from histofactor.runs.edit_study import artefacts, edit, merged, named
from histofactor.runs.history import forget, history, step
from histofactor.runs.study import BANK, history_of, journal_of, open_study


def did(steps):
    return [one.did for one in steps]


def test_every_change_is_taken_back_and_made_again_byte_for_byte(study):
    out, _ = study
    bank = out / BANK
    states = [bank.read_bytes()]
    for change in (named({1: "stroma"}, {2: (1, 2, 3)}), merged([((1, 3), "stroma")]), artefacts([2])):
        edit(out, None, change)
        states.append(bank.read_bytes())
    assert open_study(bank).k == 7
    assert did(history(bank).undo) == ["named", "merged", "excluded"]
    for was in reversed(states[:-1]):
        step(out, back=True)
        assert bank.read_bytes() == was
        open_study(bank)
    assert open_study(bank).k == 8
    assert did(history(bank).redo) == ["excluded", "merged", "named"]
    with pytest.raises(OptionError, match="nothing to undo"):
        step(out, back=True)
    for now in states[1:]:
        assert step(out, back=False).did in {"named", "merged", "excluded"}
        assert bank.read_bytes() == now
    assert open_study(bank).k == 7


def test_a_new_change_ends_what_can_be_made_again_and_forgets_it(study):
    out, _ = study
    edit(out, None, named({1: "a"}, {}))
    edit(out, None, named({1: "b"}, {}))
    step(out, back=True)
    edit(out, None, named({1: "c"}, {}))
    found = history(out / BANK)
    assert did(found.undo) == ["named", "named"]
    assert found.redo == ()
    assert len(list(history_of(out / BANK).iterdir())) == 2
    step(out, back=True)
    assert read_bank_file(out / BANK).banks[8].names[0] == "a"


def test_a_change_from_outside_is_not_taken_back(study):
    out, _ = study
    edit(out, None, named({1: "a"}, {}))
    file = read_bank_file(out / BANK)
    module.write_bank_file(file, out / BANK)
    assert did(history(out / BANK).undo) == ["named"]  # the same bytes
    from histofactor.concepts.bank.edit import rename

    module.write_bank_file(rename(file, 8, {2: "by hand"}), out / BANK)
    assert history(out / BANK).undo == ()
    edit(out, None, named({1: "b"}, {}))
    assert did(history(out / BANK).undo) == ["named"]


def test_a_change_that_was_cut_short_is_none(study, monkeypatch):
    out, _ = study
    edit(out, None, named({1: "a"}, {}))

    def killed(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_bank_file", killed)
        with pytest.raises(KeyboardInterrupt):
            edit(out, None, named({1: "b"}, {}))
    assert did(history(out / BANK).undo) == ["named"]
    step(out, back=True)
    assert read_bank_file(out / BANK).banks[8].names[0] == "Concept 1"


def test_a_journal_that_names_files_elsewhere_is_not_followed(study, tmp_path):
    out, _ = study
    edit(out, None, named({1: "a"}, {}))
    lines = [json.loads(line) for line in journal_of(out / BANK).read_text().splitlines()]
    lines[-1]["before"]["bank"] = "../../elsewhere"
    lines[-2]["bank"] = "../../elsewhere"
    journal_of(out / BANK).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert history(out / BANK).undo == ()


def test_nothing_is_undone_once_it_is_gone(study):
    out, _ = study
    for name in "abc":
        edit(out, None, named({1: name}, {}))
    kept = history(out / BANK).undo
    (history_of(out / BANK) / f"{kept[1].bank}.safetensors").unlink()
    assert history(out / BANK).undo == kept[2:]
    forget(out / BANK)
    assert [path.stem for path in history_of(out / BANK).iterdir()] == [kept[2].bank]


def test_a_level_that_gave_way_comes_back(study):
    out, _ = study
    before = read_bank_file(out / BANK)
    coarser = max(k for k in before.banks if k < 8)
    edit(out, None, merged([(tuple(range(1, 10 - coarser)), "all")]))
    assert open_study(out / BANK).k == coarser
    step(out, back=True)
    assert open_study(out / BANK).k == 8
    assert read_bank_file(out / BANK).banks[coarser].names == before.banks[coarser].names


def test_slides_that_went_to_another_level_are_not_taken_back_by_an_undo_of_changes(study):
    out, _ = study
    edit(out, None, named({1: "a"}, {}))
    other = next(k for k in open_study(out / BANK).file.banks if k != 8)
    with module.study_lock(out):
        module.at_level(open_study(out / BANK), other, ())
    assert history(out / BANK).undo == ()
    edit(out, None, named({1: "b"}, {}))
    assert did(history(out / BANK).undo) == ["named"]
    step(out, back=True)
    assert open_study(out / BANK).k == other
    assert history(out / BANK).undo == ()
    assert did(history(out / BANK).redo) == ["named"]
