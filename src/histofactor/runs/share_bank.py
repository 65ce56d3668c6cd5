"""Banks made ready to be shared: what is sent, what is not, and whether it may be."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from histofactor.concepts.bank.file import BankFile, bank_bytes
from histofactor.concepts.bank.nameless import with_names, without_names
from histofactor.concepts.bank.provenance import slides_of
from histofactor.concepts.on_hub import BANK, CARD, PAGE, repository_of
from histofactor.encoders.terms import Terms, known_nowhere_else, terms_of
from histofactor.errors import OptionError
from histofactor.export.bank_card import Sharing, bank_card
from histofactor.export.bank_page import Beside, write_bank_page
from histofactor.records.urls import Input
from histofactor.runs.examples import Look, read_examples
from histofactor.runs.source import Opening
from histofactor.runs.study import find_bank, open_study

_MOST_CARD = 1 << 20  # bytes of a card that is given


@dataclass(frozen=True, slots=True, kw_only=True)
class PackOptions:
    """What goes into a parcel.

    Attributes:
        names: whether names of inputs and groups do.
        patches: slides whose typical patches do, as a page; None for no page.
        opening: how they are opened.
        permission: why the bank may be shared where the licence of its encoder does not say so, or "".
        card: to take in place of the one that is made, or None.
    """

    names: bool = False
    patches: Sequence[Input] | None = None
    opening: Opening = field(default_factory=Opening)
    permission: str = ""
    card: Path | None = None


@dataclass(frozen=True, slots=True)
class Parcel:
    """What would be sent.

    Attributes:
        files: content by name.
        levels: the K of its banks.
        left_out: what was replaced or left out, a few words each.
        names: of inputs that are in it.
        missing: why patches are not in it, a sentence each.
    """

    files: Mapping[str, bytes]
    levels: tuple[int, ...]
    left_out: tuple[str, ...]
    names: tuple[str, ...]
    missing: tuple[str, ...]


def pack(target: Path, address: str, options: PackOptions) -> Parcel:
    """Make a bank ready for a repository of the hub; nothing is sent.

    Args:
        target: a bank, or the output folder of a study.
        address: ``hf://USER/REPO``.
        options: what goes with it.

    Raises:
        OptionError: the address is none, the licence of the encoder does not allow to share the bank, the encoder is a
            folder of this machine, or the folder no study.
        BankError: it is no bank.
        EncoderError: its encoder is not known.
    """
    repository = repository_of(address)
    study = open_study(find_bank(target))
    terms = _checked_terms(next(iter(study.file.banks.values())).encoder.name, options.permission)
    nameless = without_names(study.file)
    file = with_names(study.file) if options.names else nameless.file
    sharing = Sharing(repository=repository, terms=terms, k=study.k, named=options.names, permission=options.permission)
    text = bank_card(file, sharing).encode() if options.card is None else _given_card(options.card)
    files: dict[str, bytes] = {BANK: bank_bytes(file), CARD: text}
    missing: list[str] = []
    if options.patches is not None:
        files[PAGE], missing = _page(study.file, file, repository, options)
    names = tuple(slide.name for slide in slides_of(file.card)) if options.names else ()
    return Parcel(files, tuple(file.banks), () if options.names else nameless.notes, names, tuple(missing))


def _checked_terms(encoder: str, permission: str) -> tuple[Terms, ...]:
    """The terms of an encoder, which allow to share what is made with it, or somebody else does."""
    if name := known_nowhere_else(encoder):
        raise OptionError(
            "the encoder of this bank is a folder of this machine, which nobody else has",
            expected="an encoder that others can get by its name",
            got=name,
        )
    terms = terms_of(encoder)
    for one in terms if not permission.strip() else ():
        if one.derivatives != "yes":
            says = "forbids to share" if one.derivatives == "no" else "does not say that one may share"
            raise OptionError(
                f"the licence of {one.encoder} {says} what is made with it, as concepts are",
                expected="a licence that allows it (`histofactor encoders list`, sharing)",
                got=one.licence,
                mend='if you may all the same, say why with --i-may-share "…": the card will tell',
            )
    return terms


def _given_card(path: Path) -> bytes:
    """A card that is given, as it is."""
    try:
        content = path.read_bytes() if path.stat().st_size <= _MOST_CARD else b""
        content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{path} cannot be read as a card", expected="Markdown in UTF-8", got=str(error)) from error
    if not content.strip():
        raise OptionError(
            f"{path} cannot be a card", expected=f"text of at most {_MOST_CARD:,} bytes", got=f"{path.stat().st_size:,}"
        )
    return content


def _page(whole: BankFile, sent: BankFile, repository: str, options: PackOptions) -> tuple[bytes, list[str]]:
    """The page of the bank that is sent, with patches found by the names of the one at hand, and what is missing."""
    patches, missing = read_examples(whole, options.patches or (), options.opening, look=Look(checked=True))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, PAGE)
        write_bank_page(sent, path, repository.partition("/")[2], Beside(patches=patches))
        return path.read_bytes(), missing
