"""Folder names are safe and stable; locks hold between processes and die with them; a seal says what is whole."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_writer import dicom
from histofactor.base.names import WRITTEN
from histofactor.errors import OutputError
from histofactor.runs.place import (
    LONGEST,
    Place,
    claim,
    clear,
    key_of,
    name_folders,
    read_seal,
    safe_name,
    seal,
    unseal,
)

HOLDER = """
import sys, time
from pathlib import Path
from histofactor.runs.place import Place, claim
with claim(Place(Path(sys.argv[1]), "a")) as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


def test_a_plain_stem_is_the_name():
    for name in ("case 1.png", "TCGA-AA.svs", "a.b.tif", "染色.png", "é.png", "x-2.png"):
        assert safe_name(Path(name)) == Path(name).stem


@pytest.mark.parametrize(
    "name",
    [
        "...png", "..png", ".hidden.png", ".work.png", ".runs.png", "run.json.png", "report.html.png",
        "concepts.safetensors.tif", "phenotypes.csv.svs", "status.json.png", "RUN.JSON.png", "con.png", "Aux.tif",
        "lpt1.x.png", "a:b.png", "a\nb.png", "a\\b.png", " a .png", "tail..png", "x" * 251 + ".png",
        "染" * 80 + ".png", os.fsdecode(b"\xff\xfe.png"), "\x1b[31m.png", "<b>.png",
    ],
)  # fmt: skip
def test_names_that_would_do_harm(name, tmp_path):
    found = safe_name(Path(name))
    assert found not in {"", ".", ".."}
    assert not found.startswith(".")
    assert len(os.fsencode(found)) <= LONGEST
    assert found == found.strip(" .")
    assert found.isprintable()
    assert not set(found) & set('<>:"/\\|?*')
    assert found != Path(name).stem
    place = Place(tmp_path, found)
    for path in (place.results, place.work, place.lock):
        assert path.resolve().is_relative_to(tmp_path)
        assert path.resolve() != tmp_path
    assert found.lower() not in {"run.json", "report.html", "phenotypes.csv", "concepts.safetensors"}
    place.results.mkdir()  # the file system takes it


@given(st.binary(min_size=1, max_size=200).filter(lambda name: b"/" not in name and b"\0" not in name))
def test_any_name_becomes_one_folder_inside(name):
    found = safe_name(Path(os.fsdecode(name)))
    assert Path(found).name == found
    assert len(found.encode()) <= LONGEST


def test_two_names_that_are_made_safe_stay_two():
    assert safe_name(Path("a:b.png")) != safe_name(Path("a?b.png"))


def test_equal_stems_get_folders_of_their_own_whatever_their_order():
    paths = [Path("a/x.png"), Path("b/x.jpg"), Path("c/X.png"), Path("y.png")]
    names = dict(zip(paths, name_folders(paths, {}), strict=True))
    assert names[paths[3]] == "y"
    assert len({name.lower() for name in names.values()}) == 4
    assert all(names[path].lower().startswith("x-") for path in paths[:3])
    for order in (paths[::-1], paths[1:] + paths[:1]):
        assert dict(zip(order, name_folders(order, {}), strict=True)) == names


def test_an_input_keeps_its_folder_and_nobody_takes_it_over():
    first, second = Path("a/x.png"), Path("b/x.png")
    taken = {"x": key_of(first)}
    assert name_folders([first], taken) == ["x"]
    (other,) = name_folders([second], taken)
    assert other.startswith("x-")
    assert name_folders([second, first], taken) == [other, "x"]
    assert name_folders([second], {**taken, other: key_of(second)}) == [other]


def test_one_holder_at_a_time(tmp_path):
    with claim(Place(tmp_path, "a")) as first, claim(Place(tmp_path, "a")) as second:
        assert first
        assert not second
        with claim(Place(tmp_path, "b")) as other:
            assert other
    with claim(Place(tmp_path, "a")) as again:
        assert again
    assert list(tmp_path.iterdir()) == []


def test_a_lock_dies_with_its_process(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline().strip() == "True"
    with claim(Place(tmp_path, "a")) as mine:
        assert not mine
    holder.kill()
    holder.wait()
    holder.stdout.close()
    time.sleep(0.05)
    with claim(Place(tmp_path, "a")) as mine:
        assert mine


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"), claim(Place(tmp_path / "file", "a")):
        pass


@pytest.mark.parametrize("link", [".work", ".work/bands", ".work/bands/a", ".work/locks", "a"])
def test_links_that_lead_out_of_the_output_folder_are_not_followed(tmp_path, link):
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    for name in ("bands/a/work.json", "locks/a.lock", "a/work.json", "a.lock", "work.json"):
        (elsewhere / name).parent.mkdir(parents=True, exist_ok=True)
        (elsewhere / name).write_text("not ours")
    (out / link).parent.mkdir(parents=True)
    (out / link).symlink_to(elsewhere)
    before = {path: path.stat().st_mtime_ns for path in elsewhere.rglob("*")}
    place = Place(out, "a")
    with pytest.raises(OutputError, match="without links"), claim(place):
        pass
    if ".work" in link and link != ".work/locks":
        if link == ".work/bands/a":
            clear(place)  # the link goes
        else:
            with pytest.raises(OutputError, match="will not delete"):
                clear(place)
    assert {path: path.stat().st_mtime_ns for path in elsewhere.rglob("*")} == before


def test_an_output_folder_may_itself_be_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with claim(Place(tmp_path / "link", "a")) as mine:
        assert mine
        assert (tmp_path / "real/.work/locks/a.lock").exists()


def test_a_seal_is_for_one_recipe(tmp_path):
    place = Place(tmp_path, "a")
    assert read_seal(place) is None
    place.results.mkdir()
    for name in WRITTEN:
        (place.results / name).write_text("x")
    seal(place, {"bank": {"k": 6}}, "labels", "outputs")
    sealed = read_seal(place)
    assert (sealed.labels, sealed.outputs, sealed.content["bank"]["k"]) == ("labels", "outputs", 6)
    (place.results / "segmentation.json").write_text('{"recipe_sha256": "of version 0.1"}')
    assert (read_seal(place).labels, read_seal(place).outputs) == ("", "")
    assert "earlier version" in read_seal(place).fault
    (place.results / "segmentation.json").write_text("{broken")
    assert (read_seal(place).labels, read_seal(place).outputs) == ("", "")
    assert "not as it was written" in read_seal(place).fault
    seal(place, {}, "labels", "outputs")
    (place.results / "overlay.png").unlink()
    assert (read_seal(place).labels, read_seal(place).fault) == ("", "overlay.png is gone")
    unseal(place)
    assert not (place.results / "segmentation.json").exists()
    place.work.mkdir(parents=True)
    (place.work / "band").write_text("x")
    clear(place)
    assert not (tmp_path / ".work").exists()


def test_results_are_called_after_the_slide(tmp_path):
    (tmp_path / "case 7").mkdir()
    (tmp_path / "case 7" / "1.2.3.dcm").write_bytes(dicom())
    assert safe_name(tmp_path / "case 7" / "1.2.3.dcm") == "case 7"
    (tmp_path / "case 7" / "photo.png").write_bytes(b"x")
    assert safe_name(tmp_path / "case 7" / "1.2.3.dcm") == "1.2.3"
