"""Draws the picture of the viewer into docs/images/viewer.jpg: phantoms, named by their truth, as Chromium shows them.

python docs/_site/viewer_picture.py
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from playwright.sync_api import sync_playwright

from histofactor.base.names import LABELS
from histofactor.slides.phantom import Phantom, phantom

PICTURE = Path(__file__).resolve().parents[1] / "images" / "viewer.jpg"
MPP, K, PURE = 0.5, 8, 0.6  # a label is named where so much of it is one class of the truth
SIZE, WINDOW = (2200, 1600), {"width": 1400, "height": 900}
HISTOFACTOR = (sys.executable, "-c", "from histofactor.cli.main import main; main()")
DRAWN = """() => { const pane = window.histofactor.page().panes[0];
  return pane.isOpen && pane.viewer.world.getItemAt(0).getFullyLoaded() && pane.layer.ready; }"""


def main() -> None:
    """Draw it."""
    with tempfile.TemporaryDirectory() as folder:
        slides, out = Path(folder) / "slides", Path(folder) / "study"
        slides.mkdir()
        made = {f"phantom-{seed}": phantom(SIZE, seed=seed, mpp=MPP) for seed in (3, 4)}
        for name, one in made.items():
            Image.fromarray(one.image).save(slides / f"{name}.png", dpi=(25_400 / MPP, 25_400 / MPP))
        _run("segment", str(slides), "-o", str(out), "-k", str(K))
        _run("concepts", "name", str(out), *(f"{label}={name}" for label, name in _names(out, made).items()))
        _run("relabel", str(out))
        _show(out)
    print(f"wrote {PICTURE.name}, {PICTURE.stat().st_size / 1000:.0f} kB")


def _names(out: Path, made: dict[str, Phantom]) -> dict[int, str]:
    """Labels, and the class that nearly all of each is of."""
    counts = np.zeros((K + 1, 256), np.int64)
    for name, one in made.items():
        labels = tifffile.imread(out / name / LABELS)
        rows, columns = (np.arange(n) * m // n for n, m in zip(labels.shape, one.truth.shape, strict=True))
        np.add.at(counts, (labels, one.truth[rows][:, columns]), 1)
    found = {label: int(row.argmax()) for label, row in enumerate(counts) if label and row.max() > PURE * row.sum()}
    return {label: one.classes[code] for label, code in found.items()}


def _show(out: Path) -> None:
    command = [*HISTOFACTOR, "view", str(out), "--port", "0"]
    with sync_playwright() as playwright, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as viewer:
        try:
            address = re.search(r"http://\S+token=\S+", viewer.stdout.readline())[0]
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport=WINDOW)
            page.goto(address)
            page.wait_for_selector("body[data-ready]")
            page.evaluate("() => window.histofactor.page().panes[0].go({ x: 1000, y: 760, s: 1.15 })")
            page.mouse.move(380, 420)
            page.wait_for_timeout(1000)
            page.wait_for_function(DRAWN)
            page.screenshot(path=str(PICTURE), type="jpeg", quality=76)
            browser.close()
        finally:
            viewer.terminate()


def _run(*arguments: str) -> None:
    subprocess.run([*HISTOFACTOR, *arguments], check=True)


if __name__ == "__main__":
    main()
