"""A preview comes back as it was; a broken one is no preview."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from histofactor.base.names import PREVIEW
from histofactor.export.picture import Maps
from histofactor.export.previews import read_preview, write_preview
from histofactor.export.report import ReportEntry, report_entry
from histofactor.records import SlideInfo
from histofactor.slides.reader import open_slide


def test_round_trip(make_segmentation, tmp_path):
    segmentation = make_segmentation()
    width, height = segmentation.slide.size
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    entry = report_entry(segmentation, open_slide(rgb), rgb)
    write_preview(entry, tmp_path)
    assert read_preview(tmp_path) == entry
    assert entry.patches


def test_file_names_that_are_no_unicode_come_back(make_segmentation, tmp_path):
    segmentation = make_segmentation()
    path = tmp_path / os.fsdecode(b"caf\xe9 \xc2\xb5.png")
    segmentation = replace(segmentation, slide=replace(segmentation.slide, path=path))
    width, height = segmentation.slide.size
    rgb = np.zeros((height, width, 3), np.uint8)
    write_preview(report_entry(segmentation, open_slide(rgb), rgb), tmp_path)
    found = read_preview(tmp_path)
    assert found is not None
    assert found.slide.path == path


def test_what_cannot_be_read_is_no_preview(tmp_path):
    assert read_preview(tmp_path) is None
    for text in ("", "{", "[]", '{"slide": null}', '{"slide": {"path": null}}'):
        (tmp_path / PREVIEW).write_text(text)
        assert read_preview(tmp_path) is None


def test_any_name_survives_in_valid_utf8(tmp_path):
    slide = SlideInfo(Path("caf\udce9.svs"), (9, 9), None, (1.0,), "test", ("\x1b µ",))
    entry = ReportEntry("caf\udce9.svs", slide, None, (), b"", b"", Maps((1, 1), b"\x00", (1, 1), b""), {})
    write_preview(entry, tmp_path)
    (tmp_path / PREVIEW).read_bytes().decode("utf-8")
    assert read_preview(tmp_path) == entry


def test_a_preview_that_is_a_bomb_is_none(tmp_path):
    (tmp_path / PREVIEW).write_text("[" * 100_000)
    assert read_preview(tmp_path) is None
