"""Two hospitals whose fields differ: what ``train`` and ``segment`` say, what shows it, and what can be left out."""

import numpy as np
import pytest
from PIL import Image

from histofactor.concepts.bank.file import load_banks, read_bank_file, save_bank
from histofactor.concepts.bank.following import FOLLOWING, following_of, stated
from histofactor.concepts.learn.following import follow_groups
from histofactor.slides.phantom import phantom
from small_banks import bank

NORTH, SOUTH = range(4), range(4, 8)


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory):
    """A table of eight fields; those of the south are noise, stained."""
    folder = tmp_path_factory.mktemp("hospitals")
    rows = ["path,mpp,group"]
    for number in (*NORTH, *SOUTH):
        image = phantom((128, 128), seed=number, mpp=1.0).image
        if number in SOUTH:
            stained = np.random.default_rng(number).integers((100, 20, 100), (220, 140, 220), (64, 64, 3))
            image = stained.repeat(2, 0).repeat(2, 1).astype(np.uint8)
        Image.fromarray(image).save(folder / f"{number}.png")
        rows.append(f"{number}.png,1,{'south' if number in SOUTH else 'north'}")
    (folder / "t.csv").write_text("\n".join(rows) + "\n")
    return folder / "t.csv"


def one_line(text):
    return " ".join(text.split())


def test_what_train_says_and_what_comes_of_it(histofactor, hospitals, tmp_path):
    path = tmp_path / "b.safetensors"
    how = ("--table", hospitals, "--fast", "--windows", 1)
    code, out, err = histofactor("concepts", "train", *how, "-k", "2,8", "--centring", 0, "-o", path)
    assert code == 0
    found = following_of(load_banks(path)[2])
    assert found.ari > 0.9
    assert "warning: K = " in err
    assert "the concepts are the groups" in err
    assert "with each group's mean taken from its tokens" in err
    assert read_bank_file(path).card["options"]["balance"] == "group"
    page = (tmp_path / "b.html").read_text()
    assert "Do concepts follow the groups of slides?" in page
    assert "follows south, excess 1.00" in page
    code, out, _ = histofactor("concepts", "show", path, "-k", 2)
    assert "the concepts are the groups: 2 concepts, 100% of the tissue" in one_line(out)
    assert "follows north" in one_line(out)
    code, _, err = histofactor("concepts", "exclude", path, "--one-group", "-k", 2)
    assert code == 2
    assert "nothing would be left" in err
    assert histofactor("concepts", "train", *how, "-k", 2, "--balance", "slide", "-o", path)[0] == 0
    assert read_bank_file(path).card["options"]["balance"] == "slide"


def test_concepts_of_one_group_are_left_out(histofactor, tmp_path):
    found = follow_groups(np.array([[50, 50, 0]] * 5 + [[40, 40, 20]] * 5), ["a"] * 5 + ["b"] * 5)
    path = tmp_path / "b.safetensors"
    save_bank([bank(3, provenance={FOLLOWING: stated(found)})], path)
    code, out, _ = histofactor("concepts", "exclude", path, "--one-group", "--name", "one hospital")
    assert code == 0
    assert "excluded at K = 3: one hospital" in out
    assert load_banks(path)[3].excluded == (2,)
    assert histofactor("concepts", "exclude", path, "--one-group", "--include")[0] == 0
    assert load_banks(path)[3].excluded == ()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [((), "got: neither"), ((1, "--one-group"), "got: both"), (("--one-group",), "is known to follow one group")],
)
def test_mistakes_of_exclude(histofactor, tmp_path, arguments, told):
    save_bank([bank(3)], tmp_path / "b.safetensors")
    code, _, err = histofactor("concepts", "exclude", tmp_path / "b.safetensors", *arguments)
    assert code == 2
    assert told in one_line(err)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(("--balance", "group"), "no groups to balance over"), (("--balance", "hospital"), "expected: slide or group")],
)
def test_mistakes_of_balance(histofactor, tissue, tmp_path, arguments, told):
    Image.fromarray(tissue[:96, :96]).save(tmp_path / "a.png")
    for verb in (("concepts", "train", "-o", tmp_path / "b.safetensors"), ("segment", "-o", tmp_path / "out")):
        code, _, err = histofactor(*verb, tmp_path / "a.png", "--source-mpp", 1, *arguments)
        assert code == 2
        assert told in one_line(err)
    embedded = ("segment", "-o", tmp_path / "out", tmp_path / "a.png", "--concepts", "embedded")
    assert "leave one out" in histofactor(*embedded, "--balance", "slide")[2]


def test_what_is_not_reported_is_said(histofactor, tissue, tmp_path):
    """Of two fields, both of one hospital; then one of none."""
    for name in "ab":
        Image.fromarray(tissue[:128, :128]).save(tmp_path / f"{name}.png")
    path = tmp_path / "b.safetensors"
    for group, told in (
        ("north", "all 2 inputs are of one group, north: whether concepts follow groups is not reported"),
        ("", "1 of 2 inputs is of one group, north, and 1 of 2 inputs has no group: whether concepts follow"),
    ):
        (tmp_path / "t.csv").write_text(f"path,mpp,group\na.png,1,north\nb.png,1,{group}\n")
        how = ("--table", tmp_path / "t.csv", "--fast", "--windows", 1, "-k", 2, "-o", path)
        code, out, _ = histofactor("concepts", "train", *how)
        assert code == 0
        assert told in one_line(out)
        assert told in one_line(histofactor("concepts", "show", path)[1])
        assert told in (tmp_path / "b.html").read_text()


def test_a_concept_of_one_slide_is_marked(histofactor, tmp_path):
    told = {"per_group": {"north": [90, 10], "south": [50, 0]}, "per_slide": [[90, 0], [0, 10], [50, 0]]}
    slides = {"slides": [{"name": name, "group": "south" if name == "c" else "north"} for name in "abc"]}
    save_bank([bank(2, provenance=told)], tmp_path / "b.safetensors", slides)
    code, out, _ = histofactor("concepts", "show", tmp_path / "b.safetensors", "-k", 2)
    assert code == 0
    assert one_line(out).count("in one slide alone") == 1
    assert "north 100%, in one slide alone" in one_line(out)


def test_a_second_time_nothing_is_written(histofactor, tmp_path):
    found = follow_groups(np.array([[50, 50, 0]] * 5 + [[40, 40, 20]] * 5), ["a"] * 5 + ["b"] * 5)
    path = tmp_path / "b.safetensors"
    save_bank([bank(3, provenance={FOLLOWING: stated(found)})], path)
    assert "wrote" in histofactor("concepts", "exclude", path, "--one-group")[1]
    before = path.stat()
    code, out, err = histofactor("concepts", "exclude", path, "--one-group")
    assert (code, err) == (0, "")
    assert out == f"nothing changed, nothing written: excluded at K = 3 of {path} already: Concept 3\n"
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
