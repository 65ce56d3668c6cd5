"""Tables of names, as people save them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histofactor.base.text import csv_safe, csv_text, utf8
from histofactor.concepts.bank.edit import rename
from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.name_table import Naming, read_names
from histofactor.concepts.bank.record import new_bank
from histofactor.errors import OptionError
from histofactor.masks.unlike import NAME as UNLIKE
from histofactor.records import EncoderKey


def read(tmp_path, content):
    path = tmp_path / "names.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_names(path)


def test_an_edited_table_of_phenotypes(tmp_path):
    text = (
        "label,name,color,area_px,area_um2,fraction,mean_margin,mean_residual\n"
        "0,no tissue / unassigned,,10,2.50,,,\n"
        '1,"tumour, invasive",#e69f00,5,,0.5,0.1,0.2\n'
        "3,µ stroma,#0a0B0c,5,,0.5,0.1,0.2\n"
        "4,,,0,,0,,\n"
        "5,unlike the bank,#000000,2,,0.1,0.1,0.8\n"
    )
    assert read(tmp_path, text) == Naming({1: "tumour, invasive", 3: "µ stroma"}, {1: (230, 159, 0), 3: (10, 11, 12)})


def test_other_ways_to_save_it(tmp_path):
    assert read(tmp_path, b"\xef\xbb\xbfname;label\r\nstroma;2\r\n") == Naming({2: "stroma"})
    assert read(tmp_path, "label,name\n 2 , stroma \n\n") == Naming({2: "stroma"})
    assert read(tmp_path, "label,color\n".replace("color", "color,name") + "2,#ffffff,\n") == Naming(
        {}, {2: (255, 255, 255)}
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "lacks a column"),
        ("label,title\n1,a\n", "lacks a column"),
        ("label,name\none,a\n", "line 2"),
        (f"label,name\n{'9' * 5000},a\n", "line 2"),
        ('label,name\n1,"a\nb"\n\nx,c\n', "line 5"),
        ("label,name\n-1,a\n", "line 2"),
        ("label,name\n1,a\n1,b\n", "line 3"),
        ("label,name,color\n1,a,red\n", "#e69f00"),
        ("label,name,color\n1,a,#12345\n", "#e69f00"),
        ('label,name\n1,"a\n', "cannot read"),
        (b"label,name\n1,\xff\xfe\n", "UTF-8"),
    ],
)
def test_tables_that_make_no_sense(tmp_path, content, message):
    with pytest.raises(OptionError, match=message):
        read(tmp_path, content)


def test_no_table(tmp_path):
    with pytest.raises(OptionError, match="cannot read"):
        read_names(tmp_path / "none.csv")


FORMULAS = ["=1+1", "+a", "-b", "@c", "'quoted", "'=x", "\ttab"]
FOREIGN = [*FORMULAS, "two\nlines", "a\r\nb", "\x1b[31mred", "a\x0bb\x85c\u2028d"]


@pytest.mark.parametrize("separator", [",", ";"])
def test_names_are_read_back_as_they_were_written(tmp_path, separator):
    rows = [["label", "name", "color"], *([label, csv_safe(name), ""] for label, name in enumerate(FOREIGN, 1))]
    content = csv_text(rows, separator)
    assert all(f"{separator}{sign}" not in content for sign in "=+-@")
    assert read(tmp_path, content).names == dict(enumerate(FOREIGN, 1))


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=5))
def test_any_name_is_read_back(tmp_path_factory, names):
    names = [name.strip(" ") or "x" for name in names]
    names = ["x" if name == UNLIKE else name for name in names]
    rows = [["label", "name"], *([label, csv_safe(name)] for label, name in enumerate(names, 1))]
    assert read(tmp_path_factory.getbasetemp(), utf8(csv_text(rows))).names == dict(enumerate(names, 1))


def test_a_bank_of_foreign_names_is_named_by_its_own_table_as_before(tmp_path):
    bank = new_bank(np.eye(len(FOREIGN), dtype=np.float32), EncoderKey("uni", None, "blocks[-1]", "relu"))
    file = BankFile({len(FOREIGN): replace(bank, names=tuple(FOREIGN))})
    rows = [["label", "name"], *([label, csv_safe(name)] for label, name in enumerate(FOREIGN, 1))]
    naming = read(tmp_path, csv_text(rows))
    assert rename(file, len(FOREIGN), naming.names).banks[len(FOREIGN)].names == tuple(FOREIGN)
