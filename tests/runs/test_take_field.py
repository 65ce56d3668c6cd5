"""A study takes a field of its inputs as it learns, and its page shows it whatever becomes of the concepts."""

import re

import pytest
from PIL import Image

from histofactor.errors import ImageError
from histofactor.runs import take_field as module
from histofactor.runs.field import field_of, load_field
from histofactor.runs.outcome import Observer, Reporter
from histofactor.runs.segment_many import ManyOptions, segment_many
from histofactor.runs.source import Opening
from histofactor.runs.study import BANK, open_study, page_of, write_page
from histofactor.segmentation.setup import SegmentOptions
from histofactor.slides.phantom import phantom


@pytest.fixture
def images(tmp_path):
    for seed in range(2):
        Image.fromarray(phantom((400, 380), seed=seed, mpp=1.0).image).save(tmp_path / f"{seed}.png")
    return [tmp_path / f"{seed}.png" for seed in range(2)]


@pytest.fixture
def begin(images, tiny_encoder, tmp_path):
    def run(told=None):
        many = ManyOptions(
            opening=Opening(source_mpp=1.0),
            segment=SegmentOptions(views=1),
            observer=Observer(Reporter(on_note=([] if told is None else told).append)),
        )
        segment_many(images, tmp_path / "out", encoder=tiny_encoder, options=many)
        return tmp_path / "out"

    return run


def test_the_page_of_a_study_shows_it_at_every_k(begin, tiny_encoder):
    out = begin()
    page = page_of(out / BANK).read_text()
    shown = re.findall(r'alt="the field at K = (\d+)"', page)
    assert shown[:2] == ["4", "8"]
    assert len(re.findall(r"pieces/mm²", page)) == len(shown)
    assert "may lie in small pieces" in page
    study = open_study(out / BANK)
    rows = {row["k"]: row["small"] for row in study.file.card["choice"]["rows"]}
    assert [f"{100 * rows[int(k)]:.1f} % in pieces" in page for k in shown] == [True] * len(shown)
    assert study.file.card["choice"]["recommended"] == study.k
    field = load_field(field_of(out / BANK), tiny_encoder.spec.key)
    assert field.rgb.shape == (380, 400, 3)


def test_a_page_without_a_field(begin):
    out = begin()
    field_of(out / BANK).unlink()
    write_page(open_study(out / BANK), [])
    assert "The same field at every K" not in page_of(out / BANK).read_text()


def test_a_field_that_cannot_be_read_any_more_is_told(begin, monkeypatch):
    def gone(*given):
        raise ImageError("the slide is gone")

    monkeypatch.setattr(module, "encode_field", gone)
    told = []
    out = begin(told)
    assert "no field is shown at every K: the slide is gone" in told
    assert not field_of(out / BANK).exists()
    assert open_study(out / BANK).k > 1
