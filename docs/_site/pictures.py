"""Draws the pictures of the docs into docs/images/gallery, of phantoms and of a slide in the public domain.

    python docs/_site/pictures.py [SHARED]

SHARED is the folder of data that benchmarks use; without it the picture of the slide (OpenSlide's CMU-1-Small-Region,
CC0) stays as it is. Pictures of pages need Chromium, and stay as they are without.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import histofactor
from histofactor.cli.main import app
from histofactor.export.overlay import labels_at, render_overlay
from histofactor.slides.phantom import Phantom, phantom

FOLDER = Path(__file__).resolve().parents[1] / "images" / "gallery"
SIDE, GAP, MPP = 400, 12, 0.5
Picture = NDArray[np.uint8]


def main(shared: Path) -> None:
    """Draw all that can be drawn here."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        seen = phantom((1600, 1600), seed=3, mpp=MPP)
        fields = [_written(here / "fields" / f"phantom-{seed}.png", seed) for seed in (3, 4)]
        banks = {len(bank.names): bank for bank in histofactor.learn_concepts(fields, [4, 8, 16]).banks}
        _levels(seen, banks)
        _margin(seen, banks[8])
        _pages(here, fields)
    slide = shared / "data" / "slides" / "cmu-1-small-region.svs"
    if slide.exists():
        _slide(slide)
    else:
        print(f"{slide} is not there: its picture stays as it is")


def _written(path: Path, seed: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(phantom((1600, 1600), seed=seed, mpp=MPP).image).save(path, dpi=(25_400 / MPP, 25_400 / MPP))
    return path


def _levels(seen: Phantom, banks: dict[int, histofactor.ConceptBank]) -> None:
    """One image, and its map at three K of nested banks."""
    maps = [histofactor.segment(seen.image, source_mpp=MPP, concepts=bank) for bank in banks.values()]
    _save("levels", [_small(seen.image), *(render_overlay(_small(seen.image), one) for one in maps)])


def _margin(seen: Phantom, bank: histofactor.ConceptBank) -> None:
    """Image, map, margin and residual; bright is high."""
    found = histofactor.segment(seen.image, source_mpp=MPP, concepts=bank)
    heat = [_heat(one) for one in (found.tokens.margin, found.tokens.residual)]
    _save("margin", [_small(seen.image), render_overlay(_small(seen.image), found), *heat])


def _slide(path: Path) -> None:
    """A slide, its map, and its labels alone."""
    found = histofactor.segment(path, k=8)
    width, height = found.slide.size
    size = (SIDE, round(SIDE * height / width))
    with histofactor.open_slide(path) as slide:
        region = histofactor.Region(0, 0, width, height, size, None)
        image = slide.read(region)
    colors = np.array([(255, 255, 255), *found.label_map.colors], np.uint8)
    _save("slide", [image, render_overlay(image, found), colors[labels_at(found, size)]])


def _pages(here: Path, fields: list[Path]) -> None:
    """The pages that a study and an evaluation write."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return print("pictures of pages need Playwright and stay as they are")
    if (chromium := shutil.which("chromium")) is None:
        return print("pictures of pages need Chromium and stay as they are")
    out = here / "out"
    _run("segment", *map(str, fields), "-o", str(out), "-k", "8")
    _run("evaluate", str(_labelled(here / "phantoms")), "-o", str(here / "scores"), "-k", "8,16")
    pages = {
        "report": out / "phantom-3" / "report.html",
        "concepts": out / "concepts.html",
        "evaluation": here / "scores" / "evaluation.html",
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, page in pages.items():
            shown = browser.new_page(viewport={"width": 1200, "height": 800})
            shown.goto(page.as_uri())
            shown.wait_for_timeout(500)
            shown.screenshot(path=str(FOLDER / f"{name}.jpg"), type="jpeg", quality=72)
        browser.close()
    return None


def _labelled(folder: Path) -> Path:
    """Phantoms with their truth, of two patients each with two."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    rows = ["name,patient"]
    for seed in range(4):
        made = phantom((800, 800), seed=seed, mpp=MPP)
        Image.fromarray(made.image).save(folder / f"images/{seed}.png")
        Image.fromarray(made.truth.astype(np.uint8)).save(folder / f"labels/{seed}.png")
        rows.append(f"{seed},patient {seed % 2 + 1}")
    (folder / "images.csv").write_text("\n".join(rows) + "\n")
    classes = {str(code): name for code, name in enumerate(made.classes)}
    facts = {"name": "phantoms", "mpp": MPP, "classes": classes, "ignore": None}
    (folder / "dataset.json").write_text(json.dumps(facts))
    return folder


def _run(*arguments: str) -> None:
    try:
        app(arguments)
    except SystemExit as stop:
        if stop.code:
            raise


def _small(image: Picture) -> Picture:
    return np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def _heat(values: NDArray[np.float32]) -> Picture:
    colored = cv2.applyColorMap((255 * np.asarray(values)).astype(np.uint8), cv2.COLORMAP_MAGMA)[..., ::-1]
    return np.asarray(Image.fromarray(np.ascontiguousarray(colored)).resize((SIDE, SIDE), Image.Resampling.NEAREST))


def _save(name: str, panels: list[Picture]) -> None:
    """Panels side by side on white."""
    height = max(panel.shape[0] for panel in panels)
    gap = np.full((height, GAP, 3), 255, np.uint8)
    row = [part for panel in panels for part in (panel, gap)][:-1]
    path = FOLDER / f"{name}.jpg"
    Image.fromarray(np.hstack(row)).save(path, quality=80, optimize=True)
    print(f"wrote {path.name}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared"))
