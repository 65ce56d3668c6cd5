"""The concepts that inputs are weighed by: those asked for, or those that ship, and whether they fit the encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from histofactor.concepts.bank.file import load_bank
from histofactor.concepts.bank.provenance import residual_limit_of, window_of
from histofactor.encoders.encoder import Encoder
from histofactor.encoders.weights import embedded_path
from histofactor.errors import BankMismatch, OptionError
from histofactor.masks import unlike
from histofactor.records import ConceptBank
from histofactor.segmentation.method import METHODS, Method, nearest

DEFAULT_BANK = "concepts.safetensors"
EMBEDDED = "embedded"  # instead of a bank: the one that ships with the encoder of that name
STATE_A_NUMBER = "state a number, such as --unlike 0.7"


def find_bank(name: str, concepts: str | Path | ConceptBank | None, k: int | None) -> ConceptBank:
    """The bank asked for, or the one that ships with the embedded encoder."""
    if isinstance(concepts, ConceptBank):
        if k not in (None, len(concepts.vectors)):
            raise OptionError("k does not fit the bank", expected=str(len(concepts.vectors)), got=str(k))
        return concepts
    if concepts is not None and str(concepts) != EMBEDDED:
        return load_bank(concepts, k)
    if name == "embedded":
        return load_bank(embedded_path(DEFAULT_BANK), k)
    raise OptionError(
        f"encoder {name!r} ships without concepts",
        expected="a concept bank learned on its features",
        mend="give one with --concepts FILE: `segment` and `concepts train` learn them from inputs",
    )


def find_limit(wanted: str | float, bank: ConceptBank) -> float:
    """The residual above which tissue is unlike the bank: the number asked for, or the bank's own."""
    if unlike.NAME in bank.names:
        mend = "give it another name with: histofactor concepts name"
        raise OptionError(f"a concept of the bank is called {unlike.NAME!r} already", mend=mend)
    if wanted != "auto":
        return float(wanted)
    limit = residual_limit_of(bank)
    if limit is None:
        raise OptionError("the bank does not tell what is unlike it", mend=f"{STATE_A_NUMBER}, or train the bank anew")
    return limit


def check_width(bank: ConceptBank, encoder: Encoder) -> None:
    """The vectors must be as wide as the features."""
    if bank.vectors.shape[1] != encoder.spec.dim:
        raise BankMismatch(
            "the concepts are not as wide as the features",
            expected=f"{encoder.spec.dim} channels of {encoder.spec.name}",
            got=f"{bank.vectors.shape[1]} channels",
            mend="give a bank that was learned on this encoder",
        )


def told_of_window(bank: ConceptBank, encoder: Encoder) -> Encoder:
    """The encoder, with a note where its windows are not those that the concepts were learned with.

    Tokens of a transformer see all of their window, and differ where it does; those of convolutions do not.
    """
    learned, rule = window_of(bank), encoder.spec.window
    if learned in {None, rule.size_px} or not rule.fixed:
        return encoder
    note = f"its windows are of {rule.size_px} px, and the concepts were learned with windows of {learned} px"
    return replace(encoder, notes=(*encoder.notes, note))


def check_unlike(wanted: str | float, method: Method) -> None:
    """Raise OptionError unless a method tells tissue unlike the bank, by the limit that is asked for."""
    if not method.streamed:
        names = ", ".join(sorted(row.name for row in METHODS.values() if row.streamed))
        raise OptionError(
            f"method {method.name!r} tells no tissue unlike the bank",
            expected=f"one of {names}, which weigh the bank's concepts themselves",
            mend="leave --unlike out, or choose another --method",
        )
    if wanted != "auto":
        try:
            limit = float(wanted)
        except ValueError:
            limit = 0.0
        if not 0 < limit < 1:
            expected = "auto, or a number above 0 and below 1"
            raise OptionError("--unlike is out of range", expected=expected, got=str(wanted))
    elif method.combine is nearest:  # its residual is the distance to one concept alone
        raise OptionError("--unlike auto is for mixtures of concepts", expected="project or raw", mend=STATE_A_NUMBER)
