"""Lists of numbers."""

import pytest

from histofactor.cli.options import numbers, printable
from histofactor.errors import OptionError


def test_numbers():
    assert numbers("8,16, 32", "-k") == [8, 16, 32]


@pytest.mark.parametrize("text", ["", "8,", "0", "-4", "1.5", "eight", "8 16"])
def test_what_is_no_list(text):
    with pytest.raises(OptionError, match="-k"):
        numbers(text, "-k")


def test_foreign_text_is_made_harmless():
    assert printable("µ 基质 a\x1b[31m\r\n\u202e\udcff") == "µ 基质 a�[31m����"
