"""``histofactor concepts name|merge|split|exclude``, of a bank and of a study."""

import numpy as np
import pytest

from histofactor.concepts.bank.file import load_banks, save_bank
from histofactor.concepts.bank.record import bank_hash
from histofactor.concepts.learn.levels import banks_from_features
from histofactor.export.seal import read_seal
from histofactor.records import EncoderKey
from histofactor.runs.study import open_study, read_journal, sample_of


@pytest.fixture
def bank(tmp_path):
    X = np.random.default_rng(0).gamma(0.6, 1.0, (300, 5)).astype(np.float32)
    save_bank(banks_from_features(X, [2, 4, 8], EncoderKey("e", None, "l", "relu")), tmp_path / "b.safetensors")
    return tmp_path / "b.safetensors"


def test_names_from_a_table(histofactor, bank, tmp_path):
    table = tmp_path / "phenotypes.csv"
    table.write_text("label,name,color,area_px\n0,unassigned,,5\n1,tumour,#0a0b0c,7\n2,stroma,#ffffff,1\n")
    out = tmp_path / "named.safetensors"
    assert histofactor("concepts", "name", bank, "-k", 2, "--table", table, "-o", out)[0] == 0
    assert load_banks(out)[2].names == ("tumour", "stroma")
    assert load_banks(out)[2].colors == ((10, 11, 12), (255, 255, 255))
    assert load_banks(bank)[2].names == ("Concept 1", "Concept 2")


def test_merge_adds_a_level(histofactor, bank, tmp_path):
    code, out, _ = histofactor("concepts", "merge", bank, "1+3=tumour", "2+8=stroma", "-k", 8)
    assert code == 0
    assert "K = 6" in out
    assert list(load_banks(bank)) == [2, 4, 6, 8]
    assert load_banks(bank)[6].names[:2] == ("tumour", "stroma")


@pytest.mark.parametrize("text", ["name\nfoo\n", "label,name\nx,foo\n", "label,name,color\n1,foo,red\n"])
def test_tables_that_cannot_be_read(histofactor, bank, tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    code, _, err = histofactor("concepts", "name", bank, "-k", 2, "--table", tmp_path / "t.csv")
    assert code == 2
    assert str(tmp_path / "t.csv") in err


def test_a_level_is_replaced_in_another_file_only(histofactor, bank, tmp_path):
    before, out = bank.read_bytes(), tmp_path / "other.safetensors"
    merges = ("merge", bank, "1+2+3+4+5=a", "-k", 8)  # K = 4, which there is
    code, _, err = histofactor("concepts", *merges)
    assert code == 2
    assert "K = 4 already" in err
    assert bank.read_bytes() == before
    assert histofactor("concepts", *merges, "-o", out)[0] == 0
    assert load_banks(out)[4].names[0] == "a"
    assert load_banks(bank)[4].names[0] == "Concept 1"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("name", "1=a"), "several K"),
        (("name", "1=a", "-k", 3), "no K = 3"),
        (("name", "9=a", "-k", 4), "no label 9"),
        (("name", "1+2=a", "-k", 4), "one label"),
        (("name", "1=a", "1=b", "-k", 4), "once"),
        (("name", "-k", 4), "nothing to name"),
        (("name", f"1={'a' * 100_000}", "-k", 4), "200 characters at most"),
        (("split", 1, "--into", 2, "-k", 4, "--name", "a" * 201), "no sample of"),
        (("merge", f"1+2={'a' * 201}", "-k", 4), "200 characters at most"),
        (("merge", "1=a", "-k", 4), "nothing to merge"),
        (("merge", "stroma", "-k", 4), "cannot be read"),
        (("split", 1, "--into", 2, "-k", 4), "no sample of"),
        (("exclude", 5, "-k", 4), "no label 5"),
        (("exclude", 1, "-k", 4, "--name", "a" * 201), "200 characters at most"),
        (("exclude", 1, 2, "-k", 2), "nothing would be left"),
        (("exclude", 1, "-k", 2, "--include"), "is not excluded"),
    ],
)
def test_mistakes(histofactor, bank, arguments, told):
    before = bank.read_bytes()
    verb, *rest = arguments
    code, _, err = histofactor("concepts", verb, bank, *rest)
    assert code == 2
    assert told in err
    assert bank.read_bytes() == before


