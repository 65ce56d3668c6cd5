"""``histofactor evaluate``: how good is it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histofactor.cli.engine_options import EngineChoice, engine_options
from histofactor.cli.options import EncoderChoice, encoder_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.table import Table

    from histofactor.evaluation.data.split import Split
    from histofactor.evaluation.pages.outputs import Evaluation
    from histofactor.evaluation.scores.floors_and_ceilings import Bracket
    from histofactor.evaluation.scores.protocol import Scores
    from histofactor.runs.execute.engine import Engine


@dataclass(frozen=True, slots=True)
class Ways:
    """What is evaluated, as the options of the command say it."""

    choice: EncoderChoice
    concepts: Path | None
    k: str
    methods: str
    split: Split | None = None
    stability: int = 0
    paper: bool = False
    seed: int = 0
    engine: Engine | None = None


CONCEPTS = typer.Option(
    metavar="FILE|embedded",
    help="Concept bank, or the one that ships; default: learned from the images, without labels, as `segment` does.",
)
SEED = typer.Option(min=0, help="Seed of the sample that concepts are learned from, and of their clustering.")
PAPER = typer.Option("--paper", help="Score the variants a to d of the paper beside ours, same encoder and K.")


@engine_options
@encoder_options
def evaluate(  # noqa: PLR0913 - one parameter an option
    dataset: Annotated[Path, typer.Argument(help="Folder with images/, labels/, dataset.json and images.csv.")],
    *,
    out: Annotated[Path, typer.Option("-o", "--out", help="Output folder.")],
    concepts: Annotated[Path | None, CONCEPTS] = None,
    k: Annotated[str, typer.Option("-k", help="Numbers of concepts, separated by commas.")] = "16,64",
    methods: Annotated[str, typer.Option(help="Methods, separated by commas.")] = "project,cluster",
    train_split: Annotated[Path | None, typer.Option(help="Text file: images or patients that tell classes.")] = None,
    test_split: Annotated[Path | None, typer.Option(help="Text file: images or patients that are scored.")] = None,
    stability: Annotated[int, typer.Option(help="Disturb so many images: how many px keep their label?")] = 0,
    paper: Annotated[bool, PAPER] = False,
    seed: Annotated[int, SEED] = 0,
    choice: EncoderChoice,
    by: EngineChoice,
) -> None:
    """Score unsupervised segmentation on a labelled data set, by cross-validation over patients.

    Concepts become classes by majority on the training patients; the held-out patients are scored. With --train-split
    and --test-split this is done once, as they say.
    """
    from histofactor.errors import OptionError
    from histofactor.evaluation.data.split import read_split

    engine = by.asked(choice.device)
    if (train_split is None) != (test_split is None):
        raise OptionError("half a split is given", expected="both --train-split and --test-split, or neither")
    split = read_split(train_split, test_split) if train_split and test_split else None
    run_and_tell(dataset, out, Ways(choice, concepts, k, methods, split, stability, paper, seed, engine))


def run_and_tell(dataset: Path, out: Path, ways: Ways) -> None:
    """Evaluate with a bar of progress, print the scores, and say what was written."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

    from histofactor.cli.options import numbers, say
    from histofactor.cli.progress import shown, start
    from histofactor.evaluation.data.datasets import NO_PATIENTS, load_dataset
    from histofactor.evaluation.data.split import divide
    from histofactor.evaluation.run import EvaluateOptions, encodings
    from histofactor.evaluation.run import evaluate as run
    from histofactor.runs.execute.engine import LOCAL
    from histofactor.segmentation.setup import SegmentOptions

    choice = ways.choice
    choice.check()
    options = EvaluateOptions(
        ks=numbers(ways.k, "-k"),
        methods=[method.strip() for method in ways.methods.split(",")],
        fast=choice.fast,
        mpp=choice.mpp,
        opening=choice.opening(),
        segment=SegmentOptions(**choice.given(), seed=ways.seed),
        split=ways.split,
        stability=ways.stability,
        paper=ways.paper,
        engine=ways.engine or LOCAL,
    )
    loaded = load_dataset(dataset)
    images = len((divide(loaded, ways.split)[0] if ways.split else loaded).items)
    with shown(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task("images encoded", total=images * encodings(ways.concepts, options))
        start(progress)
        found = run(
            dataset,
            out,
            encoder=choice.encoder,
            concepts=ways.concepts,
            options=options,
            on_image=lambda stem: progress.advance(task),
        )
    if not found.dataset.patients_given:
        say(NO_PATIENTS)
    say(found.protocol)
    for table in tables(found):
        Console().print(table)
    say(f"wrote {out / 'evaluation.json'} and {out / 'evaluation.csv'}")
    say(f"wrote {out / 'evaluation.html'}, to look at")


def tables(found: Evaluation) -> Iterator[Table]:
    """The scores, what they lie between, and how stable labels are where it was measured."""
    from rich.table import Column, Table

    from histofactor.evaluation.scores.stability import DISTURBANCES

    wide = (Column(name, no_wrap=True) for name in ("method", "K", "mIoU [95 %]"))
    table = Table(*wide, "Dice", "boundary F1", "NMI", "NMI, images", box=None)
    for result in found.results:
        scores = result.scores
        values = (scores.mean_dice, scores.boundary_f1, scores.nmi, scores.image_nmi)
        table.add_row(result.method, str(result.k), _with_interval(scores), *_figures(values))
    yield table
    table = Table("floor, ceilings", "K", "mIoU [95 %]", "Dice", "accuracy", box=None)
    for bracket in found.brackets:
        table.add_row(
            bracket.name,
            str(bracket.k or ""),
            _with_interval(bracket),
            *_figures((bracket.mean_dice, bracket.accuracy)),
        )
    yield table
    if any(result.stability for result in found.results):
        table = Table("px that keep their label", "K", *DISTURBANCES, box=None)
        for result in found.results:
            if result.stability:
                table.add_row(result.method, str(result.k), *_figures(result.stability.values()))
        yield table


def _with_interval(scores: Scores | Bracket) -> str:
    low, high = scores.mean_iou_interval
    return "–" if math.isnan(scores.mean_iou) else f"{scores.mean_iou:.3f} [{low:.3f}, {high:.3f}]"


def _figures(values: Iterable[float]) -> list[str]:
    return ["–" if math.isnan(value) else f"{value:.3f}" for value in values]
