"""``histofactor benchmark``: a public data set, as it is published, to scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histofactor.cli.evaluate import CONCEPTS, PAPER, SEED, Ways, run_and_tell
from histofactor.cli.options import EncoderChoice, encoder_options


@encoder_options
def benchmark(  # noqa: PLR0913 - one parameter an option
    name: Annotated[str, typer.Argument(help="bcss, glas, crag, camelyon or wsss4luad.")],
    source: Annotated[Path, typer.Argument(help="Folder of the data set, as its publishers distribute it.")],
    *,
    out: Annotated[Path, typer.Option("-o", "--out", help="Output folder.")],
    concepts: Annotated[Path | None, CONCEPTS] = None,
    k: Annotated[str, typer.Option("-k", help="Numbers of concepts, separated by commas.")] = "8,16,32,64",
    methods: Annotated[str, typer.Option(help="Methods, separated by commas.")] = "project,cluster",
    slide_mpp: Annotated[
        float | None, typer.Option(help="µm/px to bring whole slides to (camelyon); default 8.")
    ] = None,
    published_split: Annotated[
        bool, typer.Option("--published-split", help="Score the publishers' test images once, by their other images.")
    ] = False,
    paper: Annotated[bool, PAPER] = False,
    seed: Annotated[int, SEED] = 0,
    choice: EncoderChoice,
) -> None:
    """Score unsupervised segmentation on a public data set that you have downloaded.

    The data set is laid out in OUT/dataset, its images linked, and evaluated as `histofactor evaluate` does.
    """
    from histofactor.cli.progress import at_work
    from histofactor.errors import OptionError
    from histofactor.evaluation.data.adapters import adapt
    from histofactor.evaluation.data.split import read_split

    with at_work("laying the data set out"):
        dataset = adapt(name, source, out / "dataset", mpp=slide_mpp)
    if published_split and not (dataset / "train.txt").is_file():
        raise OptionError(f"{name} has no published split, or not all of it is there", mend="drop --published-split")
    split = read_split(dataset / "train.txt", dataset / "test.txt") if published_split else None
    run_and_tell(dataset, out, Ways(choice, concepts, k, methods, split, paper=paper, seed=seed))
