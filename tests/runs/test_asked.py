"""What was asked for of one input of a run."""

from pathlib import Path

from histofactor.runs.asked import known_of, of_input
from histofactor.runs.source import Stated

REQUEST = {
    "encoder": "embedded",
    "opening": {"source_mpp": None, "series": None},
    "segment": {"tissue_mask": None, "views": 4},
    "known": {"ab": {"mpp": 0.5, "group": "north", "mask": "/m.png"}, "cd": {"mpp": None, "group": None, "mask": None}},
}


def test_what_a_table_said_of_an_input_goes_before_the_options():
    found = of_input(REQUEST, "ab")
    assert found["opening"] == {"source_mpp": 0.5, "series": None}
    assert found["segment"] == {"tissue_mask": "/m.png", "views": 4}
    assert "known" not in found
    assert known_of(REQUEST, "ab") == Stated(0.5, "north", Path("/m.png"))


def test_an_input_of_which_nothing_was_said_has_the_options():
    for key in ("cd", "ef"):
        assert of_input(REQUEST, key) == {name: value for name, value in REQUEST.items() if name != "known"}
    assert known_of(REQUEST, "ef") is None
    assert known_of({}, "ab") is None
