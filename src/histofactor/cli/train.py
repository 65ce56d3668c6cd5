"""``histofactor concepts train``: concepts from a collection."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histofactor.base.text import counted
from histofactor.cli.engine_options import EngineChoice, engine_options
from histofactor.cli.following import BalanceOption, GroupOption, check_group, tell_following
from histofactor.cli.options import EncoderChoice, TableOption, encoder_options, named_input, say
from histofactor.cli.share import LogOption

if TYPE_CHECKING:
    from histofactor.records.urls import Input
    from histofactor.runs.learn_concepts import Learned
    from histofactor.runs.source import Opening, Sources


@engine_options
@encoder_options
def train(  # noqa: PLR0913 - one parameter an option
    inputs: Annotated[
        list[Any] | None,  # ``Input``
        typer.Argument(
            metavar="INPUT...",
            parser=named_input,
            help="Images, slides, folders with all below them, globs, URLs of such, or one manifest.",
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("-o", "--out", help="Bank to write, NAME.safetensors.")],
    k: Annotated[str, typer.Option("-k", help="Numbers of concepts, separated by commas.")] = "8,16,32,64,128,256",
    independent: Annotated[
        bool, typer.Option("--independent", help="Cluster anew for every K, as the paper; else smaller K are unions.")
    ] = False,
    algorithm: Annotated[str, typer.Option(help="kmeans, or nmf: components of a factorization.")] = "kmeans",
    spherical: Annotated[
        bool, typer.Option("--spherical", help="Cluster directions: near is what has a high cosine.")
    ] = False,
    pool: Annotated[str, typer.Option(help="What is clustered: token, or tile: means of 256 px tiles.")] = "token",
    table: TableOption = None,
    group: GroupOption = None,
    balance: BalanceOption = None,
    tokens: Annotated[int, typer.Option(help="Tokens in the sample, at most.")] = 2**18,
    windows: Annotated[int, typer.Option(help="Windows encoded of every slide, drawn at random; 0: all.")] = 32,
    seeds: Annotated[int, typer.Option(help="Starts of the clustering; the best goes on.")] = 3,
    passes: Annotated[int, typer.Option(help="Exact passes over the whole sample, at most.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Seed of sampling and clustering.")] = 0,
    preset: Annotated[
        str | None, typer.Option(help="tcga: the paper's recipe: relu, one view, tile means, every K on its own.")
    ] = None,
    download: Annotated[
        Path | None, typer.Option(help="Folder for the slides of a manifest, a few at a time; default OUT.slides.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="Address that a manifest's slides are fetched from.")] = None,
    keep_sample: Annotated[
        bool, typer.Option("--keep-sample", help="Keep OUT.sample.npz: another run learns from it without encoding.")
    ] = False,
    centring: Annotated[
        float | None,
        typer.Option(help="Share of a slide's own mean to take from its tokens, 0 to 1; default as the encoder's row."),
    ] = None,
    log: LogOption = None,
    choice: EncoderChoice,
    by: EngineChoice,
) -> None:
    """Learn concepts from the tissue of a collection, for every K.

    Tokens are sampled evenly over the inputs (over the groups of a table and the inputs of each), the largest K is
    clustered, and every smaller K is made of unions of its clusters. A run that is cut short goes on where it stopped.
    The slides of a manifest are fetched, encoded and deleted one after another, balanced over their projects.
    """
    from histofactor.cli.options import inputs_of, numbers
    from histofactor.cli.progress import at_work, learn_reporter
    from histofactor.concepts.learn.kmeans import KMeansOptions
    from histofactor.concepts.learn.levels import TrainOptions
    from histofactor.errors import OptionError
    from histofactor.records.urls import check_here
    from histofactor.runs.event_log import logged
    from histofactor.runs.learn_concepts import learn_concepts
    from histofactor.runs.sample_builder import LearnOptions
    from histofactor.runs.source import file_sources
    from histofactor.runs.study import bank_lock, sample_of
    from histofactor.segmentation.feature_file import encoder_for
    from histofactor.segmentation.setup import SegmentOptions

    choice.check()
    check_group(group, table)
    if preset not in {None, "tcga"}:
        raise OptionError(f"unknown preset {preset!r}", expected="tcga")
    if preset == "tcga":
        pool, independent, choice = "tile", True, replace(choice, transform="relu", fast=True)
    ks = numbers(k, "-k")
    check_here(out)
    if out.is_dir():
        raise OptionError(f"{out} is a folder", expected="a file to write, NAME.safetensors")
    manifest = _manifest(inputs or [])
    paths, known = ([], {}) if manifest is not None else inputs_of(inputs, table, group)
    if manifest is not None:
        sources = _fetched(manifest, download or out.with_name(f"{out.name}.slides"), endpoint)
    else:
        sources = file_sources(paths, known, choice.opening())
    options = LearnOptions(
        mpp=choice.mpp,
        opening=choice.opening(),
        seed=seed,
        tokens=tokens,
        windows=windows,
        pool=pool,
        train=TrainOptions(algorithm, not independent, KMeansOptions(seed, seeds, passes, spherical)),
        encoder=SegmentOptions(**choice.given()),
        centring=centring,
        balance=balance,
        engine=by.asked(choice.device),
    )
    sample = sample_of(out)
    with bank_lock(out):
        try:
            with learn_reporter() as shown, logged(log, shown, sys.argv[1:]) as reporter:
                encoder = encoder_for(paths, choice.encoder)
                learned = learn_concepts(sources, ks, encoder=encoder, options=options, work=sample, reporter=reporter)
        except KeyboardInterrupt:
            say(f"interrupted; {sample} holds what was sampled, and the same command goes on from there", err=True)
            raise typer.Exit(130) from None
        with at_work("writing the bank and its page"):
            page = _write(learned, out, paths, choice.opening())
        if not keep_sample:
            sample.unlink(missing_ok=True)
    _tell(learned, out, page)
    if learned.card["left_out"]:
        raise typer.Exit(1)


def _manifest(inputs: list[Input]) -> Path | None:
    """The manifest, where one is all that is named."""
    one = inputs[0] if len(inputs) == 1 else None
    return one if isinstance(one, Path) and one.suffix in {".tsv", ".txt"} else None


def _fetched(manifest: Path, folder: Path, endpoint: str | None) -> Sources:
    """The slides of a manifest, a few on disk at a time."""
    from histofactor.runs.source import manifest_sources
    from histofactor.tcga.fetch import FetchOptions
    from histofactor.tcga.gdc import ENDPOINT
    from histofactor.tcga.manifest import read_manifest

    return manifest_sources(read_manifest(manifest), folder, FetchOptions(endpoint or ENDPOINT))


def _write(learned: Learned, out: Path, paths: list[Input], opening: Opening) -> Path:
    """Write the bank, and beside it the page to look at, whose path is returned."""
    from histofactor.concepts.bank.file import read_bank_file, save_bank
    from histofactor.export.bank_page import Beside, write_bank_page
    from histofactor.runs.examples import read_examples
    from histofactor.runs.study import page_of

    save_bank(learned.banks, out, learned.card)
    file, page = read_bank_file(out), page_of(out)
    patches, missing = read_examples(file, paths, opening)
    for sentence in missing if paths else ():
        say(f"no patches: {sentence}", err=True)
    write_bank_page(file, page, out.stem, Beside(patches=patches))
    return page


def _tell(learned: Learned, out: Path, page: Path) -> None:
    """What was learned and written: how every K did, and whether concepts follow the groups of slides."""
    from histofactor.concepts.bank.file import BankFile

    used, left_out = len(learned.card["slides"]), len(learned.card["left_out"])
    note = f" ({left_out} left out)" if left_out else ""
    file, compared = BankFile({len(bank.names): bank for bank in learned.banks}, learned.card), learned.card["choice"]
    if compared:
        _print_choice(compared)
    tell_following(file, compared["recommended"] if compared else min(file.banks), out)
    say(f"wrote {out}: K = {', '.join(map(str, file.banks))} from {counted(used, 'input')}{note}")
    say(f"wrote {page}, to look at")


def _print_choice(choice: Mapping[str, Any]) -> None:
    """How every K did, and which one is recommended."""
    from rich.console import Console
    from rich.table import Table

    from histofactor.concepts.bank.provenance import CHOICE, LIMIT

    table = Table("K", "stability", "inertia", "held-out residual", "its limit", "", box=None)
    for row in choice["rows"]:
        mark = "recommended" if row["k"] == choice["recommended"] else ""
        limit = "" if row[LIMIT] is None else f"{row[LIMIT]:.3f}"
        table.add_row(str(row["k"]), *(f"{row[name]:.3f}" for name in CHOICE), limit, mark)
    Console().print(table)
