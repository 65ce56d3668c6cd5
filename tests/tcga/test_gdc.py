"""Queries: filters, pages, draws, and answers that are none."""

import pytest

from histofactor.errors import ImageError, OptionError
from histofactor.tcga.gdc import draw, list_slides


def test_all_slides_over_several_pages(gdc):
    found = list_slides(endpoint=gdc.endpoint, page=7)
    assert found == sorted(gdc.files, key=lambda file: (file.project, file.case, file.name))
    assert len(gdc.requests) == 3


def test_some_projects(gdc):
    assert {file.project for file in list_slides(["TCGA-B"], endpoint=gdc.endpoint)} == {"TCGA-B"}


def test_a_project_without_slides(gdc):
    with pytest.raises(ImageError, match="no such slides"):
        list_slides(["TCGA-X"], endpoint=gdc.endpoint)
    with pytest.raises(ImageError, match="open tissue slides"):
        list_slides(kind="tissue", endpoint=gdc.endpoint)


def test_a_draw_is_balanced_and_repeatable(gdc):
    chosen = draw(gdc.files, 3, seed=1)
    assert [file.project for file in chosen].count("TCGA-A") == 3
    assert len(chosen) == 6
    assert chosen == draw(gdc.files, 3, seed=1) != draw(gdc.files, 3, seed=2)
    cases = [(file.project, file.case) for file in draw(gdc.files, None, one_per_case=True)]
    assert len(cases) == len(set(cases)) == len({(file.project, file.case) for file in gdc.files})
    assert draw(gdc.files, None) == gdc.files


def test_what_cannot_be_asked(gdc):
    with pytest.raises(OptionError, match="diagnostic, tissue"):
        list_slides(kind="frozen", endpoint=gdc.endpoint)
    with pytest.raises(OptionError, match="no address"):
        list_slides(endpoint="file:///etc")


def test_answers_that_are_none(gdc, monkeypatch):
    for answer in ({"data": {}}, {"data": {"hits": [{"file_id": 1}], "pagination": {"total": 1}}}, []):
        monkeypatch.setattr(gdc, "hits", lambda query, answer=answer: answer)
        with pytest.raises(ImageError, match="did not answer"):
            list_slides(endpoint=gdc.endpoint)
    gdc.fail_every = 1
    with pytest.raises(ImageError, match="500"):
        list_slides(endpoint=gdc.endpoint)


def test_nobody_there():
    with pytest.raises(ImageError, match="cannot reach"):
        list_slides(endpoint="http://127.0.0.1:9")
