"""Are the eight largest phenotypes of a field told apart in its overlay, by colour-blind eyes too?

Fields of two organs and a phantom, in concepts learned from a few fields and in the embedded ones, K = 8 to 64. The
colour of a phenotype is its mean in the overlay, lines left out. For every field the smallest CIELAB distance (CIE76)
of two of the eight, in normal vision, protanopia and deuteranopia (Machado et al. 2009), and CIEDE2000 by scikit-image:

- before: colours by number, over the image in grey at 50 %, as histofactor 0.1 had them first;
- after: the colours of the bank, as ``render_overlay`` tints the image, at 45 % transparency;
- plain: the same colours where each lies over its own stain, as in a viewer that mixes colours with the image;
- swatch: how far the colour of a phenotype is from its swatch over the mean stain, at most.

    python benchmarks/palette.py ../shared           writes results/palette.csv
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from common import report
from numpy.typing import NDArray
from PIL import Image
from skimage.color import deltaE_ciede2000

from histofactor.base.colors import OPACITY, blend, perceived_lab
from histofactor.concepts.bank.file import load_banks
from histofactor.export.overlay import labels_at, render_overlay
from histofactor.records import ConceptBank, Segmentation
from histofactor.runs.learn_concepts import learn_concepts
from histofactor.runs.sample_builder import LearnOptions
from histofactor.runs.source import Opening
from histofactor.segmentation.page import segment_slide
from histofactor.segmentation.plan import make_plan
from histofactor.segmentation.setup import prepare
from histofactor.segmentation.window_memory import HeldInput, WindowMemory
from histofactor.slides.phantom import phantom
from histofactor.slides.reader import open_slide

KS, LARGEST, GOAL = (8, 16, 32, 64), 8, 15.0
VISIONS = ("normal", "protanopia", "deuteranopia")
EMBEDDED = Path(__file__).parent.parent / "src/histofactor/encoders/embedded/concepts.safetensors"
FORMER = bytes.fromhex(
    "e69f0056b4e9009e73f0e4420072b2d55e0085303000e6796d48003085ffe6303c3cdada9dda55799d5500e6b6c29d3c"
    "79aaff6dce856d6d240c55aa30daffc2616130ce0cf26d553c793caac26100913c61910000c2aaffaa48f2c2790085e6"
    "b62418e6916d00b66d6185ce18610c61b685009de600e69d91da18919d1848913000795548ce9df2797948b655c27948"
    "aac23c9d3c30ff9d61306dce9d6100c248243c9161ff303c0c61aa9d2400ce91480cc2fff2610c6191f2aa002455dac2"
)  # the first 64 colours of the palette before
LUMA = np.array([0.2126, 0.7152, 0.0722])


@dataclass(frozen=True)
class Fields:
    """Fields of one organ: which are learned from, which looked at, and their µm/px."""

    name: str
    learned: list[Path]
    shown: list[Path]
    mpp: float


def main() -> None:
    """Measure all fields."""
    data = Path(sys.argv[1]) / "data"
    colon, oral = sorted((data / "glas-dev/images").glob("*.png")), sorted((data / "oscc").glob("*.jpg"))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "phantom.png"
        Image.fromarray(phantom((1400, 1400), seed=3).image).save(drawn)
        for fields in (
            Fields("colon", colon[::10], [*colon[:30:10], colon[5]], 0.62),
            Fields("oral", oral[:12:3], oral[:9:3], 0.25),
            Fields("phantom", [drawn], [drawn], 0.5),
        ):
            options = LearnOptions(opening=Opening(source_mpp=fields.mpp), tokens=30_000)
            own = {len(bank.names): bank for bank in learn_concepts(fields.learned, KS, options=options).banks}
            for path in fields.shown:
                rgb = np.asarray(Image.open(path).convert("RGB"))
                for name, banks in (("own", own), ("embedded", load_banks(EMBEDDED))):
                    for k, made in segmented(path, fields.mpp, banks).items():
                        rows.append((fields.name, path.name, name, k, *measured(rgb, made)))
                        print(*rows[-1], flush=True)
    columns = [f"{what}_{vision}" for what in ("before", "after", "plain", "ciede2000") for vision in VISIONS]
    summary = summed_up(rows)
    report("palette", ("organ", "field", "bank", "k", *columns, "swatch"), [*rows, *summary], ("numpy", "scikit-image"))


def segmented(path: Path, mpp: float, banks: dict[int, ConceptBank]) -> dict[int, Segmentation]:
    """One field in every K, encoded once."""
    memory, plan, found = WindowMemory(), None, {}
    with open_slide(path, source_mpp=mpp) as slide:
        for k in KS:
            segmenter = prepare(encoder="embedded", concepts=banks[k], k=None, mpp=None, method="project", options=None)
            plan = plan or make_plan(slide, segmenter.setup)
            found[k] = segment_slide(slide, segmenter, held=HeldInput(plan, memory))
    return found


def measured(rgb: NDArray[np.uint8], made: Segmentation) -> list[float]:
    """Smallest distances of the largest phenotypes of a field."""
    labels = labels_at(made, (rgb.shape[1], rgb.shape[0])).astype(np.int64)
    inside = cv2.erode(np.ones_like(rgb[..., 0]), None) > 0
    for axis in (0, 1):
        line = labels != np.roll(labels, -1, axis)
        inside &= ~line & ~np.roll(line, 1, axis)
    areas = np.bincount(labels.ravel(), minlength=2)[1:]
    chosen = [int(one) + 1 for one in np.argsort(-areas)[:LARGEST] if areas[one]]
    colors = np.array([made.label_map.colors[one - 1] for one in chosen])
    former = np.frombuffer(FORMER, np.uint8).reshape(-1, 3)[np.array(chosen) - 1]
    beneath = np.array([rgb[labels == one].mean(0) for one in chosen])
    overlay = render_overlay(rgb, made)
    after = np.array([overlay[(labels == one) & inside].mean(0) for one in chosen])
    before = 0.5 * former + 0.5 * (beneath @ LUMA)[:, None]
    swatches = blend(colors, rgb[labels > 0].mean(0))
    off = [np.linalg.norm(lab_of(a[None])[0] - lab_of(b[None])[0]) for a, b in zip(after, swatches, strict=True)]
    return [*apart(before), *apart(after), *apart(blend(colors, beneath)), *ciede2000(after), round(float(max(off)), 1)]


def lab_of(colors: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIELAB by normal vision."""
    return perceived_lab(np.rint(colors).astype(np.uint8))[0]


