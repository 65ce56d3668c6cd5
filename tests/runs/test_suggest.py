"""Suggestions from the patches that a bank tells of: right where tissue is colour, and never a name by themselves."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from histofactor.concepts.bank.edit import rename
from histofactor.concepts.bank.exclude import exclude
from histofactor.concepts.bank.file import BankFile, read_bank_file, write_bank_file
from histofactor.concepts.bank.record import new_bank
from histofactor.concepts.bank.suggested import concept_keys, of_level, read_suggested, suggested_path, write_suggested
from histofactor.concepts.prompts import read_prompts
from histofactor.errors import OptionError
from histofactor.records import EncoderKey
from histofactor.runs.edit_study import edit, merged, named
from histofactor.runs.history import step
from histofactor.runs.study import BANK, read_journal
from histofactor.runs.suggest import FIRST, PATCHES, accepted, suggest_names
from small_pairs import SIDE_PX, TISSUES, exact_pair, suggested

NAMES = [*TISSUES]
KEY = EncoderKey("e", None, "l", "relu")


@pytest.fixture
def prompts(tmp_path):
    (tmp_path / "tissues.csv").write_text("class\n" + "".join(f"{name}\n" for name in NAMES))
    return read_prompts(str(tmp_path / "tissues.csv"))


@pytest.fixture
def slides(tmp_path):
    """A slide of squares: a row of each tissue, one of noise, and one in which all tissues take turns."""
    rng, rows = np.random.default_rng(0), []
    for color in TISSUES.values():
        rows.append(np.tile(np.array(color, np.uint8), (40, 40 * PATCHES, 1)))
    rows.append(rng.integers(0, 256, (40, 40 * PATCHES, 3), np.uint8))
    turns = np.array([color for _, color in zip(range(PATCHES), [*TISSUES.values()] * 2, strict=False)], np.uint8)
    rows.append(np.tile(turns.repeat(40, 0), (40, 1, 1)))
    Image.fromarray(np.concatenate(rows)).save(tmp_path / "slide.png")
    return tmp_path / "slide.png"


@pytest.fixture
def bank(tmp_path):
    """A bank of eight concepts that tells of the squares of one row each."""
    examples = [
        [{"slide": 0, "x": 40.0 * at, "y": 40.0 * row, "side": 40.0} for at in range(PATCHES)] for row in range(8)
    ]
    made = new_bank(np.eye(8, 9, dtype=np.float32) + 0.1, KEY, provenance={"examples": examples})
    write_bank_file(BankFile({8: made}, {"slides": [{"name": "slide.png"}]}), tmp_path / "b.safetensors")
    return tmp_path / "b.safetensors"


def test_all_tissues_are_named_right_and_noise_is_not(bank, slides, prompts):
    before = bank.read_bytes()
    found = suggest_names(bank, None, exact_pair(), prompts, slides=[slides])
    assert (found.k, found.missing) == (8, [])
    first = [one.suggestion.best[0].name for one in found.by_label.values()]
    assert first[:6] == NAMES
    assert [bool(one.suggestion.unsure) for one in found.by_label.values()] == [False] * 6 + [True] * 2
    assert {(one.model, one.prompts) for one in found.by_label.values()} == {
        ("exact (1)", f"tissues.csv ({prompts.sha256[:12]})")
    }
    assert of_level(read_bank_file(bank).banks[8], read_suggested(bank)) == found.by_label
    assert bank.read_bytes() == before  # no name comes of it


def test_the_model_sees_the_patches_as_they_lie_on_the_slide(bank, slides, prompts):
    seen, pair = [], exact_pair()

    def watched(rgb):
        seen.append(rgb)
        return pair.images(rgb)

    found = suggest_names(bank, 8, replace(pair, images=watched), prompts, slides=[slides])
    first, more = np.split(np.concatenate(seen), [8 * FIRST])
    assert len(more) == PATCHES - FIRST  # of all in turns, which the first do not settle
    for rgb, color in zip(first.reshape(8, FIRST, SIDE_PX, SIDE_PX, 3), TISSUES.values(), strict=False):
        assert (rgb[:, 4:-4, 4:-4] == color).all()  # at the rim the next square shines in
    assert [one.suggestion.patches for one in found.by_label.values()] == [FIRST] * 7 + [PATCHES]


def test_slides_that_are_not_there(bank, slides, prompts):
    with pytest.raises(OptionError, match=r"none of the typical patches .* can be read.*--slides"):
        suggest_names(bank, None, exact_pair(), prompts)
    slides.write_bytes(b"no image")
    with pytest.raises(OptionError, match="not an image"):
        suggest_names(bank, None, exact_pair(), prompts, slides=[slides])
    assert not suggested_path(bank).exists()


def test_a_bank_that_tells_of_no_patches(tmp_path, prompts):
    write_bank_file(BankFile({8: new_bank(np.eye(8, dtype=np.float32), KEY)}), tmp_path / "b.safetensors")
    with pytest.raises(OptionError, match="tells of no typical patches at K = 8"):
        suggest_names(tmp_path / "b.safetensors", None, exact_pair(), prompts)


@pytest.fixture
def offered(bank):
    """The bank with suggestions for its first five concepts, of which the third is unsure; and its content."""
    file = read_bank_file(bank)
    keys = concept_keys(file.banks[8])
    made = {key: suggested(name) for key, name in zip(keys, NAMES[:5], strict=False)}
    write_suggested(bank, file, {**made, keys[2]: suggested("fat", "patches disagree")})
    return bank, file


def test_what_is_sure_is_taken(offered):
    bank, file = offered
    taken = accepted(bank, file, 8, [1, 3, 6])
    assert taken.names == {1: "tumour"}
    assert taken.left == [
        "label 3: fat (0.40), unsure: patches disagree", "label 6: no name is suggested for it",
    ]  # fmt: skip


def test_all_are_those_that_nobody_named(offered):
    bank, file = offered
    file = exclude(rename(file, 8, {1: "mine"}), 8, [4]).file
    assert accepted(bank, file, 8, None).names == {2: "stroma", 5: "muscle"}


@pytest.mark.parametrize(
    ("labels", "told"), [([3], "no suggested name to take"), ([9], "no label 9"), ([0], "no label 0")]
)
def test_what_cannot_be_taken(offered, labels, told):
    with pytest.raises(OptionError, match=told):
        accepted(*offered, 8, labels)


def test_nothing_is_suggested_yet(bank):
    with pytest.raises(OptionError, match=r"no suggested names.*--suggest"):
        accepted(bank, read_bank_file(bank), 8, None)


def test_a_study_gives_its_own_slides_and_its_changes_are_followed(study, prompts):
    out, _ = study
    found = suggest_names(out, None, exact_pair(), prompts)
    assert found.bank == out / BANK
    assert found.k == 8
    assert set(found.by_label) == {*range(1, 9)}
    assert [entry["did"] for entry in read_journal(out / BANK)] == ["learned"]

    def labels():
        file = read_bank_file(out / BANK)
        return {k: [*of_level(one, read_suggested(out / BANK))] for k, one in file.banks.items() if k in (7, 8)}

    edit(out, None, merged([((2, 5), "both")]))
    assert labels() == {7: [1, 3, 4, 5, 6, 7], 8: [*range(1, 9)]}
    edit(out, None, named({1: "mine"}, {}))
    assert labels()[7] == [1, 3, 4, 5, 6, 7]
    step(out, back=True)
    step(out, back=True)
    assert labels() == {8: [*range(1, 9)]}


def test_moved_slides_of_a_study_are_found(study, prompts, tmp_path):
    out, paths = study
    (tmp_path / "there").mkdir()
    moved = [tmp_path / "there" / path.name for path in paths]
    for path, other in zip(paths, moved, strict=True):
        other.write_bytes(path.read_bytes())
    one = suggest_names(out, None, exact_pair(), prompts, slides=moved)
    assert one.missing == []
    assert one.by_label == suggest_names(out, None, exact_pair(), prompts).by_label
    with Image.open(moved[0], formats=["PNG"]) as image:
        Image.new("RGB", image.size, TISSUES["fat"]).save(moved[0])
    one = suggest_names(out, None, exact_pair(), prompts, slides=moved)
    assert [sentence.partition(";")[0] for sentence in one.missing] == [
        f"{moved[0]} is not the file that the bank was learned on, though it has its name"
    ]
