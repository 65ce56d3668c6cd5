"""All inputs of a folder: one table that stacks, one page that links."""

import base64
import csv
import hashlib
import re
import sys
from dataclasses import replace

import pytest
from pyarrow import parquet

from histofactor.base.text import csv_plain
from histofactor.errors import OutputError
from histofactor.export.cohort import COLUMNS, SlideRow, write_cohort, write_study
from histofactor.export.report import ReportRun
from histofactor.export.tables import PhenotypeRow, with_shares
from histofactor.records import EncoderKey

RUN = ReportRun("1", EncoderKey("tiny", None, "conv", "relu"), "embedded", "ab", 2, "project", 1.0, "segment <x>")
ROWS = (
    PhenotypeRow(0, "no tissue", None, 5, 5.0, None, None, None),
    PhenotypeRow(1, "tumour, solid", (200, 0, 0), 3_000_000, 3e6, 0.75, 0.5, 0.25),
    PhenotypeRow(2, "stroma", (0, 200, 0), 1_000_000, None, 0.25, None, None),
)


def test_a_line_for_every_slide_and_phenotype(tmp_path):
    slides = [SlideRow("a.svs", "done", "a", 1.0, "", ROWS), SlideRow("b.svs", "failed", "", 0.1, "why", ())]
    write_cohort(slides, tmp_path / "phenotypes.csv")
    with (tmp_path / "phenotypes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["label"] for row in rows] == ["1", "2"]
    assert rows[0]["name"] == "tumour, solid"
    assert (float(rows[0]["area_mm2"]), float(rows[0]["share"])) == (3.0, 0.75)
    assert rows[1]["area_mm2"] == rows[1]["mean_margin"] == ""


@pytest.mark.parametrize("status", ["failed", "waiting", "damaged"])
def test_what_is_not_done_is_said(tmp_path, status):
    write_study([SlideRow("b<i>.svs", status, "b", 0.1, "it is <cut>", ROWS)], [RUN], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert status in page
    assert "it is &lt;cut&gt;" in page
    assert "b&lt;i&gt;.svs" in page
    assert ("b/report.html" in page) == (status == "damaged")


def test_the_largest_are_named_and_pages_linked(tmp_path):
    write_study([SlideRow("a.svs", "done", "a b", 61.0, "", ROWS)], [RUN], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "tumour, solid: 75 % · stroma: 25 %" in page
    assert 'href="a%20b/report.html"' in page
    assert "1 min 1 s" in page
    assert "segment &lt;x&gt;" in page


def test_names_that_mean_something_to_spreadsheets_and_browsers(tmp_path):
    rows = (PhenotypeRow(1, "=1+1", (200, 0, 0), 9, None, 1.0, None, None),)
    slides = [SlideRow("caf\udce9\x1b.svs", "done", "=a", 1.0, "", rows)]
    write_cohort(slides, tmp_path / "phenotypes.csv")
    with (tmp_path / "phenotypes.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["slide"], row["name"]) == ("'=a", "'=1+1")
    write_study(slides, [RUN], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert r"caf\udce9\x1b.svs" in page
    assert "\x1b" not in page


def test_artefacts_have_an_area_and_no_share(tmp_path):
    rows = with_shares(ROWS, [1])
    slides = [SlideRow("a.svs", "done", "a", 1.0, "", tuple(rows))]
    write_cohort(slides, tmp_path / "phenotypes.csv")
    with (tmp_path / "phenotypes.csv").open(newline="") as file:
        assert [(row["area_mm2"], row["share"]) for row in csv.DictReader(file)] == [
            ("3.000000", ""), ("", "1.000000"),
        ]  # fmt: skip
    write_study(slides, [RUN], tmp_path / "report.html")
    assert "stroma: 100 %" in (tmp_path / "report.html").read_text()
    assert "tumour" not in (tmp_path / "report.html").read_text()


def test_the_concepts_of_a_study_are_linked(tmp_path):
    rows = [SlideRow("a.svs", "done", "a", 1.0, "", ROWS)]
    write_study(rows, [RUN], tmp_path / "report.html")
    assert "concepts.html" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    (tmp_path / "concepts.html").write_text("page")
    write_study(rows, [RUN], tmp_path / "report.html")
    assert '<a href="concepts.html">' in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_warnings_and_other_concepts_are_told_in_the_row_and_at_the_top(tmp_path):
    slides = [
        SlideRow("a.svs", "done", "a", 1.0, "", ROWS),
        SlideRow("b.svs", "done", "b", 1.0, "", ROWS, "with other concepts than the newest run, K = 4"),
        SlideRow("c.svs", "done", "c", 1.0, "", (), "", ("no tissue <found>: do this",)),
    ]
    write_study(slides, [RUN], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    top = page[page.index('aria-label="Warnings"') : page.index("<table>")]
    assert "1 of 3 inputs have other concepts" in top
    assert "1 of 3 inputs have warnings" in top
    assert "K = 4</i>" in page
    assert '<i title="no tissue &lt;found&gt;: do this">no tissue &lt;found&gt;</i>' in page
    write_study(slides[:1], [RUN], tmp_path / "report.html")
    assert 'aria-label="Warnings"' not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_page_runs_its_own_script_alone(tmp_path):
    write_study([SlideRow("<script>x</script>.svs", "done", "a", 1.0, "", ROWS)], [RUN], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    (script,) = re.findall("<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert "default-src 'none'" in page


def test_labels_of_one_name_are_one_phenotype_and_both_tables_agree(tmp_path):
    rows = with_shares(
        [
            ROWS[0],
            PhenotypeRow(1, "=stroma", (1, 1, 1), 100, 1e6, None, 0.5, 0.25),
            PhenotypeRow(2, "caf\udce9", (2, 2, 2), 500, None, None, None, 0.5),
            PhenotypeRow(3, "=stroma", (3, 3, 3), 300, 3e6, None, 0.9, None),
            PhenotypeRow(4, "pen", (4, 4, 4), 50, 5e5, None, 0.1, 0.1),
            PhenotypeRow(5, "pen", (5, 5, 5), 100, 1e6, None, 0.4, 0.7),
            PhenotypeRow(6, "gone", (6, 6, 6), 0, 0.0, None, None, None),
        ],
        [4],
    )
    slides = [
        SlideRow("a.svs", "done", "a", 1.0, "", tuple(rows), k=6),
        SlideRow("b.svs", "waiting", "", 0.0, "", ()),
        SlideRow("c.svs", "done", "c", 1.0, "", ROWS, k=2),
    ]
    write_cohort(slides, tmp_path / "phenotypes.csv")
    with (tmp_path / "phenotypes.csv").open(newline="", encoding="utf-8") as file:
        told = list(csv.DictReader(file))
    table = parquet.read_table(tmp_path / "phenotypes.parquet")
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds == {
        "slide": "string", "k": "int32", "label": "string", "name": "string",
        "area_mm2": "double", "share": "double", "mean_margin": "double", "mean_residual": "double",
        "excluded": "string",
    }  # fmt: skip
    typed = table.to_pylist()
    assert [(one["slide"], one["k"], one["label"], one["name"]) for one in typed] == [
        ("a", 6, "1+3", "=stroma"),
        ("a", 6, "2", r"caf\udce9"),
        ("a", 6, "4", "pen"),  # an artefact, and tissue of the same name
        ("a", 6, "5", "pen"),
        ("a", 6, "6", "gone"),
        ("c", 2, "1", "tumour, solid"),
        ("c", 2, "2", "stroma"),
    ]
    stroma = typed[0]
    assert (stroma["area_mm2"], stroma["share"]) == (4.0, pytest.approx(0.4))
    assert stroma["mean_margin"] == pytest.approx((100 * 0.5 + 300 * 0.9) / 400)
    assert stroma["mean_residual"] == 0.25
    assert (typed[1]["area_mm2"], typed[2]["share"], typed[4]["mean_margin"]) == (None, None, None)
    assert len(told) == len(typed)
    for text, line in zip(told, typed, strict=True):
        assert (text["slide"], text["k"], text["label"]) == (line["slide"], str(line["k"]), line["label"])
        assert csv_plain(text["name"]) == line["name"]
        for name in ("area_mm2", "share", "mean_margin", "mean_residual"):
            assert text[name] == ("" if line[name] is None else f"{line[name]:.6f}")
        assert text["excluded"] == (line["excluded"] or "") == ("yes" if line["label"] == "4" else "")


def test_a_parquet_file_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    slides = [SlideRow("a.svs", "done", "a", 1.0, "", ROWS, k=2)]
    write_cohort(slides, tmp_path / "phenotypes.csv")
    before = (tmp_path / "phenotypes.parquet").read_bytes()

    def full(table, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parquet, "write_table", full)
    with pytest.raises(OutputError, match="No space left"):
        write_cohort(slides, tmp_path / "phenotypes.csv")
    assert (tmp_path / "phenotypes.parquet").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"phenotypes.csv", "phenotypes.parquet"}


def test_without_pyarrow_there_is_the_table_alone_and_no_file_of_before(tmp_path, monkeypatch):
    slides = [SlideRow("a.svs", "done", "a", 1.0, "", ROWS, k=2)]
    table, typed = tmp_path / "phenotypes.csv", tmp_path / "phenotypes.parquet"
    assert write_cohort(slides, table) == [table, typed]
    before = table.read_bytes()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert write_cohort(slides, table) == [table]
    assert table.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["phenotypes.csv"]


def test_the_largest_add_up_by_name(tmp_path):
    rows = [replace(row, name="stroma") for row in ROWS]
    write_study([SlideRow("a.svs", "done", "a", 1.0, "", (*ROWS[:1], *rows[1:]), k=2)], [RUN], tmp_path / "report.html")
    assert "stroma: 100 %" in (tmp_path / "report.html").read_text()


def test_all_runs_are_told_and_what_failed_has_no_time(tmp_path):
    runs = [replace(RUN, k=5, started="2024-01-01 10:00", command="segment first"), RUN]
    slides = [SlideRow("a.svs", "done", "a", 61.0, "", ROWS), SlideRow("b.svs", "failed", "", 0.04, "why", ())]
    write_study(slides, runs, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "All 2 runs, the newest first" in page
    assert page.index("segment &lt;x&gt;") < page.index("segment first")
    assert "2024-01-01 10:00" in page
    assert "1 min 1 s" in page
    assert "0.0 s" not in page
    write_study(slides, runs[1:], tmp_path / "report.html")
    assert "runs, the newest first" not in (tmp_path / "report.html").read_text()


def test_a_label_is_told_where_the_name_has_another_number(tmp_path):
    rows = (PhenotypeRow(5, "Concept 6", (9, 9, 9), 9, None, 0.6, None, None),
            PhenotypeRow(7, "Concept 7", (9, 9, 8), 6, None, 0.4, None, None))  # fmt: skip
    write_study([SlideRow("a.svs", "done", "a", 1.0, "", rows)], [RUN], tmp_path / "report.html")
    assert "Concept 6 (label 5): 60 % · Concept 7: 40 %" in (tmp_path / "report.html").read_text()
