"""Text of any kind survives where it goes, and means nothing there."""

import csv
import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from histofactor.base.text import (
    about,
    counted,
    csv_plain,
    csv_safe,
    csv_text,
    finalize,
    markup_text,
    natural,
    printable,
    utf8,
)

ANY = st.text(st.characters(categories=None))  # lone surrogates and control characters too


@given(ANY)
def test_everything_is_encoded_and_json_gives_it_back(text):
    written = utf8(json.dumps([text], ensure_ascii=False)).decode("utf-8")
    assert json.loads(written) == json.loads(json.dumps([text]))


def test_a_file_name_that_is_no_utf8():
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    assert utf8(name) == rb"caf\udce9.png"
    assert json.loads(utf8(json.dumps(name, ensure_ascii=False))) == name
    assert utf8("µ 基质") == "µ 基质".encode()


def test_what_a_terminal_would_obey_is_shown():
    assert printable("µ 基质 a\x1b[31m\r\n\u202e\udcff\x07") == r"µ 基质 a\x1b[31m\r\n\u202e\udcff\x07"


@given(ANY)
def test_a_terminal_obeys_nothing(text):
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)


def test_what_markup_forbids_is_shown():
    assert markup_text("a\x00b\x1b\x9b\ud800\uffff\u202e <b>\tc\n") == r"a\x00b\x1b\x9b\ud800\uffff\u202e <b>" + "\tc\n"
    assert markup_text("Dünn 基质 \U0001f9ec\u200d") == "Dünn 基质 \U0001f9ec\u200d"


@given(ANY)
def test_xml_holds_what_markup_may(text):
    element = ET.Element("Image", Name=markup_text(text))
    assert ET.fromstring(ET.tostring(element, "utf-8")).get("Name") == markup_text(text)


def test_pages_leave_markup_alone():
    assert finalize("\x00") == finalize(Path("\x00")) == r"\x00"
    assert isinstance(finalize(Markup("<b>")), Markup)
    assert finalize(1.5) == "1.5"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_formulas_are_text(start):
    assert csv_safe(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"
    assert csv_plain(f"'{start}1") == f"{start}1"


@given(ANY | st.text("'=+-@\t\ra"))
def test_fields_are_read_back(text):
    assert csv_plain(csv_safe(text)) == text
    assert not csv_safe(text).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_usual_names_and_names_of_others_are_left_alone():
    assert csv_safe("stroma") == csv_plain("stroma") == "stroma"
    assert csv_plain("'stroma'") == "'stroma'"
    assert csv_safe("") == csv_plain("") == ""


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=3)))
def test_rows_with_any_line_ends_are_read_back(rows):
    assert list(csv.reader(io.StringIO(csv_text(rows, "\t"), newline=""), delimiter="\t")) == rows


def test_rows_end_in_a_line_feed():
    assert csv_text([("a", 1), ("b,c", "")]) == 'a,1\n"b,c",\n'


@pytest.mark.parametrize(("count", "told"), [(0, "0 inputs"), (1, "1 input"), (2, "2 inputs"), (1234, "1,234 inputs")])
def test_one_is_no_plural(count, told):
    assert counted(count, "input") == told


def test_a_message_that_says_what_it_is_about_says_it_once():
    assert about("a.png", "a.png is damaged") == "a.png is damaged"
    assert about("a.png", "no tissue in a.png") == "a.png: no tissue in a.png"
    assert about("c", "cannot write out/c") == "c: cannot write out/c"


def test_digits_count_as_numbers_and_case_does_not():
    assert sorted(["S10", "s2", "a", "s2b"], key=natural) == ["a", "s2", "s2b", "S10"]
