import csv
import dataclasses

import numpy as np
import pytest

from histofactor.base.text import csv_plain
from histofactor.errors import ImageError, OutputError
from histofactor.export import tables
from histofactor.export.tables import hex_color, phenotype_table, read_phenotypes, table_fault, write_phenotypes


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_measure_agrees_with_masks_over_the_whole_map(make_segmentation):
    tokens = np.random.default_rng(1).integers(0, 4, (7, 9))
    segmentation = make_segmentation(tokens, k=4, mpp=0.5, cut_px=1)
    labels = segmentation.label_map.labels
    residual = segmentation.tokens.residual.repeat(4, 0).repeat(4, 1)[: labels.shape[0], : labels.shape[1]]
    rows = phenotype_table(segmentation)
    assert [row.label for row in rows] == [0, 1, 2, 3, 4]
    for row in rows[1:4]:
        inside = labels == row.label
        assert row.area_px == inside.sum()
        assert row.area_um2 == inside.sum() * 0.25
        assert row.fraction == pytest.approx(inside.sum() / (labels > 0).sum())
        assert row.mean_margin == pytest.approx(segmentation.margin[inside].mean(), rel=1e-5)
        assert row.mean_residual == pytest.approx(residual[inside].mean(), rel=1e-5)
    assert sum(row.fraction for row in rows[1:]) == pytest.approx(1)
    assert sum(row.area_px for row in rows) == labels.size


