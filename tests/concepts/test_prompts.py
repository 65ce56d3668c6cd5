"""Prompts: the sets that ship, and CSV files of users."""

import pytest

from histofactor.concepts.bank.record import check_name
from histofactor.concepts.prompts import OTHERS, SETS, TEMPLATES, read_prompts
from histofactor.errors import OptionError


def read(tmp_path, text):
    path = tmp_path / "mine.csv"
    path.write_text(text, encoding="utf-8")
    return read_prompts(str(path))


def of_class(prompts, name):
    place = prompts.classes.index(name)
    return [text for text, owner in zip(prompts.texts, prompts.owners, strict=True) if owner == place]


@pytest.mark.parametrize("name", SETS)
def test_sets_that_ship(name):
    prompts = read_prompts(name)
    assert prompts.name == name
    assert len(prompts.classes) >= 10
    assert {"background", "artefact"} <= {*prompts.classes}
    for called in prompts.classes:
        check_name(called)
        assert len(of_class(prompts, called)) >= 2 * len(TEMPLATES)
    assert len({*prompts.texts}) == len(prompts.texts)  # no prompt is of two classes
    assert not any("{}" in text for text in prompts.texts)


def test_synonyms_go_into_every_template(tmp_path):
    prompts = read(tmp_path, "class,synonym\ntumour,carcinoma\ntumour,cancer\nfat,adipose tissue\n")
    assert prompts.name == "mine.csv"
    assert prompts.classes == ("tumour", "fat")
    assert of_class(prompts, "tumour") == [
        template.replace("{}", word) for word in ("carcinoma", "cancer") for template in TEMPLATES
    ]


def test_prompts_stay_as_they_are_and_a_class_is_its_own_synonym(tmp_path):
    text = "class;prompt;template\ntumour;sheets of dark cells;\nfat;;\n;;this is {}!\n"
    prompts = read(tmp_path, text)
    assert of_class(prompts, "tumour") == ["sheets of dark cells"]
    assert of_class(prompts, "fat") == ["this is fat!"]


def test_words_that_name_none_of_the_classes(tmp_path):
    prompts = read(tmp_path, "class,synonym\ntumour,the eye\nnormal,Retinas and a retina\nplant,a leaf\n")
    words = [word for word in OTHERS if word not in ("the retina", "a leaf", "a plant root")]
    assert prompts.others == tuple(tuple(one.replace("{}", word) for one in TEMPLATES) for word in words)
    mine = "class,template,other\na,see {},\nb,,\n" + "".join(f",,x{n}\n" for n in range(8))
    assert read(tmp_path, mine).others == tuple((f"see x{n}",) for n in range(8))
    assert read(tmp_path, mine).notes == ()
    assert read(tmp_path, mine).sha256 != read(tmp_path, mine.replace("x7", "x9")).sha256


def test_words_are_not_read_as_formats(tmp_path):
    prompts = read(tmp_path, "class,synonym,template\na,{0.__class__},\nb,%s,\n,,see {}\n")
    assert prompts.texts == ("see {0.__class__}", "see %s")


def test_prompts_are_told_apart(tmp_path):
    one = read(tmp_path, "class\na\nb\n")
    assert one.sha256 == read(tmp_path, "class\na\nb\n").sha256
    assert one.sha256 != read(tmp_path, "class\na\nc\n").sha256


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "lacks a column"),
        ("name\na\n", "lacks a column"),
        ("class\na\n", "at least two classes"),
        ("class,synonym\na,x\n,y\n", "line 3: the class is empty"),
        ("class,template\na,no place\nb,\n", "line 2: the template has no place"),
        ("class,template\na,{} and {}\nb,\n", "line 2: the template has no place"),
        ("class\nunlike the bank\nb\n", "line 2"),
        (f"class\n{'a' * 201}\nb\n", "200 characters"),
        ("class,other\na,\nb,\n,x\n,y\n,y\n", "too few words in the column other.*got 2"),
        (f"class,prompt\na,{'p' * 1001}\nb,x\n", "a cell is too long"),
        ("class,synonym\n" + "".join(f"a,{n}\nb,{n}\n" for n in range(1251)), "too many prompts"),
    ],
)
def test_files_that_make_no_sense(tmp_path, text, told):
    with pytest.raises(OptionError, match=told):
        read(tmp_path, text)


def test_a_set_that_there_is_not():
    with pytest.raises(OptionError, match="one of general, colon"):
        read_prompts("spleen")


@pytest.mark.parametrize(
    ("text", "places", "prompt"),
    [
        (
            "class,synonym\nfat,\ntumour,cancer\ncarcinoma,cancer\n",
            ("tumour' (line 3)", "carcinoma' (line 4)"),
            "cancer",
        ),
        (
            "class,synonym\nfat,\ntumour,Cancer \ncarcinoma,cancer\n",
            ("tumour' (line 3)", "carcinoma' (line 4)"),
            "ancer",
        ),
        ("class,prompt\na,x y\na,z\nb,z\nb,X  y\n", ("a' (line 3)", "b' (line 4)"), "z"),
    ],
)
def test_two_classes_with_the_same_prompts(tmp_path, text, places, prompt):
    with pytest.raises(OptionError, match="two classes have the same prompts") as error:
        read(tmp_path, text)
    assert all(place in error.value.got for place in places)
    assert prompt in error.value.got
    assert "make them one class" in error.value.mend


def test_some_prompts_of_two_classes_are_told(tmp_path):
    (told,) = read(tmp_path, "class,prompt\na,x\na,y\nb,y\nb,z\n").notes
    assert told == (
        "1 prompt of mine.csv is of several classes, which it tells less well apart: "
        "'a' (line 3) and 'b' (line 4) with 'y'"
    )
    (told,) = read(tmp_path, "class,prompt\na,x\na,y\nb,y\nb,x\nb,z\n").notes
    assert told.startswith("2 prompts of mine.csv are of several classes")
    assert "such as 'a' (line 2) and 'b' (line 5) with 'x'" in told
    assert read(tmp_path, "class,prompt\na,x\nb,y\n").notes == ()


def test_columns_that_mean_nothing_are_told(tmp_path):
    (told,) = read(tmp_path, "class,promt,, synonym\na,x,,y\nb,z,,w\n").notes
    assert told == "columns of mine.csv that are not read: promt"
    assert read(tmp_path, "class, prompt\na,x\nb, z\n").texts == ("x", "z")


def test_as_many_prompts_as_there_may_be(tmp_path):
    many = "class,prompt\n" + "".join(f"c{n},sheet {n}\n" for n in range(10_000))
    assert len(read(tmp_path, many).texts) == 10_000
    with pytest.raises(OptionError, match=r"too many prompts; expected 10,000 at most.*got 10,001"):
        read(tmp_path, f"{many}one,more\n")
