"""Tables of names, as people save them."""

import pytest

from histofactor.concepts.bank.name_table import Naming, read_names
from histofactor.errors import OptionError


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
