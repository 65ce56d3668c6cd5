"""Exports are named as their concepts are, and it is told where a table or the study has other names."""

import pytest

from histofactor.export.labels import LabelLegend
from histofactor.export.seal import read_seal, write_seal
from histofactor.export.tables import PhenotypeRow, read_phenotypes
from histofactor.runs.edit_study import artefacts, edit, merged
from histofactor.runs.edit_study import named as renamed
from histofactor.runs.exported import open_mapped
from histofactor.runs.named import STUDY_CHANGED, named, names_apart
from histofactor.runs.regroup import Regrouping
from histofactor.runs.relabel import relabel
from histofactor.runs.relabel_study import relabel_study


def told_of(folder):
    """What is told of the names of one input."""
    with open_mapped(folder) as one:
        return [*names_apart(folder, one)]


def test_a_name_that_only_blanks_tell_apart_is_the_same():
    row = PhenotypeRow(1, "a\r\nb", (1, 2, 3), 4, None, 1.0, 0.5, 0.5)
    assert named([row], LabelLegend({1: "a\n b"}, {1: (1, 2, 3)})) == [row]
    (other,) = named([row], LabelLegend({1: "ab"}, {1: (1, 2, 4)}))
    assert (other.name, other.color, other.area_px) == ("ab", (1, 2, 4), 4)
    with pytest.raises(KeyError):
        named([row], LabelLegend({}, {}))


def test_what_is_up_to_date_is_not_told(study):
    assert told_of(study[0] / "a") == []
    for change in (merged([((1, 4), "both")]), renamed({2: "x  y", 3: "é <b>"}, {5: (1, 2, 3)}), artefacts((6,))):
        edit(study[0], None, change)
    assert {one.status for one in relabel_study(study[0]).outcomes} == {"done"}
    assert told_of(study[0] / "a") == []


def test_names_that_were_written_into_the_table(study):
    folder = study[0] / "a"
    table = folder / "phenotypes.csv"
    color = "#{:02x}{:02x}{:02x}".format(*read_phenotypes(table)[3].color)
    text = table.read_text(encoding="utf-8").replace("\n2,Concept 2,", "\n2,stroma,").replace(color, "#010203")
    table.write_text(text, encoding="utf-8")
    with open_mapped(folder) as one:
        assert [row.name for row in one.rows[1:]] == [f"Concept {label}" for label in range(1, 9)]
        assert one.label_map.names == tuple(row.name for row in one.rows[1:])
        assert one.rows[3].color == one.label_map.colors[2] != (1, 2, 3)
    first, second = told_of(folder)
    assert "label 2 is 'stroma' " in first
    assert "'Concept 2' " in first
    assert "(#010203) in phenotypes.csv" in second
    assert color in second


@pytest.mark.parametrize(
    "change",
    [renamed({2: "stroma"}, {}), renamed({}, {2: (1, 2, 3)}), artefacts((2,)), merged([((1, 3), "both")])],
    ids=["name", "color", "artefact", "merge"],
)
def test_a_study_that_was_changed_since(study, change):
    out, _ = study
    edit(out, None, change)
    assert told_of(out / "a") == [STUDY_CHANGED]


def test_what_was_derived_elsewhere_is_of_no_study(study):
    out, _ = study
    relabel(out / "a", out / "new", Regrouping([((1, 3), "both")]))
    edit(out, None, renamed({2: "stroma"}, {}))
    assert told_of(out / "new") == []


def test_concepts_of_another_bank_are_not_those_of_the_study(study):
    out, _ = study
    edit(out, None, merged([((1, 3), "both")]))
    seal = read_seal(out / "a")
    write_seal(seal | {"bank": seal["bank"] | {"sha256": "0" * 64}}, out / "a")
    assert told_of(out / "a") == []
    assert told_of(out / "b") == [STUDY_CHANGED]


def test_a_bank_that_cannot_be_read_is_told(study):
    out, _ = study
    (out / "concepts.safetensors").write_bytes(b"none")
    (told,) = told_of(out / "a")
    assert "not known" in told
    assert "concepts.safetensors" in told


def test_relabelling_elsewhere_takes_the_names_of_the_concepts(study, tmp_path):
    out, _ = study
    edit(out, None, merged([((1, 3), "both")]))
    relabel_study(out)
    table = out / "a/phenotypes.csv"
    names = [row.name for row in read_phenotypes(table)]
    table.write_text(table.read_text(encoding="utf-8").replace("both", "mine"), encoding="utf-8")
    relabel(out / "a", tmp_path / "new", Regrouping([], {2: "other"}))
    assert [row.name for row in read_phenotypes(tmp_path / "new/phenotypes.csv")] == [*names[:2], "other", *names[3:]]