def apart(colors: NDArray[np.float64]) -> list[float]:
    """Smallest CIE76 distance of two colours, by vision."""
    lab = perceived_lab(np.rint(colors).astype(np.uint8))
    i, j = np.triu_indices(len(colors), 1)
    return [round(float(one), 1) for one in np.linalg.norm(lab[:, i] - lab[:, j], axis=-1).min(axis=1)]


def ciede2000(colors: NDArray[np.float64]) -> list[float]:
    """Smallest CIEDE2000 distance of two colours, by vision."""
    i, j = np.triu_indices(len(colors), 1)
    return [
        round(float(deltaE_ciede2000(one[i], one[j]).min()), 1)
        for one in perceived_lab(np.rint(colors).astype(np.uint8))
    ]


def summed_up(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """The worst field of every bank and K."""
    found = []
    for bank in ("own", "embedded"):
        for k in KS:
            values = np.array([row[4:] for row in rows if row[2:4] == (bank, k)], np.float64)
            found.append(("all", "worst", bank, k, *values[:, :-1].min(0).tolist(), values[:, -1].max()))
            reached = (values[:, 4:6] >= GOAL).all(axis=1).mean()
            print(f"{bank}, K = {k}: {reached:.0%} of {len(values)} fields reach {GOAL:g} at {1 - OPACITY:.0%}")
    return found


if __name__ == "__main__":
    main()