def test_an_artefact_is_out_at_every_k_and_comes_back(histofactor, bank):
    code, out, err = histofactor("concepts", "exclude", bank, 3, "-k", 8, "--name", "pen")
    assert (code, err) == (0, "")
    assert "excluded at K = 8: pen" in out
    assert "relabel" not in out  # a bank alone has no slides
    assert all(len(one.excluded) == 1 for one in load_banks(bank).values())
    assert load_banks(bank)[8].names[2] == "pen"
    assert histofactor("concepts", "exclude", bank, 3, "-k", 8, "--include")[0] == 0
    assert not any(one.excluded for one in load_banks(bank).values())


def test_concepts_of_one_name_and_merges_that_join_them(histofactor, bank):
    assert histofactor("concepts", "name", bank, "3=stroma", "5=tumour", "7=stroma", "-k", 8)[0] == 0
    code, out, _ = histofactor("concepts", "merge", bank, "1+4=tumour", "-k", 8)
    assert code == 0
    assert "the merged level is K = 6" in out
    named, merged = load_banks(bank)[8], load_banks(bank)[6]
    assert (named.names[2], named.names[4], named.names[6]) == ("stroma", "tumour", "stroma")
    assert len({*named.colors}) == 8  # each keeps its own, for when names part again
    assert merged.names == ("tumour", "Concept 2", "stroma", "Concept 4", "stroma", "Concept 6")
    assert merged.provenance["members"] == [[1, 4, 5], [2], [3], [6], [7], [8]]
    code, out, _ = histofactor("concepts", "show", bank, "-k", 8)
    colors = [line.split()[2] for line in out.splitlines() if " stroma " in line]
    assert len(colors) == 2
    assert colors[0] == colors[1]


def test_artefacts_of_one_name(histofactor, bank):
    code, out, _ = histofactor("concepts", "exclude", bank, 1, 2, "-k", 4, "--name", "pen")
    assert code == 0
    assert "excluded at K = 4: pen, pen" in out


def test_a_level_of_a_study_makes_room_and_is_kept_beside_it(histofactor, study):
    out, _ = study
    path = out / "concepts.safetensors"
    assert histofactor("concepts", "name", out, "2=mine")[0] == 0
    assert histofactor("concepts", "merge", out, "1+3=both")[0] == 0
    before = path.read_bytes()
    code, told, err = histofactor("concepts", "split", out, 1, "--into", 2)
    assert code == 0, err
    assert "the split level is K = 8" in told
    (aside,) = out.glob("concepts-*.safetensors")
    assert f"kept as {aside}" in err
    assert aside.read_bytes() == before
    assert load_banks(path)[8].names[:3] == ("both a", "both b", "mine")
    assert load_banks(aside)[8].names[1] == "mine"
    assert histofactor("relabel", out)[0] == 0
    labels = [read_seal(out / name)["bank"] for name in ("a", "b")]
    assert [one["sha256"] for one in labels] == [bank_hash(load_banks(path)[8])] * 2
    code, told, _ = histofactor("relabel", out)
    assert "2 of 2 up to date at K = 8 (2 were already)" in told


def test_a_study_is_edited_at_its_k_and_told_in_its_journal(histofactor, study):
    out, _ = study
    path = out / "concepts.safetensors"
    steps = [
        (("name", out, "1=alpha"), "named", 8),
        (("exclude", out, 2, "--name", "pen"), "excluded", 8),
        (("merge", out, "1+3=both"), "merged", 7),
        (("split", out, 1, "--into", 3), "split", 9),
        (("exclude", path, 2, "--include", "-k", 8), "included", 9),
    ]
    for (verb, *rest), did, k in steps:
        code, told, _ = histofactor("concepts", verb, *rest)
        assert code == 0
        assert f"now: histofactor relabel {out}\n" in told
        entry = read_journal(path)[-1]
        assert (entry["did"], entry["k"], entry["arguments"][1]) == (did, k, verb)
        assert open_study(path).k == k
    names = load_banks(path)[9].names
    assert names[:3] == ("both a", "both b", "both c")
    assert sum(load_banks(path)[9].provenance["counts"]) == sum(load_banks(path)[7].provenance["counts"])
    assert not (out / ".work").exists()


