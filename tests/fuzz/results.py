"""Readers of what histofactor wrote itself: results with weights, unfinished work, samples, what is told of runs."""

import json
import shutil
from functools import lru_cache
from pathlib import Path

import google_crc32c
import numpy as np
import tifffile
from PIL import Image

from fuzz.case import Target
from histofactor.base.digests import DamagedError, path_digest, write_digested
from histofactor.base.names import SEAL
from histofactor.concepts.learn.sample import Known, Sample
from histofactor.concepts.learn.sample_file import read_note
from histofactor.encoders.build import load_encoder
from histofactor.errors import HistofactorError
from histofactor.export.previews import read_preview
from histofactor.export.read import open_results
from histofactor.runs.derive import derive
from histofactor.runs.place import Place, read_seal, under_way
from histofactor.runs.regroup import Regrouping
from histofactor.runs.relabel import relabel
from histofactor.runs.results import Outputs
from histofactor.runs.segment_many import ManyOptions, segment_many
from histofactor.runs.source import Opening
from histofactor.segmentation.store import DiskStore
from histofactor.slides.phantom import phantom
from small_bands import random_bands

NAME = "tissue"
ROWS, WIDTH, STRIDE = (16, 8, 24), 40, 8


@lru_cache(1)
def encoder():
    """The encoder that the package brings."""
    return load_encoder("embedded", device="cpu", transform="split-root")


def make_results(folder: Path) -> None:
    """The output folder of a run over one small input, which lies beside all corpora."""
    image = folder.parents[1] / f"{NAME}.png"
    if not image.exists():
        Image.fromarray(phantom((96, 64), seed=3, mpp=1.0).image).save(image)
    _segment(image, folder / "out")


def _segment(image: Path, out: Path) -> str:
    options = ManyOptions(opening=Opening(source_mpp=1.0), outputs=Outputs(weights=True))
    (outcome,) = segment_many([image], out, encoder=encoder(), options=options)
    return outcome.traceback or outcome.error


def _image(path: Path) -> Path:
    return next(found for folder in path.parents if (found := folder / f"{NAME}.png").exists())


def read_results(path: Path) -> None:
    """Derive the labels of results again; they are those of results that nobody touched."""
    relabel(path / NAME, path.parent / "new", Regrouping())
    labels = tifffile.imread(path.parent / "new/labels.ome.tif")
    expected = tifffile.imread(_image(path).with_name("corpus") / "results/out" / NAME / "labels.ome.tif")
    if not np.array_equal(labels, expected):
        raise RuntimeError("other labels")


def read_resealed(path: Path) -> None:
    """Derive the labels of results of unknown origin again."""
    relabel(path / NAME, path.parent / "new", Regrouping([((1, 2), "both")]))


def reseal(path: Path) -> None:
    """Make the checksums of results right again: of the chunks of their arrays, and in their seal."""
    results = path / NAME
    for chunk in (results / "weights.zarr").rglob("*"):
        if chunk.is_file() and chunk.name != "zarr.json":
            content = chunk.read_bytes()[:-4]
            chunk.write_bytes(content + google_crc32c.value(content).to_bytes(4, "little"))
    try:
        content = json.loads((results / SEAL).read_text())
        content.pop("sha256", None)
        content["digests"] = {name: path_digest(results / name) for name in content["digests"]}
        write_digested(content, results / SEAL)
    except (ValueError, TypeError, AttributeError, LookupError, OSError, RecursionError):
        return  # the seal was spoiled itself


def read_study(path: Path) -> None:
    """Read what a folder of results tells of its runs, derive its page again, and segment its input again."""
    under_way(path)
    read_seal(Place(path, NAME))
    read_preview(path / NAME)
    try:
        with open_results(path / NAME):
            pass
        derive(path)
    except HistofactorError:
        pass  # segmenting mends it
    if told := _segment(_image(path), path):
        raise RuntimeError(told)
    derive(path)


def make_study(folder: Path) -> None:
    """As ``make_results``, with what a run that was cut short leaves behind."""
    make_results(folder)
    shutil.copytree(folder / "out", folder / "cut")
    (folder / "cut" / NAME / SEAL).unlink()


def bands():
    """Three bands of an input."""
    return random_bands(ROWS, WIDTH, STRIDE)


def make_work(folder: Path) -> None:
    """The unfinished work of an input: all three of its bands."""
    store = DiskStore(folder / "work", "recipe", keep_weights=True)
    for number, band in enumerate(bands()):
        store.put(band, {"number": np.array(number), "canvas": np.ones((4, 5), np.float32)})


def read_work(path: Path) -> None:
    """Go on with unfinished work; what is there is as it was written, or all of it is begun anew."""
    store = DiskStore(path, "recipe", keep_weights=True)
    if store.state() is None:
        return
    maps = store.maps()
    if not np.array_equal(maps.labels[:], np.concatenate([band.labels for band in bands()])):
        raise RuntimeError("other labels")
    if sum(len(part.scale) for part in store.weights()) != sum(ROWS) // STRIDE:
        raise RuntimeError("other weights")


def make_samples(folder: Path) -> None:
    """A sample that was saved."""
    sample, rng = Sample(20, 3), np.random.default_rng(0)
    draw = sample.quota.draw("a", 30)
    chosen = np.flatnonzero(draw.wanted)
    tokens = rng.random((len(chosen), 3), np.float32)
    sample.add(tokens, draw.keys[chosen], 0, Known(tokens[:, 0], tokens[:, :2]))
    sample.save(folder / "a.sample.npz", '{"recipe": "a", "slides": {}}')


def read_sample(path: Path) -> None:
    """Take in a sample."""
    json.loads(read_note(path))
    Sample(20, 3).load(path)


TARGETS = (
    Target("results", make_results, read_results, slow=2),
    Target("resealed", make_results, read_resealed, mend=reseal, slow=2),
    Target("study", make_study, read_study, slow=8),
    Target("work", make_work, read_work),
    Target("samples", make_samples, read_sample, refusals=(DamagedError,)),
)
