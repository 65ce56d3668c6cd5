"""A study as the page sees it."""

import pytest

from histofactor.concepts.bank.file import read_bank_file
from histofactor.errors import BankError, OptionError
from histofactor.runs.edit_study import artefacts, edit, merged, named
from histofactor.runs.relabel_study import relabel_study
from histofactor.runs.study import BANK
from histofactor.viewer import study as module
from histofactor.viewer.rows import is_behind, slide_row
from histofactor.viewer.study import concepts_state, open_view


def test_a_folder_that_is_no_study_is_told(tmp_path):
    with pytest.raises(OptionError, match="holds no results"), open_view(tmp_path):
        pass
    with pytest.raises(OptionError, match="does not exist"), open_view(tmp_path / "x"):
        pass
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(BankError), open_view(tmp_path / "x.safetensors"):
        pass


def test_a_bank_that_is_newer_is_told(study):
    out, _ = study
    content = (out / BANK).read_bytes()
    newer = content.replace(b'\\"format_version\\": 3', b'\\"format_version\\": 9').replace(
        b'\\"format_version\\": 2', b'\\"format_version\\": 9'
    )
    assert newer != content
    (out / BANK).write_bytes(newer)
    with (
        pytest.raises(BankError, match=r"^\S+ is of a newer version of histofactor; got .* reads up to") as error,
        open_view(out),
    ):
        pass
    assert error.value.mend == "update histofactor"


def test_the_second_viewer_only_looks_and_says_so(study):
    out, _ = study
    with open_view(out) as first:
        assert first.why_read_only == ""
        with open_view(out) as second:
            assert "another viewer" in second.why_read_only
    with open_view(out) as third:
        assert third.why_read_only == ""
    assert not (out / ".work").exists()


def test_a_study_that_cannot_be_written_is_looked_at(study, monkeypatch):
    out, _ = study

    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.Path, "touch", full)
    with open_view(out) as view:
        assert "No space left" in view.why_read_only
        assert concepts_state(view)["k"] == 8


def test_labels_follow_their_concepts_through_merges_and_back(study):
    out, _ = study
    with open_view(out) as view:
        id_ = next(iter(view.slides))
        hash_ = view.slide(id_).sealed.bank
        assert concepts_state(view)["maps"][hash_] == list(range(8))
        assert not is_behind(view, id_)
        edit(out, None, merged([((2, 5), "both")]))
        state = concepts_state(view)
        assert state["k"] == 7
        assert state["maps"][hash_] == [0, 1, 2, 3, 1, 4, 5, 6]
        assert state["concepts"][1]["name"] == "both"
        assert state["undo"] == "merged"
        assert is_behind(view, id_)
        edit(out, None, artefacts([1]))
        assert concepts_state(view)["concepts"][0]["excluded"]
        relabel_study(out)
        assert not is_behind(view, id_)
        again = view.slide(id_)
        assert again.sealed.bank != hash_
        assert concepts_state(view)["maps"][again.sealed.bank] == list(range(7))


def test_a_name_is_behind_until_it_is_applied(study):
    out, _ = study
    with open_view(out) as view:
        edit(out, None, named({3: "stroma"}, {}))
        assert all(is_behind(view, id_) for id_ in view.slides)
        relabel_study(out)
        assert not any(is_behind(view, id_) for id_ in view.slides)


def test_concepts_of_a_bank_elsewhere_are_not_changed(study):
    out, _ = study
    (out / BANK).unlink()
    with open_view(out) as view:
        assert "belong to a bank elsewhere" in view.why_read_only
        assert concepts_state(view)["concepts"] == []
        assert slide_row(view, next(iter(view.slides)))["status"] == "done"


def test_a_bank_alone_shows_every_level(whole_study):
    bank = whole_study[0] / BANK
    with open_view(bank) as view:
        assert view.alone
        assert not view.slides
        for k in read_bank_file(bank).banks:
            assert len(concepts_state(view, k)["concepts"]) == k
        with pytest.raises(OptionError, match="no K = 5"):
            concepts_state(view, 5)


def test_concepts_of_one_name_have_one_colour_and_what_is_unnamed_has_a_hint(study):
    out, _ = study
    with open_view(out) as view:
        before = concepts_state(view)["concepts"]
        hinted = [bool(one["hint"]) for one in before]  # where something stands out
        assert any(hinted)
        edit(out, None, named({2: "both", 5: "both"}, {}))
        after = concepts_state(view)["concepts"]
        assert before[1]["color"] != before[4]["color"]
        assert after[1]["color"] == after[4]["color"]
        assert [bool(one["hint"]) for one in after] == [it and at not in {1, 4} for at, it in enumerate(hinted)]
        relabel_study(out)
        assert not any(is_behind(view, id_) for id_ in view.slides)


def test_the_folder_of_one_slide_names_the_study_above_it(study):
    out, _ = study
    with pytest.raises(OptionError, match="holds the results of one slide") as error, open_view(out / "a"):
        pass
    assert error.value.mend == f"view the study that it is of: histofactor view {out}"
