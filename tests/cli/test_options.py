"""Lists of numbers, labels with a name, and what is told of inputs."""

from pathlib import Path

import pytest

from histofactor.cli.options import labels_and_name, numbers, say, tell_groups
from histofactor.errors import OptionError


def test_numbers():
    assert numbers("8,16, 32", "-k") == [8, 16, 32]


@pytest.mark.parametrize(
    "text", ["", "8,", "0", "-4", "1.5", "eight", "8 16", "٨", "²", "9" * 5000, "0" * 5000 + "8", "8,8", "8, 08"]
)
def test_what_is_no_list(text):
    with pytest.raises(OptionError, match="-k"):
        numbers(text, "-k")


def test_messages_stay_short():
    for refuse in (lambda: numbers("9" * 5000, "-k"), lambda: labels_and_name("9" * 5000 + "=a", "NAME", "3=a")):
        with pytest.raises(OptionError, match=r"characters\)") as error:
            refuse()
        assert len(str(error.value)) < 200


def test_labels_and_name():
    assert labels_and_name("1+04 = dense = stroma ", "NAME", "1+4=a") == ((1, 4), "dense = stroma")
    for text in ("1+4", "=a", "1=", "1++2=a", "-1=a", "²=a"):
        with pytest.raises(OptionError, match="cannot be read"):
            labels_and_name(text, "NAME", "1+4=a")


def test_a_terminal_obeys_no_name(capsys):
    say("wrote a\x1b[2J\n.png")
    say("left out \u202e", err=True)
    assert capsys.readouterr() == ("wrote a\\x1b[2J\\n.png\n", "left out \\u202e\n")


def test_the_files_of_a_slide_are_told(capsys):
    groups = {Path("a.png"): (), Path("s/2.dcm"): (Path("s/1.dcm"), Path("s/3\x1b.dcm"))}
    assert tell_groups(groups) == [Path("a.png"), Path("s/2.dcm")]
    out, err = capsys.readouterr()
    assert not out
    assert err == "note: s/2.dcm is one slide with 2 more of the files named, read together: 1.dcm, 3\\x1b.dcm\n"
