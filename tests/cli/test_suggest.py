"""``histofactor concepts name --suggest`` and ``--accept``, with a random model and with one that is right."""

import json

import pytest

from histofactor.concepts.bank.suggested import concept_keys, read_suggested, suggested_path, write_suggested
from histofactor.encoders import pair_source as pairs
from histofactor.runs.study import BANK, open_study, read_journal
from small_pairs import TISSUES, clip_folder, exact_pair, suggested


@pytest.fixture
def prompts(tmp_path):
    (tmp_path / "p.csv").write_text("class,synonym\n" + "".join(f"{name},{name}\n" for name in TISSUES))
    return tmp_path / "p.csv"


@pytest.fixture
def offered(study):
    """A study with suggestions for its first three concepts, of which the second is unsure."""
    out, _ = study
    file = open_study(out / BANK).file
    keys = concept_keys(file.banks[8])
    made = [suggested("tumour"), suggested("stroma", "names too near"), suggested("fat")]
    write_suggested(out / BANK, file, dict(zip(keys, made, strict=False)))
    return out


def names(out):
    return open_study(out / BANK).file.banks[8].names


def test_a_random_clip_from_a_folder(histofactor, study, prompts, tmp_path):
    out, _ = study
    before = (out / BANK).read_bytes()
    code, told, err = histofactor(
        "concepts", "name", out, "--suggest", prompts, "--with", clip_folder(tmp_path / "clip"), "--device", "cpu"
    )
    assert (code, err) == (0, "")
    assert "8 suggestions at K = 8" in told
    assert "by clip (sha256:" in told
    assert "with the prompts p.csv (" in told
    assert (out / BANK).read_bytes() == before
    made = read_suggested(out / BANK)
    assert len(made) == 8
    for one in made.values():
        assert {best.name for best in one.suggestion.best} <= {*TISSUES}
        assert len(one.suggestion.best) == 3
        assert 0 < one.suggestion.patches <= 8


def test_a_model_that_is_right(histofactor, study, prompts, monkeypatch):
    out, paths = study
    asked = []
    monkeypatch.setattr(pairs, "load_pair", lambda *given: asked.append(given) or exact_pair())
    code, told, _ = histofactor("concepts", "name", out, "--suggest", prompts, "--slides", paths[0].parent)
    assert code == 0
    assert asked == [("keep", "auto")]
    made = read_suggested(out / BANK)
    sure = [
        str(label) for label, key in enumerate(concept_keys(open_study(out / BANK).file.banks[8]), 1)
        if not made[key].suggestion.unsure
    ]  # fmt: skip
    assert sure
    assert f"concepts name {out} --accept {' '.join(sure)}" in told
    code, told, _ = histofactor("concepts", "name", out, "--accept", *sure)
    assert code == 0
    assert f"{len(sure)} name" in told


def test_some_are_accepted_and_told_in_the_journal(histofactor, offered):
    code, told, err = histofactor("concepts", "name", offered, "--accept", 1, 2, "7=mine")
    assert code == 0
    assert "label 1" not in err
    assert "not taken: label 2: stroma (0.40), unsure: names too near" in err
    assert "1, which was Concept 1, is tumour" in told
    assert names(offered)[:3] == ("tumour", "Concept 2", "Concept 3")
    assert names(offered)[6] == "mine"
    last = read_journal(offered / BANK)[-1]
    assert last["did"] == "named"
    assert last["arguments"][-4:] == ["--accept", "1", "2", "7=mine"]


def test_all_are_accepted_but_what_is_unsure_or_named(histofactor, offered):
    histofactor("concepts", "name", offered, "3=mine")
    code, _, err = histofactor("concepts", "name", offered, "--accept", "all")
    assert code == 0
    assert names(offered)[:4] == ("tumour", "Concept 2", "mine", "Concept 4")
    assert err.count("not taken") == 6  # the second, and those for which there is none
    code, _, err = histofactor("concepts", "name", offered, "--accept", "all")
    assert code == 2
    assert "no suggested name to take" in err


def test_suggestions_are_shown_until_somebody_names(histofactor, offered, tmp_path):
    page = tmp_path / "p.html"
    code, told, _ = histofactor("concepts", "show", offered, "-k", 8, "--html", page)
    assert code == 0
    assert "suggested" in told
    assert "suggested: tumour (0.40)<" in page.read_text()
    assert "suggested: stroma (0.40), unsure: names too near" in page.read_text()
    histofactor("concepts", "name", offered, "--accept", "1,3")
    code, told, _ = histofactor("concepts", "show", offered, "-k", 8, "--html", page)
    assert "suggested: tumour" not in page.read_text()
    assert "suggested: stroma" in page.read_text()


def test_a_bank_without_suggestions_is_shown_as_before(histofactor, study):
    _, told, _ = histofactor("concepts", "show", study[0], "-k", 8)
    assert "suggested" not in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--suggest", "colon", "1=a"), "names are suggested, or given"),
        (("--suggest", "colon", "--accept", "all"), "names are suggested, or given"),
        (("--suggest", "spleen"), "there are no prompts spleen"),
        (("--suggest", "colon", "--with", "clap"), "no vision-language model clap"),
        (("--suggest", "colon", "--with", "musk"), "text tower of musk"),
        (("--with", "keep", "1=a"), "are for --suggest"),
        (("--accept", "x"), "--accept is not a list of numbers"),
        (("--accept", "all", "3"), "--accept is not a list of numbers"),
        (("--accept", "1"), "no suggested names"),
    ],
)
def test_mistakes(histofactor, study, arguments, told):
    out, _ = study
    before = (out / BANK).read_bytes()
    code, _, err = histofactor("concepts", "name", out, *arguments)
    assert code != 0
    assert told in err
    assert (out / BANK).read_bytes() == before
    assert not suggested_path(out / BANK).exists()


def test_a_file_of_suggestions_that_is_damaged_is_told(histofactor, offered):
    suggested_path(offered / BANK).write_text(json.dumps({"format_version": 1}))
    for arguments in (("show", offered), ("name", offered, "--accept", "all")):
        code, _, err = histofactor("concepts", *arguments)
        assert code != 0
        assert "suggested names in" in err
        assert "suggest names again, or delete the file" in err


def test_prompts_that_cannot_tell_classes_apart(histofactor, offered, tmp_path, monkeypatch):
    monkeypatch.setattr(pairs, "load_pair", lambda *_given: exact_pair())
    table = tmp_path / "p.csv"
    table.write_text("class,prompt\na,same\nb,same\n")
    code, _, err = histofactor("concepts", "name", offered, "--suggest", table)
    assert code == 2
    assert "'a' (line 2) and 'b' (line 3) with 'same'" in " ".join(err.split())
    first, second, *_ = TISSUES
    table.write_text(f"class,prompt\n{first},{first}\n{first},{second}\n{second},{second}\n")
    code, _, err = histofactor("concepts", "name", offered, "--suggest", table)
    assert code == 0
    assert "note: 1 prompt of p.csv is of several classes" in err
