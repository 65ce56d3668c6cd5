"""``histofactor demo``: the whole path on tissue that needs no download."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from histofactor.evaluation.scores.metrics import Table
    from histofactor.slides.phantom import Phantom

_IHC = "human-colon.png"  # Center for Microscopy and Molecular Imaging, by scikit-image; no copyright is known of
_IHC_MPP = 0.5  # the image states no µm/px; judged by the size of its nuclei
_SEEDS = {"phantom-a": 0, "phantom-b": 1}


def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Output folder.")] = Path("histofactor-demo"),
    k: Annotated[int | None, typer.Option("-k", help="Number of concepts; default: the recommended one.")] = None,
) -> None:
    """Learn concepts from an image of human colon and two procedural H&E phantoms, segment all three, and compare.

    The phantoms are compared with their truth.
    """
    from histofactor.cli.progress import progress_reporter
    from histofactor.cli.segment import summarize
    from histofactor.runs.segment_many import ManyOptions, Observer, segment_many
    from histofactor.runs.source import Opening
    from histofactor.runs.study import BANK, open_study
    from histofactor.slides.phantom import phantom

    phantoms = {name: phantom(seed=seed) for name, seed in _SEEDS.items()}
    inputs = _write_inputs(phantoms, out / "inputs")
    with progress_reporter() as reporter:
        options = ManyOptions(opening=Opening(source_mpp=_IHC_MPP), arguments=("demo",), observer=Observer(reporter))
        outcomes = segment_many(inputs, out, k=k, options=options)
    code = summarize(outcomes, out)
    if code == 0:
        _tell_agreement(phantoms, out, open_study(out / BANK).k)
    raise typer.Exit(code)


def _write_inputs(phantoms: dict[str, Phantom], folder: Path) -> list[Path]:
    """Write the images as PNG with their µm/px in the header; returns their paths."""
    import numpy as np
    from PIL import Image

    from histofactor.base.files import atomic

    with (resources.files("histofactor.cli") / _IHC).open("rb") as file:
        images = {"human-colon": (np.asarray(Image.open(file, formats=["PNG"])), _IHC_MPP)}
    images |= {name: (tissue.image, tissue.mpp) for name, tissue in phantoms.items()}
    for name, (pixels, mpp) in images.items():
        dpi = 25_400 / mpp
        with atomic(folder / f"{name}.png") as temporary:
            Image.fromarray(pixels).save(temporary, dpi=(dpi, dpi))
    return [folder / f"{name}.png" for name in images]


def _tell_agreement(phantoms: dict[str, Phantom], out: Path, k: int) -> None:
    """Name every concept after its commonest class in the first phantom, and score the second."""
    from rich.console import Console
    from rich.table import Table

    from histofactor.base.names import LABELS
    from histofactor.evaluation.scores import metrics

    known, scored = (_count(tissue, out / name / LABELS, k) for name, tissue in phantoms.items())
    matrix = metrics.apply_map(scored, metrics.majority_map(known))
    classes = next(iter(phantoms.values())).classes
    table = Table("class", "IoU", box=None)
    for name, iou in zip(classes, metrics.iou_per_class(matrix), strict=True):
        table.add_row(name, f"{iou:.2f}")
    table.add_row("mean", f"{metrics.mean_iou(matrix):.2f}")
    typer.echo("agreement with the truth of phantom-b, concepts named on phantom-a:")
    Console().print(table)
    typer.echo(f"px right: {metrics.accuracy(matrix):.1%}; NMI without naming: {metrics.nmi(scored):.2f}")


def _count(tissue: Phantom, labels: Path, k: int) -> Table:
    """Px of the truth by label and class, at the resolution of the label map."""
    import numpy as np
    import tifffile

    from histofactor.evaluation.scores.metrics import confusion

    found = tifffile.imread(labels)
    rows, columns = (
        ((np.arange(size) + 0.5) * full / size).astype(int)
        for size, full in zip(found.shape, tissue.truth.shape, strict=True)
    )
    return confusion(found, tissue.truth[np.ix_(rows, columns)], k + 1, len(tissue.classes))
