"""Whole slides from the command line: damage, full disks and folders that cannot be written each get their message."""

import gzip
import json
import re
import subprocess

import numpy as np
import pytest
import tifffile
from PIL import Image

from histofactor.slides.phantom import phantom
from histofactor.slides.phantom_slide import write_phantom_slide


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """A whole slide, one with a tile of zeroed bytes in its tissue, and one cut off."""
    folder = tmp_path_factory.mktemp("slides")
    write_phantom_slide(folder / "whole.tif", (2600, 2200), seed=2, mpp=0.5, block_px=512)
    content = bytearray((folder / "whole.tif").read_bytes())
    (folder / "cut.tif").write_bytes(content[: len(content) // 3])
    with tifffile.TiffFile(folder / "whole.tif") as tiff:
        page = tiff.pages[0]
        across = -(-page.imagewidth // page.tilewidth)
        tile = int(np.argmax(page.databytecounts))  # the busiest is tissue
        offset, size = page.dataoffsets[tile], page.databytecounts[tile]
    content[offset : offset + size] = bytes(size)
    (folder / "damaged.tif").write_bytes(content)
    (folder / "tile.json").write_text(json.dumps([tile % across * 256, tile // across * 256]))
    return folder


@pytest.fixture
def small_disk(tmp_path):
    """A file system in memory, mounted with options."""
    mounted = []

    def mount(options):
        folder = tmp_path / "disk"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"cannot mount a small file system here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


def test_damaged_slides_are_told_and_the_others_finish(histofactor, slides, tmp_path):
    out = tmp_path / "out"
    code, told, errors = histofactor("segment", slides / "*.tif", "--concepts", "embedded", "-o", out, "-k", 8)
    assert code == 1
    assert "2 of 3 segmented" in told
    assert "failed" in errors
    assert "cut.tif" in errors
    outcomes = {entry["folder"] or "cut": entry for entry in json.loads((out / "run.json").read_text())["inputs"]}
    assert {name: entry["status"] for name, entry in outcomes.items()} == {
        "cut": "failed",
        "damaged": "damaged",
        "whole": "done",
    }
    x, y = json.loads((slides / "tile.json").read_text())
    labels = tifffile.imread(out / "damaged/labels.ome.tif")
    whole = tifffile.imread(out / "whole/labels.ome.tif")
    tile = np.s_[y // 2 : (y + 256) // 2, x // 2 : (x + 256) // 2]
    assert (labels[tile] == 0).all()
    assert (whole[tile] > 0).any()
    places = re.findall(r"(\d+) × (\d+) px at \((\d+), (\d+)\)", outcomes["damaged"]["error"])
    boxes = [(int(left), int(top), int(left) + int(w), int(top) + int(h)) for w, h, left, top in places]
    assert any(a <= x and b <= y and x + 256 <= c and y + 256 <= d for a, b, c, d in boxes)
    beyond = np.ones(whole.shape, bool)  # tokens near the damage saw what stands for it, all have a mean with it
    beyond[max(y // 2 - 320, 0) : y // 2 + 448, max(x // 2 - 320, 0) : x // 2 + 448] = False
    assert (labels[beyond] == whole[beyond]).mean() > 0.995
    recipe = json.loads((out / "damaged/segmentation.json").read_text())
    assert 0 < recipe["unreadable"] < 0.2
    with gzip.open(out / "damaged/regions.geojson.gz") as file:
        assert json.load(file)["features"]


def test_a_slide_without_tissue_is_an_empty_result(histofactor, shared, tmp_path):
    code, _, told = histofactor(
        "segment", shared / "data/slides/kidney-48-5.tif", "--concepts", "embedded", "-o", tmp_path / "out"
    )
    assert code == 0
    assert "no tissue" in told
    assert not tifffile.imread(tmp_path / "out/kidney-48-5/labels.ome.tif").any()
    with gzip.open(tmp_path / "out/kidney-48-5/regions.geojson.gz") as file:
        assert json.load(file) == {"type": "FeatureCollection", "features": []}


def test_real_slides(histofactor, shared, tmp_path):
    slides = shared / "data/slides"
    code, _, errors = histofactor(
        "segment", slides / "tcga-cr-7395-01a-01-ts1.svs", "--concepts", "embedded", "-o", tmp_path / "out"
    )
    assert code == 1
    assert "--source-mpp" in errors
    code, _, _ = histofactor(
        "segment", slides / "cmu-1-small-region.svs", "--concepts", "embedded", "-o", tmp_path / "out", "--profile"
    )
    assert code == 0
    recipe = json.loads((tmp_path / "out/cmu-1-small-region/segmentation.json").read_text())
    assert recipe["source"]["reader"].startswith("OpenSlide")
    assert recipe["source"]["mpp"] == pytest.approx(0.499)


@pytest.mark.slow
def test_a_real_slide_that_states_no_resolution_runs_when_told(histofactor, shared, tmp_path):
    slide = shared / "data/slides/tcga-cr-7395-01a-01-ts1.svs"
    code, _, told = histofactor("segment", slide, "--concepts", "embedded", "-o", tmp_path / "out", "--source-mpp", 4)
    assert code == 0
    assert "coarser" in told
    assert tifffile.imread(tmp_path / "out" / slide.stem / "labels.ome.tif").any()


def test_a_full_disk(histofactor, slides, small_disk):
    disk = small_disk("size=200k")
    code, _, errors = histofactor(
        "segment", slides / "whole.tif", "--concepts", "embedded", "-o", disk / "out", "-k", 8
    )
    assert code in {1, 2}
    assert "free some disk space" in errors


def test_a_folder_that_is_read_only(histofactor, slides, small_disk):
    disk = small_disk("ro")
    code, _, errors = histofactor(
        "segment", slides / "whole.tif", "--concepts", "embedded", "-o", disk / "out", "-k", 8
    )
    assert code == 2
    assert "not read-only" in errors


def test_another_image_of_a_file_is_read_by_every_verb(histofactor, tmp_path):
    file, out = tmp_path / "two.ome.tif", tmp_path / "out"
    scenes = {
        "Core A": phantom((300, 260), seed=1, mpp=1.0).image,
        "Core B": phantom((200, 240), seed=2, mpp=1.0).image,
    }
    with tifffile.TiffWriter(file, ome=True) as writer:
        for name, image in scenes.items():
            writer.write(image, photometric="rgb", metadata={"axes": "YXS", "Name": name, "PhysicalSizeX": 1.0})
    choice = ("--series", "Core B", "--fast")
    code, _, told = histofactor(
        "segment", file, "--concepts", "embedded", "-o", out, "-k", 8, "--keep-weights", *choice
    )
    assert code == 0
    assert "'Core B' (200 × 240 px) is read, not 'Core A'" in " ".join(told.split())
    Image.fromarray(scenes["Core B"]).save(tmp_path / "alone.png")
    histofactor(
        "segment", tmp_path / "alone.png", "--concepts", "embedded", "-o", out, "-k", 8, "--source-mpp", 1, "--fast"
    )
    labels = [tifffile.imread(out / name / "labels.ome.tif") for name in ("two.ome", "alone")]
    assert labels[0].shape == (240, 200)
    np.testing.assert_array_equal(*labels)
    code, _, told = histofactor("relabel", out / "two.ome", "-o", tmp_path / "new")
    assert (code, told) == (0, "")
    overlays = [Image.open(folder / "overlay.png") for folder in (out / "alone", tmp_path / "new")]
    np.testing.assert_array_equal(*map(np.asarray, overlays))
    code, _, told = histofactor("concepts", "train", file, "-o", tmp_path / "b.safetensors", "-k", 4, *choice)
    assert code == 0
    assert "'Core B' (200 × 240 px) is read, not 'Core A'" in " ".join(told.split())
    assert "no patches" not in told