def test_maps_on_disk_give_the_same_bytes_and_are_read_in_bands(make_segmentation, lazily, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_BAND_PX", 2 * 4 * 36)
    segmentation = make_segmentation(np.random.default_rng(1).integers(0, 4, (7, 9)), cut_px=3)
    lazy = lazily(segmentation)
    for name, one in (("a.csv", segmentation), ("b.csv", lazy)):
        write_phenotypes(one, tmp_path / name)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    for raster in (lazy.label_map.labels, lazy.margin):
        assert raster.largest == 2 * 4 * raster.shape[1]
        assert raster.total == raster.shape[0] * raster.shape[1]


def test_label_0_comes_first_and_has_only_an_area(make_segmentation):
    first = phenotype_table(make_segmentation())[0]
    assert (first.label, first.name, first.area_px) == (0, "no tissue / unassigned", 16)
    assert (first.color, first.fraction, first.mean_margin, first.mean_residual) == (None, None, None, None)


def test_an_absent_phenotype_keeps_its_row_with_empty_means(make_segmentation, tmp_path):
    write_phenotypes(make_segmentation(k=4), tmp_path / "phenotypes.csv")
    row = read(tmp_path / "phenotypes.csv")[4]
    assert (row["label"], row["area_px"], row["fraction"]) == ("4", "0", "0.000000")
    assert row["mean_margin"] == row["mean_residual"] == ""


TYPICAL, DENSE = [0.14, 0.36, 0.1, 0.01, 0.05], [0.3, 0.45, 0.2, 0.0, 0.5]
HINTED = ["", "", "", "", "many dark nuclei, haematoxylin-rich, dense"]


def hinted(segmentation, **recipe):
    """The segmentation, made by a bank that tells how its concepts are stained."""
    bank = {"sha256": "0" * 64, "k": 4, "provenance": {"stains": [TYPICAL] * 3 + [DENSE], "counts": [9, 9, 9, 2]}}
    return dataclasses.replace(segmentation, recipe={**segmentation.recipe, "bank": bank, **recipe})


def test_hints_come_from_the_bank_and_are_kept_in_the_file(make_segmentation, tmp_path):
    segmentation = hinted(make_segmentation())
    rows = phenotype_table(segmentation)
    assert [row.hint for row in rows] == HINTED
    assert rows[4].shown_hint == ""  # it has been named
    assert dataclasses.replace(rows[4], name="Concept 4").shown_hint == HINTED[4]
    write_phenotypes(segmentation, tmp_path / "phenotypes.csv")
    assert [row["hint"] for row in read(tmp_path / "phenotypes.csv")] == HINTED
    assert [row.hint for row in read_phenotypes(tmp_path / "phenotypes.csv")] == HINTED


def test_groups_of_concepts_and_tissue_unlike_the_bank_have_no_hint(make_segmentation):
    grouped = hinted(make_segmentation(), relabel={"concepts": []})
    assert {row.hint for row in phenotype_table(grouped)} == {""}
    assert [row.hint for row in phenotype_table(hinted(make_segmentation(k=5)))] == [*HINTED, ""]


def test_a_table_of_an_earlier_version_is_read_without_hints(make_segmentation, tmp_path):
    path = tmp_path / "phenotypes.csv"
    write_phenotypes(make_segmentation(), path)
    lines = [line.rpartition(",")[0] for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    assert [row.hint for row in read_phenotypes(path)] == [""] * 5


def test_the_file_has_the_documented_header_and_one_row_a_label(make_segmentation, tmp_path):
    segmentation = make_segmentation()
    write_phenotypes(segmentation, tmp_path / "phenotypes.csv")
    lines = (tmp_path / "phenotypes.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "label,name,color,area_px,area_um2,fraction,mean_margin,mean_residual,hint,excluded"
    for line, row in zip(read(tmp_path / "phenotypes.csv"), phenotype_table(segmentation), strict=True):
        assert (int(line["label"]), line["name"], int(line["area_px"])) == (row.label, row.name, row.area_px)
        assert float(line["area_um2"]) == row.area_um2
        if row.label:
            assert line["color"] == hex_color(row.color)
    assert read(tmp_path / "phenotypes.csv")[1]["color"] == "#dd8888"


def test_unknown_mpp_leaves_the_area_in_um2_empty(make_segmentation, tmp_path):
    write_phenotypes(make_segmentation(mpp=None), tmp_path / "phenotypes.csv")
    assert {row["area_um2"] for row in read(tmp_path / "phenotypes.csv")} == {""}


def test_nothing_labelled_means_no_fractions(make_segmentation):
    rows = phenotype_table(make_segmentation([[0, 0]]))
    assert {row.fraction for row in rows} == {None}


def test_a_folder_that_cannot_be_written_is_an_output_error(make_segmentation, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        write_phenotypes(make_segmentation(), tmp_path / "out" / "phenotypes.csv")


def test_a_name_that_a_spreadsheet_would_work_out_is_text(make_segmentation, tmp_path):
    segmentation = make_segmentation(k=4)
    names = ("=cmd|' /C calc'!A0", "-2", "a\r\nb\r,", "caf\udce9\x1b")
    named = dataclasses.replace(segmentation.label_map, names=names)
    write_phenotypes(dataclasses.replace(segmentation, label_map=named), tmp_path / "phenotypes.csv")
    found = [row["name"] for row in read(tmp_path / "phenotypes.csv")]
    assert found == ["no tissue / unassigned", "'=cmd|' /C calc'!A0", "'-2", "a\r\nb\r,", "caf\\udce9\x1b"]
    assert tuple(map(csv_plain, found[1:4])) == names[:3]
    assert tuple(row.name for row in read_phenotypes(tmp_path / "phenotypes.csv")[1:4]) == names[:3]


@pytest.mark.parametrize(
    "changes", [{"color": "#0"}, {"color": "#00"}, {"label": "x"}, {"label": "9" * 5000}, {"area_px": ""}]
)
def test_a_table_that_is_damaged_is_told(make_segmentation, tmp_path, changes):
    write_phenotypes(make_segmentation(), tmp_path / "phenotypes.csv")
    row = read(tmp_path / "phenotypes.csv")[1] | changes
    (tmp_path / "phenotypes.csv").write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
    with pytest.raises(ImageError, match="cannot read"):
        read_phenotypes(tmp_path / "phenotypes.csv")


def test_artefacts_keep_their_areas_and_count_in_no_share(make_segmentation, tmp_path):
    segmentation = make_segmentation(np.random.default_rng(1).integers(0, 5, (7, 9)), k=5)
    labels = segmentation.label_map.labels
    out = dataclasses.replace(segmentation, label_map=dataclasses.replace(segmentation.label_map, excluded=(2, 4)))
    counted = np.isin(labels, (1, 3, 5)).sum()
    for row, before in zip(phenotype_table(out), phenotype_table(segmentation), strict=True):
        share = None if row.label in {0, 2, 4} else (labels == row.label).sum() / counted
        assert row == dataclasses.replace(before, fraction=share, marked=row.label in {2, 4})
        assert row.excluded == (row.label in {2, 4})
    write_phenotypes(out, tmp_path / "phenotypes.csv")
    assert [row["fraction"] == "" for row in read(tmp_path / "phenotypes.csv")] == [
        True,
        False,
        True,
        False,
        True,
        False,
    ]
    assert [row["excluded"] for row in read(tmp_path / "phenotypes.csv")] == ["", "", "yes", "", "yes", ""]
    told = [row.excluded for row in read_phenotypes(tmp_path / "phenotypes.csv")]
    assert told == [False, False, True, False, True, False]
    earlier = [line.rsplit(",", 1)[0] for line in (tmp_path / "phenotypes.csv").read_text().splitlines()]
    (tmp_path / "earlier.csv").write_text("\n".join(earlier) + "\n")  # of a version without the column
    assert [row.excluded for row in read_phenotypes(tmp_path / "earlier.csv")] == told
    nothing_else = dataclasses.replace(out.label_map, excluded=(1, 2, 3, 4))
    rows = phenotype_table(dataclasses.replace(out, label_map=nothing_else))
    assert [row.fraction for row in rows] == [None, None, None, None, None, None]


@pytest.mark.parametrize("mpp", [None, 0.2527])
def test_what_was_written_belongs_together_and_what_was_changed_does_not(make_segmentation, tmp_path, mpp):
    tokens = np.random.default_rng(1).integers(0, 4, (7, 9))
    path = tmp_path / "phenotypes.csv"
    write_phenotypes(make_segmentation(tokens, k=4, mpp=mpp, cut_px=1), path)
    rows = read_phenotypes(path)
    assert table_fault(rows, 4) == ""
    assert table_fault([dataclasses.replace(row, fraction=None, area_px=0, area_um2=0.0) for row in rows], 4) == ""
    present = sum(row.area_px > 0 for row in rows[1:])
    assert present < 4  # and an absent one may have had no share as an artefact
    assert table_fault([row if row.area_px else dataclasses.replace(row, fraction=None) for row in rows], 4) == ""
    assert table_fault(rows, 5) == "5 rows for 5 concepts and label 0"
    assert table_fault(rows[::-1], 4) == "5 rows for 4 concepts and label 0"
    more = dataclasses.replace(rows[2], area_px=rows[2].area_px + 10)
    assert f"an area of {rows[1].area_px} px" in table_fault([*rows[:2], more, *rows[3:]], 4)
    for area in (float("nan"), None if mpp else 1.0):
        other = dataclasses.replace(rows[2], area_um2=area)
        assert "µm² at label" in table_fault([*rows[:2], other, *rows[3:]], 4)
