"""What can go wrong, told once and told well.

    HistofactorError
    ├── OptionError        an argument is out of range or unknown (also a ValueError)
    ├── ImageError         an input cannot be read as a tissue image
    │   └── UnreadableRegion  a part of an input is damaged; the rest can be read
    ├── ResolutionError    µm/px is missing, not positive or implausible
    ├── EncoderError       an encoder is unknown, or its weights cannot be had
    ├── BankError          a concept bank is not valid
    │   └── BankMismatch   a concept bank belongs to other features
    ├── EngineError        workers cannot be had, or end before their work does
    └── OutputError        a result cannot be written
        └── LeaseLost      another process took over what this one was at

Every error says what happened, what was expected, what was found and how to mend it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from histofactor.records import Region


class HistofactorError(Exception):
    """Base of all errors that histofactor raises on purpose.

    Args:
        what: what happened, naming the file or the argument.
        expected: what would have been right.
        got: what was found instead.
        mend: what the user can do about it.
    """

    def __init__(self, what: str, *, expected: str = "", got: str = "", mend: str = "") -> None:
        self.what, self.expected, self.got, self.mend = what, expected, got, mend
        parts = [what]
        if expected:
            parts.append(f"expected {expected}")
        if got:
            parts.append(f"got {got}")
        if mend:
            parts.append(mend)
        super().__init__("; ".join(parts))

    def saying(self, what: str) -> Self:
        """The same error with other words for what happened, such as where it did."""
        return type(self)(what, expected=self.expected, got=self.got, mend=self.mend)


class OptionError(HistofactorError, ValueError):
    """An argument is out of range or names something unknown."""


class ImageError(HistofactorError):
    """An input cannot be read as a tissue image."""


class UnreadableRegion(ImageError):
    """A part of an input is damaged; the rest can be read.

    Args:
        what: what happened, naming the file.
        region: the region that was to be read, where it is known.
        expected, got, mend: as in the base.
    """

    def __init__(
        self, what: str, *, region: Region | None = None, expected: str = "", got: str = "", mend: str = ""
    ) -> None:
        self.region = region
        super().__init__(what, expected=expected, got=got, mend=mend)


class ResolutionError(HistofactorError):
    """The µm/px of an input is missing, not positive or implausible."""


class EncoderError(HistofactorError):
    """An encoder is unknown, or its weights cannot be had."""


class BankError(HistofactorError):
    """A concept bank is not valid."""


class BankMismatch(BankError):
    """A concept bank was learned on other features than those at hand."""


class EngineError(HistofactorError):
    """Workers cannot be had, or end before their work does."""


class OutputError(HistofactorError):
    """A result cannot be written."""


class LeaseLost(OutputError):
    """Another process took over what this one was at, since it gave no sign of life for too long."""
