"""Lists of numbers."""

import pytest

from histofactor.cli.options import numbers
from histofactor.errors import OptionError


def test_numbers():
    assert numbers("8,16, 32", "-k") == [8, 16, 32]


@pytest.mark.parametrize("text", ["", "8,", "0", "-4", "1.5", "eight", "8 16"])
def test_what_is_no_list(text):
    with pytest.raises(OptionError, match="-k"):
        numbers(text, "-k")
