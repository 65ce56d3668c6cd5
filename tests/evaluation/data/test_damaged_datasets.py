"""Labels, descriptions and tables that are damaged or meant to harm: one message each, soon, with little memory."""

import json
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from histofactor.errors import HistofactorError, ImageError, OptionError
from histofactor.evaluation.data.datasets import MAX_LABEL_PX, load_dataset, read_codes, read_truth
from histofactor.evaluation.data.originals import Original, read_files
from histofactor.evaluation.data.split import divide, read_split

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 18\n%%EndComments\n(%s) run showpage\n%%EOF\n"


def png(width, height, rows=b"", depth=8):
    """A grey PNG that claims a size, whatever its data."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows or bytes(10_000)))
        + chunk(b"IEND", b"")
    )


def test_labels_that_are_a_program_start_none(folder, monkeypatch):
    """Pillow hands EPS to Ghostscript."""
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *args, **kwargs: pytest.fail("a program was started"))
    item = load_dataset(folder).items[0]
    item.labels.write_bytes(EPS)
    with pytest.raises(ImageError, match=r"cannot read the labels .*a1\.png.*cannot identify"):
        read_truth(load_dataset(folder), item)
    (folder / "whole.png").write_bytes(png(20, 18, bytes(21 * 18)))
    item.image.write_bytes(EPS)
    with pytest.raises(ImageError, match=r"cannot read .*images/a1\.png.*cannot identify"):
        read_files(Original(item.image, folder / "whole.png", "A"), 1.0)


PROGRAM = """
import resource, sys, time
from pathlib import Path
from histofactor.errors import ImageError
from histofactor.evaluation.data.datasets import read_codes
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
try:
    read_codes(Path(sys.argv[1]))
except ImageError as error:
    print(error)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert used < 500 * 1024 and time.monotonic() - start < 10, (used, time.monotonic() - start)
