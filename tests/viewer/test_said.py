"""What was done, in words."""

import pytest

from histofactor.runs.history import Step
from histofactor.viewer.said import said


@pytest.mark.parametrize(
    ("did", "arguments", "expected"),
    [
        ("named", ("view", "3=stroma"), "named 3 stroma"),
        ("named", ("view", "3=a=b", "5=a=b", "9=a=b"), "named 3, 5 and 9 a=b"),
        ("named", ("view", "3=#0a0b0c"), "coloured 3"),
        ("named", ("view", "3=fat", "3=#0a0b0c"), "named 3 fat, coloured 3"),
        ("merged", ("view", "1+4=tumour"), "merged 1+4 as tumour"),
        ("excluded", ("view", "2"), "marked 2 as artefact"),
        ("excluded", ("view", "2", "7"), "marked 2 and 7 as artefacts"),
        ("included", ("view", "2"), "took 2 back as tissue"),
        ("split", ("view", "2"), "split"),
        (
            "named",
            ("concepts", "name", "out", "3=stroma"),
            "named (histofactor concepts name out 3=stroma)",
        ),
        ("named", (), "named"),
    ],
)
def test_every_change_is_told_by_what_it_was_of(did, arguments, expected):
    assert said(Step(did, arguments, "0" * 64, 8)) == expected
