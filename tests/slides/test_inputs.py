import itertools
import os

import pytest

from dicom_writer import dicom
from histofactor.base.names import RUNS, SEAL, STATUS
from histofactor.errors import ImageError
from histofactor.slides import own_output
from histofactor.slides.inputs import OWN, PassedOver, find_inputs, folder_note, group_inputs, grouping_notes


@pytest.fixture
def folder(tmp_path):
    for name in ("s10.png", "s2.PNG", "s1.tif", ".hidden.png", "notes.txt", "sub/deep.png"):
        file = tmp_path / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    return tmp_path / "in"


def names(paths):
    return [path.name for path in paths]


def test_a_folder_gives_the_images_in_it_and_below_in_natural_order(folder):
    assert names(find_inputs([folder])) == ["s1.tif", "s2.PNG", "s10.png", "deep.png"]
    assert names(find_inputs([folder], deep=False)) == ["s1.tif", "s2.PNG", "s10.png"]


def test_a_download_is_walked_and_what_is_no_slide_is_told_by_kinds(tmp_path):
    for name in ("id-1/a.svs", "id-1/logs/a.svs.parcel", "id-1/annotations.txt", "id-2/b.svs", "id-2/logs/b.svs.parcel",
                 "id-2/.b.svs.part", ".cache/c.svs", "MANIFEST.txt"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    passed = PassedOver()
    found = group_inputs([tmp_path], passed)
    assert found == {tmp_path / "id-1/a.svs": (), tmp_path / "id-2/b.svs": ()}
    kinds = {kind: sorted(map(str, (path.relative_to(tmp_path) for path in paths)))
             for kind, paths in passed.kinds.items()}  # fmt: skip
    assert kinds == {
        "hidden": [".cache", "id-2/.b.svs.part"],
        "not named like images": ["MANIFEST.txt", "id-1/annotations.txt", "id-1/logs/a.svs.parcel",
                                  "id-2/logs/b.svs.parcel"],
    }  # fmt: skip
    assert "4 not named like images (MANIFEST.txt, " in passed.note()
    assert "2 hidden (.cache, .b.svs.part)" in passed.note()
    told = folder_note(list(found))
    assert told == f"2 inputs in 2 folders: 1 in {tmp_path / 'id-1'}, 1 in {tmp_path / 'id-2'}"
    assert folder_note(list(found)[:1]) == ""


def results(folder, seal=True):
    """What ``segment`` writes of one input, as far as pictures and records go."""
    folder.mkdir(parents=True)
    for name in ("labels.ome.tif", "overlay.png", "preview.jpg"):
        (folder / name).write_bytes(b"x")
    if seal:
        (folder / SEAL).write_text('{"recipe_sha256": "ab"}')


def test_own_results_are_known_by_their_records_and_left_out(folder):
    results(folder / "out/s1")
    results(folder / "out/cut short", seal=False)
    (folder / "out" / RUNS).mkdir()
    (folder / "out" / RUNS / "1.json").write_text('{"inputs": [["x.png", "cut short", "key"]]}')
    results(folder / "failed", seal=False)
    (folder / "failed" / STATUS).write_text('{"format": 2, "input": "x", "folder": "", "run": "1"}')
    results(folder / "mine", seal=False)  # pictures that are only called like ours
    passed = PassedOver()
    found = group_inputs([folder], passed)
    assert names(found) == ["labels.ome.tif", "overlay.png", "preview.jpg", "s1.tif", "s2.PNG", "s10.png", "deep.png"]
    assert {path.parent.name for path in found} == {"mine", "in", "sub"}
    assert {path.name for path in passed.kinds[OWN]} == {"s1", "cut short", "failed"}
    for whole in (folder / "out/s1", folder / "out", f"{folder}/out/*/*.png"):
        with pytest.raises(ImageError, match="own results"):
            find_inputs([whole])


def test_results_that_are_named_outright_are_taken_with_a_word(folder):
    results(folder / "out/s1")
    path = folder / "out/s1/labels.ome.tif"
    (note,) = grouping_notes(group_inputs([path, folder / "s1.tif"]))
    assert note == f"{path} lies among results of histofactor, and is taken for an input since it was named"


@pytest.mark.parametrize("text", ["", "[1]", "{}", "{" * 100_000, '{"inputs": [3]}', '{"inputs": 3}'])
def test_records_of_others_make_no_own_results(folder, text):
    (folder / RUNS).mkdir()
    for path in (folder / RUNS / "1.json", folder / "sub" / SEAL, folder / "sub" / STATUS):
        path.write_text(text)
    assert "deep.png" in names(find_inputs([folder]))
    assert {SEAL, STATUS} == set(own_output.TOLD)


def test_folders_end_where_links_lead_in_circles(folder):
    for name in ("sub/up", "sub/again", "loop"):
        (folder / name).symlink_to(folder)
    passed = PassedOver()
    assert names(group_inputs([folder], passed)) == ["s1.tif", "s2.PNG", "s10.png", "deep.png"]
    assert {path.name for path in passed.kinds["reached before by another link"]} == {"up", "again", "loop"}


def test_a_folder_below_that_may_not_be_listed_is_told(folder, monkeypatch):
    (folder / "locked").mkdir()
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    passed = PassedOver()
    assert len(group_inputs([folder], passed)) == 4
    assert passed.kinds["that may not be listed"] == [folder / "locked"]


def test_slides_of_many_files_stay_one_below_a_folder(dicom_slide, tmp_path):
    (tmp_path / "m.mrxs").write_bytes(b"x")
    (tmp_path / "m").mkdir()
    (tmp_path / "m/Data0000.dat").write_bytes(b"x")
    (tmp_path / "m/preview.png").write_bytes(b"x")
    found = group_inputs([tmp_path])
    others = tuple(dicom_slide / name for name in ("1.dcm", "3.dcm", "4.dcm"))
    assert found == {dicom_slide / "2.dcm": others, tmp_path / "m.mrxs": ()}


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
    assert names(find_inputs(["s10.png", folder, folder / "s10.png", "./s2.PNG"])) == [
        "s10.png",
        "s1.tif",
        "s2.PNG",
        "deep.png",
    ]


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


@pytest.fixture
def dicom_slide(tmp_path):
    folder = tmp_path / "case-1"
    folder.mkdir()
    for name, size in {"1.dcm": (256, 192), "2.dcm": (1024, 768), "3.dcm": (512, 384)}.items():
        (folder / name).write_bytes(dicom(size=size))
    (folder / "4.dcm").write_bytes(dicom("ORIGINAL\\PRIMARY\\LABEL\\NONE", (100, 100)))
    return folder


def test_the_files_of_a_slide_are_one_input(dicom_slide):
    slide = dicom_slide / "2.dcm"
    others = tuple(dicom_slide / name for name in ("1.dcm", "3.dcm", "4.dcm"))
    assert group_inputs([dicom_slide]) == {slide: others}
    (note,) = grouping_notes({slide: others, dicom_slide / "x.png": ()})
    assert note == f"{slide} is one slide with 3 more of the files named, read together: 1.dcm, 3.dcm, 4.dcm"


def test_a_slide_is_the_same_whichever_of_its_files_come_first(dicom_slide):
    names = ["1.dcm", "2.dcm", "3.dcm", "4.dcm"]
    for some in itertools.chain.from_iterable(itertools.permutations(names, count) for count in (1, 2, 4)):
        assert find_inputs([dicom_slide / name for name in some]) == [dicom_slide / "2.dcm"]
    assert find_inputs([f"{dicom_slide}/[134].dcm", dicom_slide]) == [dicom_slide / "2.dcm"]


def test_one_series_in_two_folders_is_two_slides(dicom_slide, tmp_path):
    copy = tmp_path / "case-2"
    copy.mkdir()
    (copy / "2.dcm").write_bytes((dicom_slide / "2.dcm").read_bytes())
    assert find_inputs([dicom_slide, copy]) == [dicom_slide / "2.dcm", copy / "2.dcm"]


def test_the_folder_of_a_mirax_slide_is_that_slide(tmp_path):
    (tmp_path / "s.mrxs").write_bytes(b"x")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "Data0000.dat").write_bytes(b"x")
    assert find_inputs([tmp_path / "s"]) == [tmp_path / "s.mrxs"] == find_inputs([tmp_path])
    assert find_inputs([tmp_path / "s", tmp_path / "s.mrxs"]) == [tmp_path / "s.mrxs"]


