"""Files under the names that README and docs use, small: slides, fields, weights, banks and labelled data."""

import csv
import json
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

SIDE, MPP = 640, 0.5


def make_world(folder, monkeypatch, gdc):
    """Fill an empty folder; the GDC is the one on loopback, and UNI a network of its true width with one block."""
    (folder / "slides").mkdir()
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
    (folder / "train.txt").write_text("p0\n")
    (folder / "test.txt").write_text("p1\n")
    write_weights(folder, monkeypatch)
    gdc.fill_with_images()
    monkeypatch.setattr(gdc_module, "ENDPOINT", gdc.endpoint)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(cluster_rows, "TILE_PX", 64)  # of slides this small, 256 concepts need more tiles


def write_slide(path, seed):
    """A pyramidal TIFF of two levels."""
    image = phantom((SIDE, SIDE), seed=seed, mpp=MPP).image
    per_cm = (1e4 / MPP, 1e4 / MPP)
    with tifffile.TiffWriter(path) as file:
        how = {"tile": (256, 256), "photometric": "rgb", "resolutionunit": "CENTIMETER"}
        file.write(image, subifds=0, resolution=per_cm, **how)
        file.write(image[::2, ::2], subfiletype=1, resolution=tuple(one / 2 for one in per_cm), **how)


def write_field(path, seed):
    """An image that states its resolution."""
    path.parent.mkdir(exist_ok=True)
    image = phantom((SIDE // 2, SIDE // 2), seed=seed, mpp=MPP).image
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


def write_weights(folder, monkeypatch):
    """Weights and concepts of UNI: random, of its width, for one block of its 24; and a small network of timm."""
    rows, row = dict(registry._rows()), registry.get("uni")
    rows["uni"] = replace(row, source=replace(row.source, arguments={**row.source.arguments, "depth": 1}))
    monkeypatch.setattr(registry, "_rows", lambda: rows)
    torch.manual_seed(0)
    network = timm.create_model(row.source.architecture, pretrained=False, **rows["uni"].source.arguments)
    for name in ("uni.bin", "pytorch_model.bin"):
        torch.save(network.state_dict(), folder / name)
    torch.save(timm.create_model("vit_tiny_patch16_224", pretrained=False).state_dict(), folder / "vit.bin")
    rng = np.random.default_rng(0)
    joblib.dump({k: rng.random((k, row.dim), np.float32) for k in (16, 64)}, folder / "uni.joblib")
