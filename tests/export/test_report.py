import base64
import dataclasses
import hashlib
import io
import re
from html.parser import HTMLParser
from importlib import resources

import numpy as np
import pytest
from PIL import Image

from histofactor.base.colors import seen_color
from histofactor.errors import OutputError
from histofactor.export.report import ReportRun, report_entry, write_page
from histofactor.export.tables import hex_color, with_shares
from histofactor.records import EncoderKey
from histofactor.slides.reader import open_slide
from histofactor.slides.warnings import NO_TISSUE, UNKNOWN_MPP, coarse

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
        if not {"style", "script"} & {*self.open}:
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


def test_the_page_loads_nothing_and_runs_its_own_script_alone(entry, run, tmp_path):
    html = written(tmp_path, entry(), run)
    page = Page(html)
    assert page.all("link") == page.all("iframe") == []
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert page.all("script") == [{}]
    assert script == (resources.files("histofactor.export") / "report.js").read_text(encoding="utf-8")
    (policy,) = (meta["content"] for meta in page.all("meta") if "content" in meta and "default-src" in meta["content"])
    directives = dict(directive.split(None, 1) for directive in policy.split("; "))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == f"'sha256-{digest}'"
    assert directives["img-src"] == "data: blob:"
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in page.all("img"))
    assert all(anchor["href"] == "../report.html" or "/" not in anchor["href"] for anchor in page.all("a"))
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_image_and_patches_can_be_decoded(entry, run, tmp_path):
    page = Page(written(tmp_path, entry(), run))
    images = [base64.b64decode(image["src"].partition(",")[2]) for image in page.all("img")]
    sizes = [Image.open(io.BytesIO(image)).size for image in images]
    assert sizes[0] == (24, 16)
    assert len(sizes) >= 1 + 3  # a patch at least for each of three phenotypes


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
    assert "no scale: µm/px unknown" in text
    assert "32 px" in text
    assert "µm²" not in text


def test_the_picture_comes_first_and_versions_last(entry, run, tmp_path):
    html = written(tmp_path, entry(), run)
    order = [html.index(part) for part in ('id="view"', "<table>", "Versions and hashes", "sha256:abcd")]
    assert order == sorted(order)
    assert html.index("<details") < html.index("sha256:abcd") < html.index("</details>")


def test_the_scale_bar_of_paper_is_as_long_as_it_says(make_segmentation, run, tmp_path):
    segmentation = make_segmentation(np.ones((100, 300), int), mpp=0.5, l0_per_px=2.0)  # 2400 px of 0.25 µm: 600 µm
    rgb = np.zeros((800, 2400, 3), np.uint8)
    html = written(tmp_path, report_entry(segmentation, open_slide(rgb), rgb), run)
    assert '<div class="fixed"><i style="width:16.67%"></i>100 µm</div>' in html
    assert float(re.search('data-um="([^"]+)"', html)[1]) == pytest.approx(600 / 1400)


def test_warnings_stand_at_the_top_and_other_notes_below(entry, run, tmp_path):
    html = written(tmp_path, named(entry, "a.svs", "seen as RGB", UNKNOWN_MPP, coarse(4.0, 1.0), NO_TISSUE), run)
    bad = html[html.index('aria-label="Warnings"') : html.index('id="view"')]
    for words in (
        "--source-mpp",
        "may be meaningless",
        "coarser than the 1 µm/px",
        "no tissue was found",
        "--tissue-mask",
    ):
        assert words in bad
    assert "seen as RGB" not in bad
    assert html.index("seen as RGB") > html.index("</table>")
    assert 'aria-label="Warnings"' not in written(tmp_path, named(entry, "a.svs", "seen as RGB"), run)


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
    rgb = np.zeros((600, 1800, 3), np.uint8)
    one = report_entry(segmentation, open_slide(rgb), rgb)
    assert Image.open(io.BytesIO(one.image)).size == one.maps.size == (1400, 467)
    assert Image.open(io.BytesIO(one.overlay)).size == (224, 75)
    assert one.maps.margin_size == (400, 133)


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


def test_the_legend_tells_labels_and_swatches_look_like_bars(entry, run, tmp_path):
    made = entry()
    rows = tuple(dataclasses.replace(row, name="Concept 3") if row.label == 2 else row for row in made.rows)
    html = written(tmp_path, dataclasses.replace(made, rows=rows), run)
    cells = re.findall(r'<tr data-label="([0-9]+)">\s*<td class="r">([0-9 +]+)</td>', html)
    assert sorted(cells) == [("1", "1"), ("2", "2"), ("3", "3")]
    assert html.count('Concept 3</span><small class="hint">label 2</small>') == 2  # in the legend and in the table
    for row in rows[1:4]:
        seen = hex_color(seen_color(row.color))
        assert f"background:{hex_color(row.color)}" not in html
        assert html.count(f"background:{seen}") == 4  # of the legend, the table, its bar, and the bar of all
