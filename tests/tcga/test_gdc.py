"""Queries: filters, pages, draws, and answers that are none."""

import json
import time
import tracemalloc

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
    for endpoint in ("http://", "http://[", "http://a:b", "ftp://a", "https://:80"):
        with pytest.raises(OptionError, match="no address"):
            list_slides(endpoint=endpoint)


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


def answer(total="1", **changes):
    """An answer with one file, as bytes."""
    hit = {"file_id": "a", "file_name": "a.svs", "file_size": 7, "md5sum": "0" * 32}
    hit |= {"cases": [{"submitter_id": "case", "project": {"project_id": "TCGA-A"}}]}
    text = json.dumps({"data": {"hits": [hit | changes], "pagination": {"total": "TOTAL"}}})
    return text.replace('"TOTAL"', total).encode()


@pytest.mark.parametrize("total", ["1e999", "9" * 5000, str(10**12), "-1", "1.5", "true", '"12"', "NaN", "null"])
def test_totals_that_are_absurd(gdc, total):
    gdc.raw = answer(total)
    with pytest.raises(ImageError, match="did not answer as the Genomic Data Commons"):
        list_slides(endpoint=gdc.endpoint)
    assert len(gdc.requests) == 1


def test_pages_that_are_repeated(gdc):
    gdc.raw = answer("1000000")
    with pytest.raises(ImageError, match="the same file twice"):
        list_slides(endpoint=gdc.endpoint)
    assert len(gdc.requests) == 2


def test_pages_that_never_end(gdc, monkeypatch):
    monkeypatch.setattr("histofactor.tcga.gdc._MAX_PAGES", 30)
    hits = json.loads(answer())["data"]["hits"][0]
    monkeypatch.setattr(
        gdc,
        "hits",
        lambda query: {
            "data": {"hits": [hits | {"file_id": f"a-{query['from']}"}], "pagination": {"total": 10**6}},
        },
    )
    with pytest.raises(ImageError, match=r"30 of 1,000,000 files in 30 answers"):
        list_slides(endpoint=gdc.endpoint)


def test_a_list_that_ends_early_is_not_taken_for_all(gdc, monkeypatch):
    whole = gdc.hits
    monkeypatch.setattr(
        gdc, "hits", lambda query: whole(query) | {"data": {**whole(query)["data"], "pagination": {"total": 99}}}
    )
    with pytest.raises(ImageError, match="20 of 99 files"):
        list_slides(endpoint=gdc.endpoint)


@pytest.mark.parametrize(
    "content",
    [b"[" * 2**20, b'{"a":' * 2**20, b"[" + b"{}," * 2**21 + b"{}]", b" " * 2**25, b"\xff\xfe", b"", b"null"],
    ids=["deep lists", "deep objects", "many objects", "many blanks", "no text", "nothing", "null"],
)
def test_answers_that_are_bombs(gdc, content):
    gdc.raw = content
    tracemalloc.start()
    start = time.monotonic()
    try:
        with pytest.raises(ImageError, match="did not answer as the Genomic Data Commons"):
            list_slides(endpoint=gdc.endpoint)
        assert tracemalloc.get_traced_memory()[1] < 500e6
        assert time.monotonic() - start < 20  # without tracing 2
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "changes",
    [
        {"file_name": "../a.svs"},
        {"file_name": "a\x1b[31m.svs"},
        {"file_name": "<b>.svs"},
        {"file_name": "a\ud800.svs"},
        {"file_name": "a\n.svs"},
        {"file_name": "a" * 201},
        {"file_name": "a.svs.part"},
        {"file_name": {"a": 1}},
        {"file_id": "../data"},
        {"file_id": 7},
        {"md5sum": None},
        {"file_size": 1.5},
        {"file_size": 10**15},
        {"file_size": 0},
        {"file_size": True},
        {"file_size": float("inf")},
        {"cases": []},
        {"cases": {}},
        {"cases": [{"submitter_id": 1, "project": {"project_id": "A"}}]},
    ],
)
def test_files_that_could_not_be_fetched_are_not_listed(gdc, changes):
    gdc.raw = answer(**changes)
    with pytest.raises(ImageError, match="did not answer as the Genomic Data Commons") as error:
        list_slides(endpoint=gdc.endpoint)
    assert len(str(error.value)) < 500