ODD_NAMES = [
    *(b"..png", b"...png", b"-k.png", b"new\nline.png", b"tab\t\x1b[31m\x07.png", b"caf\xe9.png", b"x" * 251 + b".png"),
    *("Cafe\u0301.png".encode(), "Caf\u00e9.png".encode(), b"50%.png", b"a#b?c.png", b" .png", b"[1].png"),
]


@pytest.mark.parametrize("name", ODD_NAMES, ids=repr)
def test_a_file_of_any_name_is_found_by_name_and_in_its_folder(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(b"x")
    assert find_inputs([path]) == [path]
    if name.startswith(b"."):  # hidden
        with pytest.raises(ImageError, match="no image in the folder"):
            find_inputs([tmp_path])
    else:
        assert find_inputs([tmp_path]) == [path]
        assert find_inputs([tmp_path / "*.png"]) == [path]


def test_all_names_at_once_in_an_order_that_does_not_change(tmp_path):
    for name in ODD_NAMES:
        (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    found = find_inputs([tmp_path])
    assert len(found) == len(ODD_NAMES) - 2
    assert find_inputs([*reversed(found), tmp_path]) == found[::-1]


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ".png", "x" * 300 + "*.png", "a\0b.png", "\udc80*.png"])
def test_a_name_that_no_file_can_have_is_one_message_or_left_to_the_reader(tmp_path, name):
    path = tmp_path / name
    if "*" in name:
        with pytest.raises(ImageError, match="no image in the glob"):
            find_inputs([path])
    else:
        assert find_inputs([path]) == [path]


