"""Readers of data sets, of lists of names, of manifests and of tables."""

import json
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from fuzz.case import Target
from fuzz.pictures import picture, png
from histofactor.concepts.bank.name_table import read_names
from histofactor.concepts.bank.suggested import read_suggested
from histofactor.concepts.prompts import read_prompts
from histofactor.evaluation.data.adapters import adapt
from histofactor.evaluation.data.datasets import load_dataset, read_truth
from histofactor.evaluation.data.split import divide, read_split
from histofactor.export.tables import read_phenotypes, write_rows
from histofactor.runs.table import read_table
from histofactor.tcga.gdc import GdcFile
from histofactor.tcga.manifest import read_manifest, write_manifest

FACTS = {"name": "made", "mpp": 0.5, "classes": {"0": "stroma", "1": "gland", "2": "fat"}, "ignore": 255}


def make_datasets(folder: Path) -> None:
    """A data set with label images of several kinds, a table, and a split."""
    root = folder / "made"
    for name in ("images", "labels"):
        (root / name).mkdir(parents=True)
    labels = np.repeat(np.arange(3, dtype=np.uint8), 8)[None].repeat(20, 0)
    for stem, image in (
        ("a", Image.fromarray(labels)),
        ("b", Image.fromarray(labels).convert("P")),
        ("c", Image.fromarray(labels.astype(np.uint16))),
        ("d", Image.fromarray(labels > 0)),
    ):
        Image.fromarray(picture(24, 20)).save(root / f"images/{stem}.png")
        image.save(root / f"labels/{stem}.png")
    tifffile.imwrite(root / "labels/e.png", labels, compression="lzw")
    Image.fromarray(picture(24, 20)).save(root / "images/e.png")
    (root / "dataset.json").write_text(json.dumps(FACTS))
    (root / "images.csv").write_text("name,patient,grade\n" + "".join(f"{stem},p{stem},g\n" for stem in "abcde"))
    (root / "train.txt").write_text("a\nb\n")
    (root / "test.txt").write_text("# scored\nc\nd\n")


def read_dataset(path: Path) -> None:
    """Read a data set with all its labels and its split."""
    dataset = load_dataset(path)
    divide(dataset, read_split(path / "train.txt", path / "test.txt"))
    for item in dataset.items:
        read_truth(dataset, item)


def make_published(folder: Path) -> None:
    """A slide with its mask and glands with theirs, as their publishers lay them out."""
    root = folder / "glas"
    root.mkdir()
    for split in ("train_1", "testA_1"):
        Image.fromarray(picture(24, 20)).save(root / f"{split}.bmp")
        Image.fromarray(picture(24, 20)[..., 0] // 200).save(root / f"{split}_anno.bmp")
    (root / "Grade.csv").write_text("name, patient ID, grade (GlaS)\ntrain_1, 1, benign\ntestA_1, 2, malignant\n")
    root = folder / "camelyon"
    root.mkdir()
    density = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(root / "tumor_1.tif", picture(96, 80), tile=(32, 32), photometric="rgb", metadata=None, **density)
    mask = np.ones((80, 96), np.uint8)
    mask[20:60] = 2
    with tifffile.TiffWriter(root / "tumor_1_mask.tif") as tiff:
        for step in (1, 2):
            part = {"tile": (32, 32), "compression": "deflate", "metadata": None, "subfiletype": int(step > 1)}
            tiff.write(mask[::step, ::step], **part)


def read_published(path: Path) -> None:
    """Lay out a published data set and read it."""
    out = adapt(path.name, path, path.parent / "out", mpp=1.0 if path.name == "camelyon" else None)
    dataset = load_dataset(out)
    for item in dataset.items:
        read_truth(dataset, item)


def make_manifests(folder: Path) -> None:
    """Manifests, ours and theirs."""
    files = [GdcFile(f"id-{n}", f"TCGA-{n}.svs", f"{n:032x}", 100 + n, "TCGA-BRCA", f"case {n}") for n in range(3)]
    write_manifest(files, folder / "a.tsv")
    theirs = "id\tfilename\tmd5\tsize\tstate\n" + "".join(
        f"i{n}\tf{n}.svs\t{n:032x}\t{n + 1}\tlive\n" for n in range(3)
    )
    (folder / "b.txt").write_text(theirs)


def _many_rows(folder: Path) -> Path:
    files = [GdcFile(f"id-{n}", f"TCGA-{n}.svs", f"{n:032x}", 100 + n) for n in range(30_000)]
    write_manifest(files, folder / "many.tsv")
    return folder / "many.tsv"


def make_names(folder: Path) -> None:
    """Tables of phenotypes and of what is known of inputs."""
    (folder / "names.csv").write_text("label,name,color\n0,none,\n1,tumour,#ff0000\n2,'=stroma,\n")
    (folder / "semicolons.csv").write_text('label;name\n1;"a;b"\n2;c\n', encoding="utf-8-sig")
    (folder / "sources.csv").write_text("file,label,name,hospital,mpp\na,1,x,north,0.5\nb,2,y,south,\n")
    table = "label,name,color,area_px,area_um2,fraction,mean_margin,mean_residual\n1,a,#ff0000,10,2.5,0.5,0.1,\n"
    (folder / "phenotypes.csv").write_text(table)
    (folder / "prompts.csv").write_text("class,synonym,prompt,template\na,b,,\nc,,d e,\n,,,see {} there\n")
    best = [{"name": name, "cosine": 0.5, "share": 0.25} for name in ("a", "b", "c")]
    told = {"margin": 0.1, "votes": 3, "patches": 4, "unsure": "", "model": "m", "prompts": "p"}
    suggested = {"format_version": 1, "concepts": {"0" * 64: {"best": best, **told}}}
    (folder / "bank.suggested.json").write_text(json.dumps(suggested))


def read_any_table(path: Path) -> None:
    """Read a table as the verbs do that take one of its kind."""
    if path.suffix == ".json":
        read_suggested(path.with_name("bank.safetensors"))
        return
    if path.name == "prompts.csv":
        read_prompts(str(path))
        return
    if path.name == "phenotypes.csv":
        write_rows(read_phenotypes(path), path.with_name("again.csv"))
    elif path.name == "sources.csv":
        read_table(path, [Path("a"), Path("b")], "hospital")
    read_names(path)


def _dataset(folder: Path, label: bytes = b"", **facts: object) -> Path:
    make_datasets(folder)
    root = folder / "made"
    if label:
        (root / "labels/a.png").write_bytes(label)
    (root / "dataset.json").write_text(json.dumps(FACTS | facts))
    return root


def _deep_facts(folder: Path) -> Path:
    root = _dataset(folder)
    (root / "dataset.json").write_text("[" * 100_000)
    return root


_EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 24 20\nshowpage\n%%EOF"

TARGETS = (
    Target(
        "datasets",
        make_datasets,
        read_dataset,
        crafted={
            "eps": lambda folder: _dataset(folder, _EPS),
            "bomb": lambda folder: _dataset(folder, png(31_000, 31_000, 0)),
            "header": lambda folder: _dataset(folder, png(24, 20, 0)[:40]),
            "classes": lambda folder: _dataset(folder, classes={str(n): str(n) for n in range(100_000)}),
            "digits": lambda folder: _dataset(folder, mpp=10**400),
            "deep": _deep_facts,
        },
    ),
    Target("published", make_published, read_published),
    Target("manifests", make_manifests, read_manifest, crafted={"many rows": _many_rows}),
    Target("names", make_names, read_any_table),
)
