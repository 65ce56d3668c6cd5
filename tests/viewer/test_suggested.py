"""What the page is told of suggested names."""

from dataclasses import replace

import pytest

from histofactor.concepts.bank.suggested import concept_keys, suggested_path, write_suggested
from histofactor.runs.study import BANK, open_study
from small_pairs import suggested


@pytest.fixture
def offered(viewer):
    file = open_study(viewer.view.out / BANK).file
    first, second = concept_keys(file.banks[8])[:2]
    write_suggested(viewer.view.out / BANK, file, {first: suggested("<b>tumour"), second: suggested("fat", "why not")})
    return viewer


def test_the_page_is_told_names_to_choose_from(offered):
    state = offered.json("/api/concepts")
    assert state["suggested_fault"] is None
    first, second, *others = (one["suggested"] for one in state["concepts"])
    assert first == {
        "told": "<b>tumour (0.40)", "shown": True,
        "unsure": False, "patches": [8, 8], "model": "exact (1)",
        "names": [["<b>tumour", 0.6], ["stroma", 0.2], ["fat", 0.2]], "prompts": "general (0123)",
    }  # fmt: skip
    assert second["unsure"]
    assert second["told"] == "fat (0.40), unsure: why not"
    assert set(others) == {None}
    assert state["concepts"][0]["name"] == "Concept 1"  # nothing is named by it


def test_suggestions_do_not_outlive_their_concept(offered):
    answer = offered.edit(do="merge", labels=[1, 3], name="both").json()
    suggestions = [one["suggested"] for one in answer["concepts"]]
    assert suggestions[0] is None
    assert suggestions[1]["told"].startswith("fat")
    answer = offered.edit(do="undo").json()
    assert [bool(one["suggested"]) for one in answer["concepts"]][:3] == [True, True, False]


def test_a_damaged_file_is_told_and_hides_nothing_else(offered):
    suggested_path(offered.view.out / BANK).write_text("{")
    state = offered.json("/api/concepts")
    assert "cannot be read" in state["suggested_fault"]["what"]
    assert [one["suggested"] for one in state["concepts"]] == [None] * 8


def test_who_has_a_name_is_offered_others_only_when_named_again(offered):
    answer = offered.edit(do="name", label=1, name="mine").json()
    first, second = (one["suggested"] for one in answer["concepts"][:2])
    assert (first["shown"], second["shown"]) == (False, True)
    assert first["names"][0] == ["<b>tumour", 0.6]


def test_a_model_in_a_folder_of_any_name(offered):
    bank = offered.view.out / BANK
    file = open_study(bank).file
    made = suggested("tumour")
    write_suggested(bank, file, {concept_keys(file.banks[8])[0]: replace(made, model="caf\udce9\n (1)")})
    assert offered.json("/api/concepts")["concepts"][0]["suggested"]["model"] == "caf\\udce9\\n (1)"
