import pytest

from histofactor.errors import ImageError
from histofactor.slides.inputs import find_inputs


@pytest.fixture
def folder(tmp_path):
    for name in ("s10.png", "s2.PNG", "s1.tif", ".hidden.png", "notes.txt", "sub/deep.png"):
        file = tmp_path / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    return tmp_path / "in"


def names(paths):
    return [path.name for path in paths]


def test_a_folder_gives_its_own_images_in_natural_order(folder):
    assert names(find_inputs([folder])) == ["s1.tif", "s2.PNG", "s10.png"]


def test_whole_slides_are_found(tmp_path):
    slides = ["a.bif", "a.dcm", "a.mrxs", "a.NDPI", "a.ome.tif", "a.scn", "a.svs", "a.svslide", "a.vms", "a.vmu"]
    for name in [*slides, "a.xml", "a.dat"]:
        (tmp_path / name).write_bytes(b"x")
    assert names(find_inputs([tmp_path])) == slides


def test_globs(folder):
    assert names(find_inputs([f"{folder}/*"])) == ["s1.tif", "s2.PNG", "s10.png"]
    assert names(find_inputs([f"{folder}/**/*.png"])) == ["s10.png", "deep.png"]
    assert names(find_inputs([str(folder / "*.txt")])) == ["notes.txt"]  # the user named the extension


def test_duplicates_are_removed_and_the_order_of_naming_is_kept(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert names(find_inputs(["s10.png", folder, folder / "s10.png", "./s2.PNG"])) == ["s10.png", "s1.tif", "s2.PNG"]


def test_a_named_file_stays_even_if_missing_or_no_image(folder):
    assert names(find_inputs([folder / "gone.png", folder / "notes.txt"])) == ["gone.png", "notes.txt"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(folder):
    (folder / "s[1].png").write_bytes(b"x")
    assert names(find_inputs([folder / "s[1].png"])) == ["s[1].png"]


@pytest.mark.parametrize("pattern", ["", "*.webp", "nowhere/*.png"])
def test_a_folder_or_glob_without_images_is_an_error(tmp_path, pattern):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match=r"no image in the (folder|glob) .*empty.*\.png"):
        find_inputs([tmp_path / "empty" / pattern])