def test_another_file_is_a_bank_on_its_own(histofactor, study, tmp_path):
    out, _ = study
    before, other = (out / "concepts.safetensors").read_bytes(), tmp_path / "other.safetensors"
    code, told, _ = histofactor("concepts", "merge", out, "1+2=a", "-o", other)
    assert code == 0
    assert "relabel" not in told
    assert (out / "concepts.safetensors").read_bytes() == before
    assert len(read_journal(out / "concepts.safetensors")) == 1
    assert 7 in load_banks(other)


def test_a_split_of_a_bank_that_kept_its_sample(histofactor, study, tmp_path):
    _, paths = study
    bank = tmp_path / "b.safetensors"
    given = ("-k", "3,6", "-o", bank, "--source-mpp", 1, "--fast", "--keep-sample")
    assert histofactor("concepts", "train", *paths, *given)[0] == 0
    code, told, _ = histofactor("concepts", "split", bank, 2, "--into", 3, "-k", 3)
    assert code == 0
    assert "the split level is K = 5" in told
    made, before = load_banks(bank)[5], load_banks(bank)[3]
    assert made.names == ("Concept 1", "Concept 2", "Concept 3", "Concept 4", "Concept 5")
    assert made.parents == (0, 1, 1, 1, 2)
    assert len(made.provenance["per_slide"]) == 2
    assert np.sum(made.provenance["per_slide"], 0).tolist() == made.provenance["counts"]
    moved = abs(sum(made.provenance["counts"][1:4]) - before.provenance["counts"][1])
    assert moved <= 0.1 * before.provenance["counts"][1]
    code, _, err = histofactor("concepts", "split", bank, 1, "--into", 3, "-k", 3)
    assert (code, "K = 5 already" in err) == (2, True)


def test_a_sample_of_another_bank(histofactor, study, tmp_path):
    out, paths = study
    bank = tmp_path / "b.safetensors"
    given = ("-k", "3", "-o", bank, "--source-mpp", 1, "--fast", "--keep-sample", "--seed", 5, "--tokens", 500)
    assert histofactor("concepts", "train", *paths, *given)[0] == 0
    path = out / "concepts.safetensors"
    before = path.read_bytes()
    sample_of(bank).replace(sample_of(path))
    code, _, err = histofactor("concepts", "split", out, 1, "--into", 2)
    assert code == 2
    assert "is not the sample that" in err
    sample_of(path).write_bytes(sample_of(path).read_bytes()[:-9])
    code, _, err = histofactor("concepts", "split", out, 1, "--into", 2)
    assert code == 2
    assert "is damaged" in err
    assert path.read_bytes() == before


def test_a_bank_changed_by_other_hands_is_one_message_and_nothing_lost(histofactor, study, bank):
    out, _ = study
    path = out / "concepts.safetensors"
    path.write_bytes(bank.read_bytes())
    for verb in (("concepts", "merge", out, "1+2=a"), ("concepts", "exclude", out, 1), ("relabel", out)):
        code, _, err = histofactor(*verb)
        assert code == 2
        assert "holds other concepts than histofactor wrote there" in err
        assert err.count("error:") == 1
    assert path.read_bytes() == bank.read_bytes()


def test_a_name_says_what_it_takes_the_place_of(histofactor, bank):
    histofactor("concepts", "merge", bank, "-k", 8, "1+2=stroma", "-o", bank.with_name("merged.safetensors"))
    code, told, err = histofactor("concepts", "name", bank.with_name("merged.safetensors"), "-k", 7, "4=gland")
    assert code == 0, err
    assert "  4, which was Concept 4, is gland" in told


def test_what_changes_nothing_is_neither_written_nor_noted(histofactor, study):
    out, _ = study
    path = out / "concepts.safetensors"
    steps = (("exclude", out, 2, "--name", "pen"), ("name", out, "1=alpha"), ("merge", out, "1+3=both"))
    for step in steps:
        code, told, _ = histofactor("concepts", *step)
        assert code == 0
        assert "wrote" in told
        if step[0] == "merge":
            break
        before, noted = path.stat().st_mtime_ns, read_journal(path)
        code, told, err = histofactor("concepts", *step)
        assert (code, err) == (0, "")
        assert told.startswith("nothing changed, nothing written")
        assert "relabel" not in told
        assert (path.stat().st_mtime_ns, read_journal(path)) == (before, noted)
    copy = out / "copy.safetensors"
    assert "wrote" in histofactor("concepts", "name", out, "1=both", "-o", copy)[1]  # a copy that is asked for
    assert copy.exists()
