import base64
import dataclasses
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from histofactor.errors import OutputError
from histofactor.export.report import ReportRun, report_entry, write_page
from histofactor.export.tables import with_shares
from histofactor.records import EncoderKey
from histofactor.slides.reader import open_slide

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """What a browser would see: balanced tags, their attributes, the text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def run():
    key = EncoderKey("embedded", "rev-1", "code", "relu")
    return ReportRun("0.1.0", key, "built-in", "sha256:abcd", 4, "project", 0.5)


@pytest.fixture
def entry(make_segmentation):
    def make(**changes):
        segmentation = make_segmentation([[1, 1, 2], [0, 3, 2]], **changes)
        width, height = segmentation.slide.size
        rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        return report_entry(segmentation, open_slide(rgb), rgb)

    return make


def written(tmp_path, entry, run):
    write_page(entry, run, tmp_path / "out" / "report.html")
    return (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_the_page_loads_nothing_and_runs_nothing(entry, run, tmp_path):
    page = Page(written(tmp_path, entry(), run))
    assert page.all("script") == page.all("link") == page.all("iframe") == []
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in page.all("img"))
    assert all(anchor["href"] == "../report.html" or "/" not in anchor["href"] for anchor in page.all("a"))
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert any("default-src 'none'" in meta.get("content", "") for meta in page.all("meta"))


def test_images_overlay_and_patches_can_be_decoded(entry, run, tmp_path):
    page = Page(written(tmp_path, entry(), run))
    images = [base64.b64decode(image["src"].partition(",")[2]) for image in page.all("img")]
    sizes = [Image.open(io.BytesIO(image)).size for image in images]
    assert sizes[:2] == [(24, 16), (24, 16)]
    assert len(sizes) >= 2 + 3  # a patch at least for each of three phenotypes


def test_the_page_says_what_ran_with_what(entry, run, tmp_path):
    text = Page(written(tmp_path, entry(), run)).text
    for fact in ("embedded", "rev-1", "code, relu", "built-in, K = 4", "sha256:abcd", "0.5 µm/px", "project",
                 "histofactor 0.1.0"):  # fmt: skip
        assert fact in text


def test_phenotypes_come_largest_first_with_area_share_margin_and_residual(entry, run, tmp_path):
    one = entry()
    text = " ".join(Page(written(tmp_path, one, run)).text.split())
    table = text[text.index("Typical patches") :]
    places = [table.index(name) for name in ("Phenotype 1", "Phenotype 2", "Phenotype 3")]
    assert places == sorted(places)
    assert "Phenotype 4" not in table
    assert "1 of 4 concepts absent here" in table
    row = one.rows[1]
    assert f"Phenotype 1 40.0 % 8 µm² {row.mean_margin:.2f} {row.mean_residual:.2f}" in table


def test_unknown_mpp_gives_areas_in_px(entry, run, tmp_path):
    text = Page(written(tmp_path, entry(mpp=None), run)).text
    assert "µm/px unknown" in text
    assert "32 px" in text
    assert "µm²" not in text


def named(entry, name, *notes):
    """An entry of another name, with other notes."""
    found = entry()
    return dataclasses.replace(found, name=name, slide=dataclasses.replace(found.slide, notes=notes))


def test_names_and_notes_are_escaped(entry, run, tmp_path):
    name = '<img src=x onerror="alert(1)">&.svs'
    html = written(tmp_path, named(entry, name, "<i>note</i>"), run)
    page = Page(html)
    assert name in page.text
    assert "<i>note</i>" in page.text
    assert 'onerror="' not in html


def test_names_that_are_not_unicode_do_not_break_the_page(entry, run, tmp_path):
    html = written(tmp_path, named(entry, "\udcff.svs"), run)
    assert r"\udcff.svs" in html  # a reference to a surrogate, &#56575;, is no HTML
    assert "&#56575;" not in html


def test_characters_that_html_forbids_are_shown(entry, run, tmp_path):
    run = dataclasses.replace(run, concepts="segment \x7f")
    html = written(tmp_path, named(entry, "a\x00\x1b[31m\u202e.svs", "b\x9b\uffff", "c\x08"), run)
    for shown in (r"a\x00\x1b[31m\u202e.svs", r"b\x9b\uffff", r"c\x08", r"segment \x7f"):
        assert shown in html
    assert not re.search("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|\u202e", html)


def test_no_tissue_is_said(entry, make_segmentation, run, tmp_path):
    segmentation = make_segmentation([[0, 0], [0, 0]])
    rgb = np.full((16, 16, 3), 255, np.uint8)
    text = Page(written(tmp_path, report_entry(segmentation, open_slide(rgb), rgb), run)).text
    assert "No tissue was found" in text


def test_equal_entries_give_equal_bytes(entry, run, tmp_path):
    assert written(tmp_path, entry(), run) == written(tmp_path, entry(), run)


def test_large_images_are_shrunk(make_segmentation):
    segmentation = make_segmentation(np.ones((10, 30), int), l0_per_px=10.0)
    rgb = np.zeros((400, 1200, 3), np.uint8)
    one = report_entry(segmentation, open_slide(rgb), rgb)
    assert Image.open(io.BytesIO(one.image)).size == Image.open(io.BytesIO(one.overlay)).size == (1000, 333)


def test_a_folder_that_cannot_be_written_is_an_output_error(entry, run, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        write_page(entry(), run, tmp_path / "out" / "report.html")


def test_artefacts_are_marked_and_have_no_share(entry, run, tmp_path):
    one = entry()
    one = dataclasses.replace(one, rows=tuple(with_shares(one.rows, [1])))
    page = written(tmp_path, one, run)
    table = " ".join(Page(page).text.split())
    row = one.rows[1]
    assert f"Phenotype 1 excluded 8 µm² {row.mean_margin:.2f}" in table
    assert page.count(f'title="{row.name} ·') == 0
    assert page.count(f'title="{one.rows[2].name} ·') == 1
