"""Do the masks of quality control tell spoilt tissue, and how often do they mark tissue that is as it should be?

Fields of five sets, at their own µm/px: half of the patients of ``glas-dev`` (0.62), and the rest of it to test; oral
carcinoma ``ocdc`` (0.5) and ``oscc`` (0.25, read at 0.5), and a part of a slide, ``cmu-1`` (0.499). As they are, and
spoilt: blurred by a Gauss of 3 and 6 px of 0.62 µm, under three inks, and with a fold, a bent band of 40 to 120 µm in
which the tissue lies on its mirror image; ``eosin in brown`` has eosin painted in DAB, as if another stain had been
used. Share of the cells of tissue that are marked at all (untouched), or as what they are (spoilt; of the fold those in
the band), or as pen (brown). Weights of the fold and limits come from all sets but the one to test.

    python benchmarks/quality.py ../shared           writes results/quality.csv
    python benchmarks/quality.py ../shared --fit     finds them anew, and prints them for masks/quality.py
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from common import report
from PIL import Image
from skimage.color import hed2rgb, rgb2hed
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from histofactor.masks import quality
from histofactor.records import Region
from histofactor.slides.reader import open_slide
from histofactor.slides.tissue import tissue_mask

BLUR_UM = 3 * 0.62
FALSE_ALARMS = (0.001, 0.001, 0.01)  # of out of focus, pen and fold, among all tissue that limits are found on
TRAINED = ("glas-dev, half", "ocdc", "oscc", "cmu-1")
TESTED = "glas-dev, other half"
INKS = {"blue": (0.25, 0.35, 0.9), "green": (0.2, 0.7, 0.4), "black": (0.15, 0.15, 0.15)}
_CELL, _HALO, _PART = quality.CELL_PX, quality.HALO_PX, 1 << 11

Spoil = Callable[[np.ndarray, float, np.random.Generator], tuple[np.ndarray, np.ndarray | None]]


@dataclass(frozen=True)
class Field:
    """An image, and the set that it belongs to."""

    group: str
    image: np.ndarray
    mpp: float


@dataclass(frozen=True)
class Cells:
    """What was measured of an image: cells (h, w, …), those of tissue, and those that were spoilt."""

    group: str
    measured: np.ndarray
    tissue: np.ndarray
    spoilt: np.ndarray


def fields(shared: Path) -> Iterator[Field]:
    """All fields."""
    data = shared / "data"
    with (data / "glas-dev/images.csv").open() as file:
        patients = {row["name"]: row["patient"] for row in csv.DictReader(file)}
    half = set(sorted(set(patients.values()), key=int)[::2])
    for path in sorted((data / "glas-dev/images").iterdir()):
        yield Field(TRAINED[0] if patients[path.stem] in half else TESTED, _read(path), 0.62)
    for path in sorted((data / "ocdc/images").iterdir()):
        yield Field("ocdc", _read(path), 0.5)
    for path in sorted((data / "oscc").iterdir()):
        yield Field("oscc", _shrunk(_read(path), 0.5), 0.5)
    yield Field("cmu-1", *_whole(data / "slides/cmu-1-small-region.svs"))


def _read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def _whole(path: Path) -> tuple[np.ndarray, float]:
    """A small slide, and its µm/px."""
    with open_slide(path) as slide:
        return slide.read(Region(0, 0, *slide.info.size, slide.info.size)), slide.info.mpp


def band(shape: tuple[int, ...], mpp: float, rng: np.random.Generator) -> np.ndarray:
    """A bent band (h, w) of 40 to 120 µm, anywhere."""
    height, width = shape[:2]
    y, x = np.mgrid[:height, :width] * mpp
    angle, thick, swing, long, phase = rng.uniform((0, 40, 10, 60, 0), (np.pi, 120, 40, 150, 6))
    across, down = rng.uniform(0.3, 0.7, 2)
    x, y = x - width * mpp * across, y - height * mpp * down
    along, off = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return np.abs(off - swing * np.sin(along / long + phase)) < thick / 2


def folded(image: np.ndarray, mpp: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A band of the image lies on its mirror image: optical densities add up."""
    where = band(image.shape, mpp, rng)
    twice = (image.astype(np.float64) * image[:, ::-1] / 255).astype(np.uint8)
    return np.where(where[..., None], twice, image), where


def immunostain(image: np.ndarray) -> np.ndarray:
    """Eosin painted in DAB (Ruifrok and Johnston 2001), as if another stain had been used."""
    stains = rgb2hed(image)
    brown = np.stack([stains[..., 0], np.zeros(image.shape[:2]), stains[..., 1]], -1)
    return (hed2rgb(brown) * 255).astype(np.uint8)


def blurred(times: float) -> Spoil:
    """Out of focus."""
    return lambda image, mpp, rng: (cv2.GaussianBlur(image, (0, 0), times * BLUR_UM / mpp), None)