def test_a_link_to_nowhere_stays_and_links_to_one_file_count_once(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "b.png").symlink_to("a.png")
    (tmp_path / "c.png").symlink_to("nowhere.png")
    assert names(find_inputs([tmp_path])) == ["a.png", "c.png"]


def test_globs_end_where_links_lead_in_circles(folder):
    for name in ("sub/up", "sub/again", "loop"):
        (folder / name).symlink_to(folder)
    assert names(find_inputs([f"{folder}/**/*.png"])) == ["s10.png", "deep.png"]
    assert names(find_inputs([f"{folder}/**"])) == ["s1.tif", "s2.PNG", "s10.png", "deep.png"]
    assert names(find_inputs([f"{folder.parent}/**/sub/**/deep.*"])) == ["deep.png"]


def test_a_folder_that_may_not_be_listed_is_one_message(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", os.fspath(folder))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ImageError, match=r"cannot be listed.*Permission denied.*check its permissions"):
        find_inputs([tmp_path])


def test_the_working_folder_is_a_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert names(find_inputs(["."])) == ["s1.tif", "s2.PNG", "s10.png", "deep.png"]
    monkeypatch.chdir(folder / "sub")
    assert names(find_inputs([".."])) == ["s1.tif", "s2.PNG", "s10.png", "deep.png"]


def test_a_file_that_several_paths_lead_to_is_told_once_and_worked_once(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    passed = PassedOver()
    assert list(group_inputs([tmp_path], passed)) == [tmp_path / "a.png"]
    assert passed.note() == "1 reached by several paths, and worked once (b.png)"
    passed = PassedOver()
    group_inputs([tmp_path / "a.png", tmp_path / "a.png", tmp_path / "." / "a.png"], passed)
    assert passed.note() == ""
