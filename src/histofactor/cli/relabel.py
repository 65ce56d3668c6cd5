"""``histofactor relabel``: other concepts, without encoding again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histofactor.cli.options import labels_and_name, say
from histofactor.errors import OptionError


def relabel(  # noqa: PLR0913, PLR0917 - one parameter an option
    source: Annotated[Path, typer.Argument(metavar="OUT/STEM", help="Results of one input, with its weights.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write.")],
    merge: Annotated[list[str] | None, typer.Option(help="Labels that become one: 1+4+7=tumour; repeatable.")] = None,
    rename: Annotated[list[str] | None, typer.Option(help="A label's new name: 3=stroma; repeatable.")] = None,
    bank: Annotated[Path | None, typer.Option(help="Nested bank whose coarser concepts to take.")] = None,
    k: Annotated[int | None, typer.Option("-k", help="Coarser number of concepts; default the next of --bank.")] = None,
    slide: Annotated[Path | None, typer.Option(help="The input, for the overlay, if it was moved.")] = None,
) -> None:
    """Derive the labels of a segmented input again: merged, renamed or coarser, without encoding.

    Labels are numbered as in phenotypes.csv, or as in the coarser bank if one is given. The new folder gets
    labels.ome.tif, regions.geojson.gz, phenotypes.csv and segmentation.json, and overlay.png if the input can be read;
    neither weights nor a page. Labels are numbered anew; a merged one takes the place and colour of its lowest label.
    """
    from histofactor.runs.regroup import Regrouping
    from histofactor.runs.relabel import relabel as run

    merges = [labels_and_name(text, "--merge", "1+4+7=tumour") for text in merge or ()]
    renames: dict[int, str] = {}
    for text in rename or ():
        labels, name = labels_and_name(text, "--rename", "3=stroma")
        if len(labels) > 1 or labels[0] in renames:
            raise OptionError("--rename takes one label, once", expected="for example 3=stroma", got=text)
        renames[labels[0]] = name
    left_out = run(source, out, Regrouping(merges, renames, bank, k), slide)
    say(f"wrote {out}")
    for sentence in left_out:
        say(sentence, err=True)
