"""``histofactor encoders list``."""

import json

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
