"""CSV files as users write them."""

import pytest

from histofactor.concepts.bank.csv_rows import read_rows
from histofactor.errors import OptionError


def read(tmp_path, content, needed=("a",)):
    (tmp_path / "t.csv").write_bytes(content)
    return read_rows(tmp_path / "t.csv", needed, "a, and if you like b")


def test_rows_with_their_lines(tmp_path):
    assert read(tmp_path, b'a,b\n1,2\n\n"x\ny",z\n') == [(2, {"a": "1", "b": "2"}), (5, {"a": "x\ny", "b": "z"})]
    assert read(tmp_path, b"\xef\xbb\xbfb;a\r\n1\r\n") == [(2, {"b": "1", "a": ""})]
    assert read(tmp_path, b"a\n") == []
    assert read(tmp_path, b"a, b\n1,2,, \n") == [(2, {"a": "1", "b": "2"})]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe", "cannot read"),
        (b'a\n"x', "cannot read"),
        (b"b\n1\n", "lacks a column"),
        (b"a,b,b\n1,2,3\n", "has a column twice; expected every column once; got b"),
        (b"a,b\n1,2\n1,dark, crowded\n", "line 3: there are more cells than columns; .*got ' crowded' after them"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, content, told):
    with pytest.raises(OptionError, match=told):
        read(tmp_path, content)
