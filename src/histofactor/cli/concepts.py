"""``histofactor concepts``: banks of concepts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histofactor.cli import bank_care, bank_edit, bank_share, train
from histofactor.cli.options import say

app = typer.Typer(
    help="Learn, import, look at, name, merge, split, exclude and share concepts.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("train")(train.train)
app.command("show")(bank_care.show)
app.command("name")(bank_edit.name)
app.command("merge")(bank_edit.merge)
app.command("split")(bank_edit.split)
app.command("exclude")(bank_edit.exclude)
app.command("push")(bank_share.push)
app.command("pull")(bank_share.pull)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="The paper's .joblib file, or a .npy or .npz of concepts (K, d).")],
    encoder: Annotated[str, typer.Option(help="The encoder whose features the concepts were learned on.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Bank to write; default FILE.safetensors.")] = None,
    mpp: Annotated[float | None, typer.Option(help="µm/px they were learned at; default the encoder's own.")] = None,
) -> None:
    """Import a foreign bank, such as the paper's published ones.

    The file is read by a restricted reader that can build numeric arrays and nothing else; it runs no code.
    """
    from dataclasses import replace

    from histofactor.concepts.bank.file import save_bank
    from histofactor.concepts.legacy import import_legacy
    from histofactor.encoders.registry import get
    from histofactor.slides.resolution import check_mpp

    if mpp is not None:
        check_mpp(mpp, "--mpp")
    spec = get(encoder)
    key = replace(spec.key, revision=None)  # the file does not say which weights it was learned with
    banks = import_legacy(file, key, dim=spec.dim, mpp=mpp or spec.mpp)
    out = out or file.with_suffix(".safetensors")
    save_bank(banks, out)
    say(f"wrote {out}: K = {', '.join(str(len(bank.names)) for bank in banks)} for encoder {encoder}")
