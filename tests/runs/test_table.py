"""What a table says of inputs: of those that are given, or of those that it names itself."""

from pathlib import Path

import pytest

from histofactor.errors import HistofactorError, ImageError, OptionError, ResolutionError
from histofactor.runs.source import Stated
from histofactor.runs.table import read_table


@pytest.fixture
def table(tmp_path):
    def write(text, name="t.csv", encoding="utf-8"):
        (tmp_path / name).write_text(text, encoding=encoding)
        return tmp_path / name

    return write


def test_groups_of_inputs(table, tmp_path):
    path = table("slide,age,hospital\n1,50,north\n2.png,60,south\n")
    inputs = [Path("1.png"), Path("2.png")]
    assert [one.group for one in read_table(path, inputs, "hospital").values()] == ["north", "south"]
    for column, others, told in (
        ("project", inputs, "no column 'project'"),
        ("slide", inputs, "no column 'slide' after the first"),
        ("hospital", [Path("3.png")], "hospital of 3.png"),
    ):
        with pytest.raises(OptionError, match=told):
            read_table(path, others, column)
    for wrong in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(OptionError, match="cannot read the table"):
            read_table(wrong, inputs, "hospital")
    with pytest.raises(OptionError, match="no rows"):
        read_table(table(""), inputs, "hospital")


def test_groups_that_are_nearly_the_same_are_told(table):
    notes = []
    rows = ("north", "North", "south", "NORTH ", "sou th", "", "west")
    path = table("file,group\n" + "".join(f"{place},{group}\n" for place, group in enumerate(rows)))
    inputs = [Path(f"{place}.png") for place in range(len(rows))]
    found = read_table(path, inputs, on_note=notes.append)
    assert [one.group for one in found.values()] == ["north", "North", "south", "NORTH", "sou th", None, "west"]
    told = f"groups of {path} that differ in spaces or capitals alone, and are groups of their own: "
    assert notes == [f"{told}'NORTH', 'North', 'north'", f"{told}'sou th', 'south'"]


def test_resolutions_of_inputs(table):
    path = table("file,mpp\n1,0.25\n2,\n3,coarse\n4,-1\n")
    assert [(one.mpp, one.group) for one in read_table(path, [Path("1.png"), Path("2.png")]).values()] == [
        (0.25, None), (None, None),
    ]  # fmt: skip
    for name, told in (("3.png", "line 4.*no number"), ("4.png", "line 5.*mpp of 4")):
        with pytest.raises(ResolutionError, match=told):
            read_table(path, [Path(name)])


@pytest.mark.parametrize("separator", [",", ";"])
def test_the_rows_are_the_inputs_where_none_are_given(table, tmp_path, separator):
    rows = ["mpp,path,mask,group", "0.5,s/a.png,m/a.png,north", "", f",{tmp_path}/b.svs,,south", "0.25,c.svs"]
    path = table("\n".join(rows).replace(",", separator), encoding="utf-8-sig")
    assert list(read_table(path).items()) == [
        (tmp_path / "s/a.png", Stated(0.5, "north", tmp_path / "m/a.png")),
        (tmp_path / "b.svs", Stated(None, "south")),
        (tmp_path / "c.svs", Stated(0.25)),
    ]


def test_rows_are_found_by_path_before_name(table, tmp_path):
    path = table("path,mpp\na/1.png,0.5\nb/1.png,0.25\n2,1\n")
    inputs = [tmp_path / "b/1.png", tmp_path / "a/1.png", tmp_path / "c/2.png"]
    assert [one.mpp for one in read_table(path, inputs).values()] == [0.25, 0.5, 1]
    with pytest.raises(OptionError, match=r"names 1.png more than once.*lines 2, 3"):
        read_table(table("file,mpp\n1.png,0.5\n1.png,0.25\n"), inputs[:1])


def test_every_bad_row_is_told_by_its_line(table, tmp_path):
    (tmp_path / "two").mkdir()
    for name in ("1.png", "2.png"):
        (tmp_path / "two" / name).write_bytes(b"x")
    text = 'path,mpp\n"a\nb.png",1\nc.png,coarse\n,0.5\nc.png,1\nc.png,2\ntwo,\nd.png,1e9\n'
    with pytest.raises(OptionError) as told:
        read_table(table(text))
    message = str(told.value)
    assert "5 rows of" in message
    for words in ("4: the µm/px of c.png is no number", "5: the path is empty", "7: c.png is there again",
                  "8: ", "is no single input", "9: the mpp of d.png is not plausible"):  # fmt: skip
        assert words in message
    with pytest.raises(ImageError, match=r"line 2 of .*t.csv: .*two is no single input.*2 of them"):
        read_table(table("path,mpp\ntwo,1\n"))


@pytest.mark.parametrize("text", ["file,mpp\na.png,1\n", "path\n", "file\na.png\n", ""])
def test_a_table_that_names_no_inputs(table, text):
    with pytest.raises(HistofactorError, match=r"path|rows"):
        read_table(table(text))


def test_columns_are_known_in_any_case_and_others_are_told(table, tmp_path):
    notes = []
    path = table("Path,MPP,Age,GROUP\na.png,0.5,60,north\n")
    assert list(read_table(path, on_note=notes.append).items()) == [(tmp_path / "a.png", Stated(0.5, "north"))]
    assert notes == [f"columns of {path} that are not read: Age"]
    assert [one.group for one in read_table(table("file,Group\n1,x\n"), [Path("1.png")], "Group").values()] == ["x"]


def test_inputs_without_a_row_are_told_and_left_to_themselves(table):
    notes, inputs = [], [Path("1.png"), Path("2.png"), Path("3.png")]
    path = table("file,mpp\n2,0.25\n")
    assert read_table(path, inputs, on_note=notes.append) == {Path("2.png"): Stated(0.25)}
    assert notes == [f"{path} says nothing of 2 of 3 inputs, worked as without it: 1.png, 3.png"]
    with pytest.raises(OptionError, match=r"no row for any of the inputs.*names such as 1.png.*names such as 2"):
        read_table(path, [Path("1.png")])
    with pytest.raises(OptionError, match=r"does not say the hospital of 1.png"):
        read_table(table("file,hospital\n2,x\n"), inputs, "hospital")
