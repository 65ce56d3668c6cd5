"""Patches are those of the places that the bank tells."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from histofactor.concepts.bank.file import BankFile
from histofactor.concepts.bank.provenance import Example
from histofactor.concepts.bank.record import new_bank
from histofactor.records import EncoderKey
from histofactor.runs.examples import PATCH_PX, PATCHES, Look, choose, read_examples
from histofactor.runs.source import Opening


@pytest.fixture
def setting(tmp_path):
    rgb = np.zeros((300, 400, 3), np.uint8)
    rgb[100:196, 200:296] = (200, 30, 60)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    examples = [
        [{"slide": 0, "x": 200.0, "y": 100.0, "side": 96.0}, {"slide": 1, "x": 0.0, "y": 0.0, "side": 96.0}],
        [{"slide": 0, "x": -40.0, "y": 240.0, "side": 96.0}],
    ]
    bank = new_bank(np.eye(2, dtype=np.float32), EncoderKey("e", None, "l", "relu"), provenance={"examples": examples})
    return BankFile({2: bank}, {"slides": [{"name": "x/a.png"}, {"name": "b.png"}]}), tmp_path


def test_patches_of_the_slides_that_are_there(setting):
    file, folder = setting
    patches, missing = read_examples(file, [folder / "a.png"])
    assert sorted(patches) == [(2, 1), (2, 2)]
    assert patches[2, 1][0].shape == (PATCH_PX, PATCH_PX, 3)
    assert (patches[2, 1][0] == (200, 30, 60)).all()
    assert not patches[2, 2][0].any()  # moved inwards
    assert missing == ["b.png is not among the inputs"]


def test_a_slide_that_cannot_be_read_is_told(setting):
    file, folder = setting
    (folder / "b.png").write_text("no image")
    patches, missing = read_examples(file, [folder / "a.png", folder / "b.png"])
    assert len(patches[2, 1]) == 1
    assert len(missing) == 1
    assert "not an image" in missing[0]


COLORS = {"a.png": (200, 0, 0), "b.png": (0, 200, 0), "c.png": (0, 0, 200)}


@pytest.fixture
def folder(tmp_path):
    """Images of 200 × 160 px, each of one colour."""
    for name, color in COLORS.items():
        Image.fromarray(np.full((160, 200, 3), color, np.uint8)).save(tmp_path / name)
    return tmp_path


def at(slide, x=0, y=0, side=32):
    return {"slide": slide, "x": x, "y": y, "side": side, "distance": 0.1}


def told(examples, slides=tuple(COLORS)):
    bank = new_bank(
        np.eye(1, 3, dtype=np.float32), EncoderKey("e", None, "l", "relu"), provenance={"examples": [examples]}
    )
    return BankFile({1: bank}, {"slides": [one if isinstance(one, dict) else {"name": one} for one in slides]})


def colors(patches):
    return [tuple(map(int, patch[0, 0])) for patch in patches[1, 1]]


def test_other_slides_come_first(folder):
    patches, missing = read_examples(
        told([at(0, 40 * x) for x in range(4)] + [at(2), at(1), at(1, 40)]), sorted(folder.iterdir())
    )
    assert colors(patches) == [COLORS[name] for name in ("a.png", "c.png", "b.png", "a.png")]
    assert len(patches[1, 1]) == PATCHES
    assert missing == []


def test_slides_that_are_not_given_leave_room_for_those_that_are(folder):
    patches, missing = read_examples(told([at(0)] * 9 + [at(2)]), [folder / "c.png", folder / "none of it.png"])
    assert colors(patches) == [COLORS["c.png"]]
    assert missing == ["a.png is not among the inputs nor are 1 more"]
    assert read_examples(told([at(7)]), sorted(folder.iterdir())) == ({}, [])


def test_a_slide_of_another_size_is_told_and_the_rest_goes_on(folder):
    patches, missing = read_examples(told([at(0, 5000), at(1), at(2)]), sorted(folder.iterdir()))
    assert colors(patches) == [COLORS["b.png"], COLORS["c.png"]]
    assert len(missing) == 1
    assert "a.png is not the slide that the bank was learned on" in missing[0]


def test_hashes_decide_between_equal_names(folder):
    for place, name in (("x", "a.png"), ("y", "b.png"), ("z", "c.png")):
        (folder / place).mkdir()
        (folder / name).rename(folder / place / "s.png")
    hashes = [hashlib.sha256((folder / place / "s.png").read_bytes()).hexdigest() for place in ("x", "y")]
    file = told([at(0), at(1)], [{"name": f"{i}/s.png", "sha256": one} for i, one in enumerate(hashes)])
    patches, missing = read_examples(file, [folder / "y" / "s.png", folder / "x" / "s.png"])
    assert colors(patches) == [COLORS["a.png"], COLORS["b.png"]]
    assert missing == []
    patches, missing = read_examples(file, [folder / "z" / "s.png", folder / "gone" / "s.png"])
    assert patches == {}
    assert "No such file" in missing[0]
    assert "not among the inputs" in missing[1]


def test_another_picture_of_the_same_name_is_told_where_files_are_checked(folder):
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in COLORS}
    file = told([at(0), at(1), at(2)], [{"name": f"x/{name}", "sha256": one} for name, one in hashes.items()])
    file.card["slides"][1]["sha256"] = ""  # an older bank
    (folder / "a.png").write_bytes((folder / "b.png").read_bytes())
    paths = sorted(folder.iterdir())
    assert colors(read_examples(file, paths)[0]) == [COLORS[name] for name in ("b.png", "b.png", "c.png")]
    patches, missing = read_examples(file, paths, look=Look(checked=True))
    assert colors(patches) == [COLORS["b.png"], COLORS["c.png"]]
    assert missing == [
        f"{folder / 'a.png'} is not the file that the bank was learned on, though it has its name; "
        f"expected SHA-256 {hashes['a.png'][:12]}…; got {hashes['b.png'][:12]}…; give the file itself"
    ]


def test_the_image_of_a_file_that_was_learned_from(tmp_path):
    small, large = (np.full((160, width, 3), color, np.uint8) for width, color in ((200, 90), (300, 160)))
    Image.fromarray(large).save(tmp_path / "a.tif", save_all=True, append_images=[Image.fromarray(small)])
    file = told([at(0, 100, 40)], [{"name": "a.tif"}])
    for series, value in ((None, 160), (1, 90), ("page 1", 90)):
        patches, missing = read_examples(file, [tmp_path / "a.tif"], Opening(series=series))
        assert missing == []
        assert (patches[1, 1][0] == value).all()


def test_px_that_are_not_square_need_no_resolution_here(folder):
    with Image.open(folder / "a.png") as image:
        image.save(folder / "a.png", dpi=(25_400, 50_800))  # 1 and 0.5 µm/px
    patches, missing = read_examples(told([at(0)]), [folder / "a.png"])
    assert colors(patches) == [COLORS["a.png"]]
    assert "a.png" not in " ".join(missing)


def test_places_that_overlap_are_not_shown_beside_each_other():
    side = 32.0
    near = [Example(0, x, y, side, 0.1) for x, y in ((0.0, 0.0), (31.0, 31.0), (32.0, 0.0), (0.0, 40.0), (33.0, 20.0))]
    other = [Example(1, 31.0, 31.0, side, 0.1)]
    assert choose(near + other, 12) == [near[0], other[0], near[2], near[3]]


def test_as_many_and_as_large_as_are_asked_for_opened_as_each_was(folder):
    other = Opening(series="none of that name")
    file = told([at(0, 40 * x) for x in range(4)] + [at(1), at(1, 40)])
    patches, missing = read_examples(file, sorted(folder.iterdir()), look=Look(count=6, side_px=20))
    assert [patch.shape for patch in patches[1, 1]] == [(20, 20, 3)] * 6
    assert missing == []
    patches, missing = read_examples(file, sorted(folder.iterdir()), openings={folder / "a.png": other})
    assert colors(patches) == [COLORS["b.png"]] * 2
    assert "a.png" in missing[0]
