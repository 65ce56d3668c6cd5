"""Files under the names that README and docs use, small: slides, fields, weights, banks and labelled data.

They are made once, with a study of the slides that most pages begin with; every page finds them as they were made.
"""

import csv
import json
import shutil
from dataclasses import replace

import huggingface_hub.constants
import joblib
import numpy as np
import tifffile
import timm
import torch
from PIL import Image

from histofactor.encoders import registry
from histofactor.segmentation import cluster_rows
from histofactor.slides.phantom import phantom
from histofactor.tcga import gdc as gdc_module

SIDE, FIELD, MPP = 448, 320, 0.5  # px of a slide and of a field
UNI_DIM = 64
STUDY = ("segment", "slides/", "-o", "out")  # the first command of most pages, which finds all done there


def make_world(folder, kept, run):
    """Fill an empty folder and segment its slides, once, and put a copy of all aside."""
    folder.mkdir()
    for number in (1, 2):
        write_slide(folder / f"slides/case-{number}.tif", seed=number)
    for name in ("a.svs", "b.svs"):
        write_slide(folder / name, seed=ord(name[0]))
    for name in ("fields/x.png", "fields/y.png", "images/one.png", "images/two.png", "field.png"):
        write_field(folder / name, seed=len(name) + ord(name[-5]))
    write_field(folder / "masks/a.png", seed=1)
    write_field(folder / "masks/b.png", seed=2)
    with (folder / "slides.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "mpp", "group", "hospital"])
        rows.writerows(
            [f"slides/case-{number}.tif", MPP, f"hospital {number}", f"hospital {number}"] for number in (1, 2)
        )
    for name in ("DATASET", "FOLDER"):
        write_dataset(folder / name)
    write_glas(folder / "glas")
    write_bcss(folder / "bcss")
    (folder / "train.txt").write_text("p0\n")
    (folder / "test.txt").write_text("p1\n")
    write_weights(folder)
    code, told = run(STUDY, folder)
    assert code == 0, told
    shutil.copytree(folder, kept)


def lay_out(folder, kept):
    """Put all back as it was made; results are those of inputs at these very paths."""
    shutil.rmtree(folder)
    shutil.copytree(kept, folder)


def small_uni():
    """The row of UNI for a network of its kind with one narrow block in place of 24 wide ones."""
    row = registry.get("uni")
    arguments = {**row.source.arguments, "depth": 1, "embed_dim": UNI_DIM, "num_heads": 2}
    return replace(row, dim=UNI_DIM, source=replace(row.source, arguments=arguments))


def outside(monkeypatch, gdc):
    """Let commands meet the GDC on loopback, no hub, UNI as ``small_uni`` has it, and slides this small."""
    rows = {**registry._rows(), "uni": small_uni()}
    monkeypatch.setattr(registry, "_rows", lambda: rows)
    gdc.fill_with_images(FIELD)
    monkeypatch.setattr(gdc_module, "ENDPOINT", gdc.endpoint)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(cluster_rows, "TILE_PX", 64)  # of slides this small, 256 concepts need more tiles


def write_slide(path, seed):
    """A pyramidal TIFF of two levels."""
    path.parent.mkdir(exist_ok=True)
    image = phantom((SIDE, SIDE), seed=seed, mpp=MPP).image
    per_cm = (1e4 / MPP, 1e4 / MPP)
    with tifffile.TiffWriter(path) as file:
        how = {"tile": (256, 256), "photometric": "rgb", "resolutionunit": "CENTIMETER"}
        file.write(image, subifds=0, resolution=per_cm, **how)
        file.write(image[::2, ::2], subfiletype=1, resolution=tuple(one / 2 for one in per_cm), **how)


def write_field(path, seed):
    """An image that states its resolution."""
    path.parent.mkdir(exist_ok=True)
    image = phantom((FIELD, FIELD), seed=seed, mpp=MPP).image
    Image.fromarray(image).save(path, dpi=(25_400 / MPP, 25_400 / MPP))


def write_dataset(folder):
    """Phantoms and their truth, of two patients."""
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    names = ["name,patient"]
    for number in range(4):
        made = phantom((SIDE // 2, SIDE // 2), seed=number, mpp=MPP)
        Image.fromarray(made.image).save(folder / f"images/{number}.png")
        Image.fromarray(made.truth.astype(np.uint8)).save(folder / f"labels/{number}.png")
        names.append(f"{number},p{number % 2}")
    (folder / "images.csv").write_text("\n".join(names) + "\n")
    classes = {str(code): f"tissue {code}" for code in range(256)}
    (folder / "dataset.json").write_text(
        json.dumps({"name": "phantoms", "mpp": MPP, "classes": classes, "ignore": None})
    )


def write_glas(folder):
    """The glands of GlaS as their publishers distribute them."""
    folder.mkdir()
    rows = ["name, patient ID, grade (GlaS)"]
    for number, stem in enumerate(("train_1", "train_2", "testA_1", "testA_2")):
        made = phantom((SIDE // 2, SIDE // 2), seed=number, mpp=MPP)
        Image.fromarray(made.image).save(folder / f"{stem}.bmp")
        Image.fromarray((made.truth == made.truth.max()).astype(np.uint8)).save(folder / f"{stem}_anno.bmp")
        rows.append(f"{stem}, {number}, benign")
    (folder / "Grade.csv").write_text("\n".join(rows) + "\n")


def write_bcss(folder):
    """Regions of BCSS as their publishers distribute them, two of each part."""
    for number, institute in enumerate(("A1", "A2", "OL", "GM")):
        made = phantom((SIDE, SIDE), seed=number, mpp=MPP)
        for name, picture in (("images", made.image), ("masks", made.truth.astype(np.uint8))):
            (folder / name).mkdir(parents=True, exist_ok=True)
            stem = f"TCGA-{institute}-000{number}-DX1_xmin1_ymin2_MPP-{MPP:.4f}"
            Image.fromarray(picture).save(folder / f"{name}/{stem}.png")


def write_weights(folder):
    """Weights and concepts of UNI as ``small_uni`` has it, random; and a small network of timm."""
    row = small_uni()
    torch.manual_seed(0)
    network = timm.create_model(row.source.architecture, pretrained=False, **row.source.arguments)
    for name in ("uni.bin", "pytorch_model.bin"):
        torch.save(network.state_dict(), folder / name)
    torch.save(timm.create_model("vit_tiny_patch16_224", pretrained=False).state_dict(), folder / "vit.bin")
    rng = np.random.default_rng(0)
    joblib.dump({k: rng.random((k, row.dim), np.float32) for k in (16, 64)}, folder / "uni.joblib")
