"""``histofactor encoders``."""

import json
from pathlib import Path

from histofactor.encoders.registry import list_encoders


def test_table_names_every_encoder(histofactor):
    code, out, _ = histofactor("encoders", "list")
    assert code == 0
    for spec in list_encoders():
        assert spec.name in out


def test_json_holds_every_fact(histofactor):
    code, out, _ = histofactor("encoders", "list", "--json")
    assert code == 0
    rows = json.loads(out)
    assert [row["name"] for row in rows] == [spec.name for spec in list_encoders()]
    assert rows[3]["source"]["revision"] == list_encoders()[3].source.revision


def test_the_table_of_the_docs_is_the_one_printed(histofactor):
    code, out, _ = histofactor("encoders", "list", "--markdown")
    assert code == 0
    docs = (Path(__file__).parents[2] / "docs/encoders.md").read_text(encoding="utf-8")
    assert docs.endswith(out)


def test_check_says_what_it_found(histofactor):
    code, out, _ = histofactor("encoders", "check", "embedded", "--device", "cpu")
    assert code == 0
    for word in ("needs no hub", "128 × 128 tokens of 128", "geometry: right", "tokens/s"):
        assert word in out


def test_check_of_a_plug_in_or_a_name_that_is_not_there(histofactor):
    code, _, err = histofactor("encoders", "check", "embeded")
    assert code == 2
    assert "did you mean 'embedded'" in err