"""


@pytest.mark.parametrize("size", [(31_000, 31_000), (13_000, 13_000), (2**31 - 1, 1), (1, MAX_LABEL_PX + 1)])
def test_labels_that_claim_far_more_than_they_hold(tmp_path, size):
    (tmp_path / "labels.png").write_bytes(png(*size))
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "labels.png"], capture_output=True, check=True, timeout=60, text=True
    )
    assert str(tmp_path / "labels.png") in found.stdout
    assert "too large" in found.stdout or "cannot read" in found.stdout


def test_large_labels_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)  # Pillow warns from here on
    (tmp_path / "labels.png").write_bytes(png(20, 18, b"".join(b"\0" + bytes([row] * 20) for row in range(18))))
    assert read_codes(tmp_path / "labels.png").tolist() == [[row] * 20 for row in range(18)]


@pytest.mark.parametrize("end", [*range(9, 60, 3)])
def test_labels_cut_in_their_header(folder, end):
    dataset = load_dataset(folder)
    path = dataset.items[0].labels
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(ImageError, match="cannot read the labels"):
        read_truth(dataset, dataset.items[0])


def test_codes_of_16_and_32_bits(folder):
    facts = {"name": "toy", "mpp": 1.0, "classes": {"7": "a", "40000": "b", "9": "c"}, "ignore": 65535}
    (folder / "dataset.json").write_text(json.dumps(facts))
    dataset = load_dataset(folder)
    codes = np.array([[7, 40000, 9, 65535]])
    for dtype, suffix in ((np.uint16, "png"), (np.int32, "tif")):
        Image.fromarray(codes.astype(dtype)).save(folder / f"codes.{suffix}")
        (folder / f"codes.{suffix}").replace(dataset.items[0].labels)
        assert read_truth(dataset, dataset.items[0]).tolist() == [[0, 2, 1, -1]]
        Image.fromarray((codes + 1).clip(max=65535).astype(dtype)).save(folder / f"codes.{suffix}")
        (folder / f"codes.{suffix}").replace(dataset.items[0].labels)
        with pytest.raises(ImageError, match="got 8, 10, 40001"):
            read_truth(dataset, dataset.items[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"mpp": 10**4000},
        {"mpp": float("nan")},
        {"ignore": 10**4000},
        {"ignore": 2**31},
        {"classes": {str(code): f"class {code}" for code in range(1, 1002)}},
        {"classes": {"1": "a", "2": ["a"]}},
        {"classes": {"²": "a", "1": "b"}},
        {"name": ["x" * 10**6]},
        {"classes": "x" * 10**6},
        {"classes": json.loads("[" * 300 + "]" * 300)},
    ],
)
def test_odd_descriptions(folder, changes):
    facts = {"name": "toy", "mpp": 1.0, "classes": {"1": "stroma", "4": "tumour"}, "ignore": 0}
    (folder / "dataset.json").write_text(json.dumps(facts | changes))
    with pytest.raises(OptionError, match=r"dataset\.json is not as") as error:
        load_dataset(folder)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("content", [b'{"mpp": ' + b"9" * 5000 + b"}", b'{"a":' * 50_000, b"\0" * 2**25, b"[1e999]"])
def test_descriptions_that_are_bombs(folder, content):
    (folder / "dataset.json").write_bytes(content)
    with pytest.raises(OptionError, match=r"dataset\.json is not as"):
        load_dataset(folder)


@pytest.mark.parametrize(
    "content", [b"name,patient\n" + b"x" * 200_000, b"name\n" * 2**23, b"\0,\0\n", b"name\n\r\r,,\n"]
)
def test_odd_tables(folder, content):
    (folder / "images.csv").write_bytes(content)
    with pytest.raises(OptionError, match=r"images\.csv is not as"):
        load_dataset(folder)


def test_names_that_spreadsheets_would_work_out(folder):
    """Stems and patients are read as ``csv_safe`` writes them, and as they are."""
    for kind in ("images", "labels"):
        (folder / kind / "c1.png").replace(folder / kind / "=1+1.png")
    text = "name,patient,stain\na1,'=A,'+x\na2,'=A,x\nb1,B,''y\n'=1+1,-C,'y'\n"
    (folder / "images.csv").write_text(text)
    items = {item.stem: (item.patient, item.facts["stain"]) for item in load_dataset(folder).items}
    assert items == {"a1": ("=A", "+x"), "a2": ("=A", "x"), "b1": ("B", "'y"), "=1+1": ("-C", "'y'")}


def mutants(content, count, seed):
    """Contents with a few bytes flipped, cut out, doubled or put in."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        changed = bytearray(content)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(0, len(changed) + 1))
            match rng.integers(0, 5):
                case 0 if at < len(changed):
                    changed[at] ^= 1 << int(rng.integers(0, 8))
                case 1:
                    del changed[at : at + int(rng.integers(1, 20))]
                case 2:
                    changed[at:at] = changed[at : at + int(rng.integers(1, 20))]
                case 3:
                    changed[at:at] = bytes(rng.integers(0, 256, int(rng.integers(1, 5)), np.uint8))
                case 4:
                    del changed[at:]
        yield bytes(changed)


@pytest.mark.parametrize("mode", ["L", "P", "1", "I;16"])
def test_mutants_of_labels(folder, mode):
    dataset = load_dataset(folder)
    path = dataset.items[0].labels
    with Image.open(path) as image:
        codes = np.asarray(image)
    image = Image.fromarray(codes.astype(np.uint16 if mode == "I;16" else np.uint8))
    (image if mode == "I;16" else image.convert(mode)).save(path)
    for content in mutants(path.read_bytes(), 400, seed=0):
        path.write_bytes(content)
        try:
            truth = read_truth(dataset, dataset.items[0])
        except HistofactorError:
            continue
        assert truth.min() >= -1
        assert truth.max() < 2


@pytest.mark.parametrize("name", ["dataset.json", "images.csv", "train.txt"])
def test_mutants_of_texts(folder, name):
    (folder / "train.txt").write_text("a1\n# half\nB\n")
    (folder / "test.txt").write_text("c1\n")
    read = []
    for content in mutants((folder / name).read_bytes(), 400, seed=1):
        (folder / name).write_bytes(content)
        try:
            dataset = load_dataset(folder)
            divide(dataset, read_split(folder / "train.txt", folder / "test.txt"))
        except HistofactorError:
            continue
        read.append(dataset)
    assert read
