"""Lists of numbers, and what is told of inputs."""

from pathlib import Path

import pytest

from histofactor.cli.options import numbers, printable, tell_groups
from histofactor.errors import OptionError


def test_numbers():
    assert numbers("8,16, 32", "-k") == [8, 16, 32]


@pytest.mark.parametrize("text", ["", "8,", "0", "-4", "1.5", "eight", "8 16"])
def test_what_is_no_list(text):
    with pytest.raises(OptionError, match="-k"):
        numbers(text, "-k")


def test_foreign_text_is_made_harmless():
    assert printable("µ 基质 a\x1b[31m\r\n\u202e\udcff") == "µ 基质 a�[31m����"


def test_the_files_of_a_slide_are_told(capsys):
    groups = {Path("a.png"): (), Path("s/2.dcm"): (Path("s/1.dcm"), Path("s/3\x1b.dcm"))}
    assert tell_groups(groups) == [Path("a.png"), Path("s/2.dcm")]
    out, err = capsys.readouterr()
    assert not out
    assert err == "note: s/2.dcm is one slide with 2 more of the files named, read together: 1.dcm, 3�.dcm\n"
