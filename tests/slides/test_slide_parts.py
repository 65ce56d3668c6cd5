import os

import pytest

from dicom_writer import dicom
from histofactor.slides.slide_parts import files_of, headers_of, is_image, slide_name, slides_of_parts

LABEL, THUMBNAIL = "ORIGINAL\\PRIMARY\\LABEL\\NONE", "DERIVED\\PRIMARY\\THUMBNAIL\\RESAMPLED"


@pytest.fixture
def series(tmp_path):
    """A folder with one DICOM slide: three levels, a label of its own series, and a thumbnail."""
    folder = tmp_path / "case 7"
    folder.mkdir()
    (folder / "a.dcm").write_bytes(dicom(size=(256, 192)))
    (folder / "b.DCM").write_bytes(dicom(size=(1024, 768)))
    (folder / "c.dcm").write_bytes(dicom(size=(512, 384)))
    (folder / "d.dcm").write_bytes(dicom(LABEL, (5000, 4000), series="1.2.5"))
    (folder / "e.dcm").write_bytes(dicom(THUMBNAIL, (128, 96)))
    return folder


def test_the_largest_level_stands_for_a_dicom_slide(series):
    assert slides_of_parts(series) == dict.fromkeys(["a.dcm", "b.DCM", "c.dcm", "d.dcm", "e.dcm"], "b.DCM")


def test_slides_of_one_folder_stay_apart(series):
    (series / "f.dcm").write_bytes(dicom(series="1.2.6", study="1.2.9"))
    (series / "g.dcm").write_bytes(dicom(LABEL, series="1.2.7", study="1.2.10"))  # of no slide here
    (series / "h.dcm").write_bytes(b"no DICOM")
    owners = slides_of_parts(series)
    assert owners["f.dcm"] == "f.dcm"
    assert owners["g.dcm"] == "g.dcm"
    assert "h.dcm" not in owners


@pytest.mark.parametrize(("suffix", "head"), [("vms", "Virtual"), ("vmu", "Uncompressed Virtual")])
def test_an_index_stands_for_its_jpeg_files(tmp_path, suffix, head):
    parts = ["s.jpg", "s(1,0).jpg", "s_map2.jpg", "s_macro.jpg"]
    keys = ["ImageFile", "ImageFile(1,0)", "MapFile", "MacroImage"]
    entries = [f"{key}={part}" for key, part in zip(keys, parts, strict=True)]
    lines = [f"[{head} Microscope Specimen]", "NoLayers=1", *entries]
    (tmp_path / f"s.{suffix}").write_bytes("\r\n".join(lines).encode())
    for name in [*parts, "other.jpg"]:
        (tmp_path / name).write_bytes(b"x")
    assert slides_of_parts(tmp_path) == dict.fromkeys(parts, f"s.{suffix}")


def test_a_text_that_names_images_is_no_index(tmp_path):
    (tmp_path / "s.vms").write_text("ImageFile=s.jpg")
    (tmp_path / "s.jpg").write_bytes(b"x")
    assert slides_of_parts(tmp_path) == {}
    assert slides_of_parts(tmp_path / "none") == {}


def test_all_files_of_a_slide(series, tmp_path):
    (series / "f.dcm").write_bytes(dicom(series="1.2.6", study="1.2.9"))
    assert [path.name for path in files_of(series / "b.DCM")] == ["b.DCM", "a.dcm", "c.dcm", "d.dcm", "e.dcm"]
    assert files_of(series / "f.dcm") == [series / "f.dcm"]
    (series / "g.dcm").write_bytes(dicom(size=(64, 48)))  # a level that comes later counts too
    assert files_of(series / "b.DCM")[-1].name == "g.dcm"
    (tmp_path / "s.vms").write_text("[Virtual Microscope Specimen]\nImageFile=s.jpg")
    (tmp_path / "s.jpg").write_bytes(b"x")
    assert files_of(tmp_path / "s.vms") == [tmp_path / "s.vms", tmp_path / "s.jpg"]
    assert files_of(tmp_path / "s.jpg") == [tmp_path / "s.jpg"]
    assert files_of(tmp_path / "m.mrxs") == [tmp_path / "m.mrxs"]
    (tmp_path / "m").mkdir()
    assert files_of(tmp_path / "m.mrxs") == [tmp_path / "m.mrxs", tmp_path / "m"]
    assert files_of(tmp_path / "none" / "n.dcm") == [tmp_path / "none" / "n.dcm"]


def test_a_dicom_slide_is_called_after_its_own_folder(series, monkeypatch):
    assert slide_name(series / "b.DCM") == "case 7"
    (series / "report.xml").write_text("")
    monkeypatch.chdir(series)
    assert slide_name(type(series)("b.DCM")) == "case 7"


@pytest.mark.parametrize("other", ["f.dcm", "photo.png"])
def test_a_dicom_slide_among_others_is_called_after_its_largest_level(series, other):
    (series / other).write_bytes(dicom(series="1.2.6", study="1.2.9"))
    assert slide_name(series / "b.DCM") == "b"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a/b.svs", "b"),
        ("a/b.ome.tif", "b.ome"),
        ("..png", "..png"),
        ("...png", "...png"),
        ("a/....png", "....png"),
        ("gone.dcm", "gone"),
        ("new\nline\x1b[0m.png", "new\nline\x1b[0m"),
        (os.fsdecode(b"caf\xe9.png"), os.fsdecode(b"caf\xe9")),
        ("x" * 251 + ".png", "x" * 251),
    ],
)
def test_other_slides_are_called_after_their_file_and_never_after_a_folder(tmp_path, file, name):
    assert slide_name(tmp_path / file) == name


def test_hidden_files_folders_and_other_files_are_no_images(tmp_path):
    for name in ("a.png", ".b.png", "._c.png", "d.txt", "e.svs.part"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "f.svs").mkdir()
    (tmp_path / "g.png").symlink_to("a.png")
    (tmp_path / "h.png").symlink_to("f.svs")
    (tmp_path / "i.png").symlink_to("nowhere")
    assert [path.name for path in sorted(tmp_path.iterdir()) if is_image(path)] == ["a.png", "g.png", "i.png"]


def test_a_file_that_is_not_there_or_a_folder_has_no_header(tmp_path):
    (tmp_path / "folder.dcm").mkdir()
    assert headers_of(["none.dcm", "folder.dcm"], lambda name: (tmp_path / name).open("rb")) == {}