def inked(color: tuple[float, float, float]) -> Spoil:
    """Pen over the whole field."""
    return lambda image, mpp, rng: ((image * np.array(color)).astype(np.uint8), None)


SPOILT: dict[str, tuple[int, Spoil]] = {
    "blur 3 px": (0, blurred(1)),
    "blur 6 px": (0, blurred(2)),
    **{f"{name} ink": (1, inked(color)) for name, color in INKS.items()},
    "fold": (2, folded),
    "eosin in brown": (1, lambda image, mpp, rng: (immunostain(image), None)),
}


def cells(field: Field, image: np.ndarray, spoilt: np.ndarray | None) -> Cells:
    """Measure an image on the cells of its field, whose tissue is that of the field before it was spoilt."""
    px = _shrunk(image, field.mpp)
    height, width = (side // _CELL * _CELL for side in px.shape[:2])
    tissue = _on_cells(tissue_mask(_shrunk(field.image, field.mpp / 4), 4.0), (width, height))
    where = np.ones(tissue.shape, bool) if spoilt is None else _on_cells(spoilt, (width, height))
    padded = np.pad(px[:height, :width], ((_HALO, _HALO), (_HALO, _HALO), (0, 0)), mode="symmetric")
    return Cells(field.group, quality.measure(padded), tissue, tissue & where)


def _shrunk(image: np.ndarray, scale: float) -> np.ndarray:
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _on_cells(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cells that are true for more than half."""
    wide = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_NEAREST)
    return cv2.resize(wide, (size[0] // _CELL, size[1] // _CELL), interpolation=cv2.INTER_AREA) > 0.5


def fit(plain: list[Cells], folds: list[Cells]) -> np.ndarray:
    """Weights of a fold: logistic regression, every field with one weight."""
    rows, truth, weight = [], [], []
    for told, many in ((0, plain), (1, folds)):
        for one in many:
            found = quality.fold_terms(one.measured, one.tissue)[one.spoilt if told else one.tissue]
            if one.group in TRAINED and len(found):
                rows.append(found)
                truth.append(np.full(len(found), told))
                weight.append(np.full(len(found), 1 / len(found)))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    weights = np.concatenate(weight)
    model.fit(np.concatenate(rows), np.concatenate(truth), logisticregression__sample_weight=weights / weights.mean())
    return model[-1].coef_[0] / model[0].scale_


def limits(plain: list[Cells]) -> Iterator[float]:
    """Scores above which a mark of each kind has its share of false alarms among all tissue, to a thousandth."""
    trained = [one for one in plain if one.group in TRAINED]
    tissue = sum(int(one.tissue.sum()) for one in trained)
    found = [np.inf] * len(FALSE_ALARMS)
    for kind, share in enumerate(FALSE_ALARMS):
        low, high = 0, 20_000
        while high - low > 1:
            found[kind] = (low + high) // 2 / 1000
            quality.LIMITS = tuple(found)
            marked = sum(np.count_nonzero(quality.marks(one.measured, one.tissue) == kind + 1) for one in trained)
            low, high = (low, (low + high) // 2) if marked <= share * tissue else ((low + high) // 2, high)
        found[kind] = np.inf
        yield high / 1000


def shares(many: list[Cells], kind: int | None) -> dict[str, float]:
    """Share of the spoilt cells of every set that are marked as of a kind; of any where it is None."""
    counts: dict[str, np.ndarray] = {}
    for one in many:
        found = quality.marks(one.measured, one.tissue)[one.spoilt]
        hits = np.count_nonzero(found if kind is None else found == kind + 1)
        counts[one.group] = counts.get(one.group, 0) + np.array([hits, len(found)])
    return {group: float(hits / total) for group, (hits, total) in counts.items()}


def main() -> None:
    """Measure all."""
    plain: list[Cells] = []
    spoilt: dict[str, list[Cells]] = {name: [] for name in SPOILT}
    for number, field in enumerate(fields(Path(sys.argv[1]))):
        plain.append(cells(field, field.image, None))
        for name, many in spoilt.items():
            many.append(cells(field, *SPOILT[name][1](field.image, field.mpp, np.random.default_rng(number))))
    if "--fit" in sys.argv:
        quality.FOLD = fit(plain, spoilt["fold"]).round(3).astype(np.float32)
        quality.LIMITS = tuple(limits(plain))
        print("FOLD", [round(float(weight), 3) for weight in quality.FOLD], "LIMITS", quality.LIMITS, flush=True)
    groups = [*TRAINED, TESTED]
    table = {"untouched": shares(plain, None)}
    table |= {f"untouched: {name}": shares(plain, kind) for kind, name in enumerate(quality.NAMES)}
    table |= {name: shares(spoilt[name], kind) for name, (kind, _) in SPOILT.items()}
    rows = [(group, *(of[group] for of in table.values())) for group in groups]
    report("quality", ("set", *table), rows, ("opencv-python-headless", "scikit-learn"))


if __name__ == "__main__":
    main()
