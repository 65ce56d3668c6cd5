"""``histofactor concepts push|pull``: banks shared by the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histofactor.base.text import counted
from histofactor.cli.options import EncoderChoice, named_input, say
from histofactor.errors import OptionError

if TYPE_CHECKING:
    from histofactor.concepts.on_hub import Fetched
    from histofactor.runs.share_bank import Parcel

_SHOWN = 3  # names of inputs that are told


def push(  # noqa: PLR0913 - one parameter an option
    target: Annotated[Path, typer.Argument(metavar="OUT|BANK", help="An output folder with concepts, or a bank.")],
    address: Annotated[str, typer.Argument(metavar="hf://USER/REPO", help="Repository of the hub; made if need be.")],
    inputs: Annotated[
        list[Any] | None,  # ``Input``
        typer.Argument(metavar="[INPUT...]", parser=named_input, help="Its slides, for --with-patches."),
    ] = None,
    *,
    public: Annotated[bool, typer.Option("--public", help="Everybody may see it; default: private.")] = False,
    names: Annotated[
        bool, typer.Option("--with-names", help="Send names and hashes of inputs and names of groups too.")
    ] = False,
    patches: Annotated[
        bool, typer.Option("--with-patches", help="Send a page with typical patches too: px of the slides given.")
    ] = False,
    permission: Annotated[
        str,
        typer.Option(
            "--i-may-share",
            metavar="WHY",
            help="Share though the encoder's licence forbids it or does not say; the card tells why. Default: refused.",
        ),
    ] = "",
    card: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Card to send as README.md; default: made from the bank.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Send nothing: write the card beside the bank, to look at or change.")
    ] = False,
    source_mpp: Annotated[float | None, typer.Option(help="µm/px of slides whose header lacks it.")] = None,
    series: Annotated[str | None, typer.Option(metavar="NAME|N", help="Image of files that hold several.")] = None,
) -> None:
    """Share a bank: send it with a card to a repository of the Hugging Face hub, as one commit.

    Names of inputs and groups, and what else may tell of them, are left out of what is sent unless --with-names;
    neither the sample nor the journal is ever sent. It says first what goes where. The token is that of `hf auth login`
    or HF_TOKEN.
    """
    from histofactor.concepts.on_hub import CARD, SCHEME, hub_address, repository_of, send
    from histofactor.runs.share_bank import PackOptions, pack
    from histofactor.runs.study import find_bank
    from histofactor.slides.inputs import find_inputs

    if patches != bool(inputs):
        expected = "--with-patches and slides, or neither"
        raise OptionError("patches are of slides, and slides are for patches", expected=expected)
    opening = EncoderChoice(source_mpp=source_mpp, series=series)
    opening.check()
    repository, bank = repository_of(address), find_bank(target)
    options = PackOptions(
        names=names,
        patches=find_inputs(inputs) if inputs else None,
        opening=opening.opening(),
        permission=permission,
        card=card,
    )
    parcel = pack(target, address, options)
    where = f"{SCHEME}{repository} at {hub_address()}, for {'everybody' if public else 'those you let in'} to see"
    say(f"{'would send' if dry_run else 'sending'} to {where}:")
    _tell(parcel)
    if dry_run:
        note = f"; wrote {_write_card(parcel.files[CARD], bank)}, for --card once changed" if card is None else ""
        say(f"sent nothing{note}")
        return
    levels = ", ".join(map(str, parcel.levels))
    try:
        sent = send(repository, parcel.files, public=public, message=f"Concepts, K = {levels}")
    except KeyboardInterrupt:
        say(f"interrupted; where {address} was made for this push, it stays: push again, or delete it", err=True)
        raise typer.Exit(130) from None
    seen = "private" if sent.private else "public"
    for name in sent.removed:
        say(f"took away {name} of an earlier push")
    say(f"{'pushed' if sent.changed else 'nothing has changed since'} {sent.commit[:12]}: {sent.address}, {seen}")


def pull(
    address: Annotated[str, typer.Argument(metavar="hf://USER/REPO", help="Repository of the hub.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Bank to write, NAME.safetensors.")],
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit; default: the newest of the main branch.")
    ] = None,
) -> None:
    """Fetch a bank that was shared by the Hugging Face hub.

    It is read by the reader of banks and nothing else of the repository is fetched. With HF_HUB_OFFLINE it is that of
    the hub's cache.
    """
    from histofactor.base.digests import path_digest
    from histofactor.base.files import copy
    from histofactor.concepts.on_hub import fetch

    if out.is_dir():
        raise OptionError(f"{out} is a folder", expected="a file to write, NAME.safetensors")
    fetched = fetch(address, revision)
    if out.exists() and path_digest(out) != fetched.sha256:
        raise OptionError(
            f"{out} is there, and is another file", expected="a new name", mend="choose another, or move it away"
        )
    copy(fetched.path, out)
    _tell_pulled(fetched, address, out)


def bank_named(concepts: str | None) -> Path | None:
    """The bank that an option names: its path, as it is given; of one of the hub, that of the hub's cache.

    Raises:
        OptionError, BankError, EncoderError: as ``on_hub.fetch``.
    """
    if concepts is None or not concepts.startswith("hf://"):
        return None if concepts is None else Path(concepts)
    from histofactor.concepts.on_hub import fetch

    fetched = fetch(concepts)
    say(f"concepts: {concepts} at commit {fetched.commit}, sha256 {fetched.sha256}", err=True)
    return fetched.path


def _tell(parcel: Parcel) -> None:
    """What a parcel holds, and what not."""
    for name, content in parcel.files.items():
        say(f"  {name}: {len(content):,} bytes")
    if parcel.names:
        more = f" and {len(parcel.names) - _SHOWN} more" if len(parcel.names) > _SHOWN else ""
        say(f"with names of {counted(len(parcel.names), 'input')}: {', '.join(parcel.names[:_SHOWN])}{more}")
    if parcel.left_out:
        say(f"not in it: {'; '.join(parcel.left_out)} (--with-names sends them)")
    for sentence in parcel.missing:
        say(f"no patches: {sentence}", err=True)


def _write_card(card: bytes, bank: Path) -> Path:
    """Write a card beside a bank; another one that is there stays."""
    from histofactor.base.files import atomic

    path = bank.with_suffix(".README.md")
    if path.exists() and path.read_bytes() != card:
        mend = f"send it with --card {path}, or move it away"
        raise OptionError(f"{path} is there, and is another card", expected="no such file", mend=mend)
    with atomic(path) as temporary:
        temporary.write_bytes(card)
    return path


def _tell_pulled(fetched: Fetched, address: str, out: Path) -> None:
    """What was fetched, and how to go on."""
    from histofactor.encoders.terms import terms_of

    banks = fetched.file.banks
    encoder = next(iter(banks.values())).encoder.name
    say(f"wrote {out}: K = {', '.join(map(str, banks))} for encoder {encoder}")
    say(f"from {address} at commit {fetched.commit}, sha256 {fetched.sha256}")
    for one in terms_of(encoder):
        say(f"{one.encoder}: licence {one.licence}; commercial use: {one.commercial}; sharing: {one.derivatives}")
    say(f"now: histofactor segment INPUT... -o OUT --encoder {quote(encoder)} --concepts {quote(str(out))}")
