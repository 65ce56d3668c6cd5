"""Inputs that lie on a store: named by a URL, which may hold secrets that are never told."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from histofactor.errors import OutputError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(::[A-Za-z][A-Za-z0-9+.-]+)*://", re.ASCII)
_COLLAPSED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/", re.ASCII)  # what a path makes of the start of a URL
_USER = re.compile(r"(?<=://)[^/?#]*@")
_STRUCK = "***"
_SECRET = re.compile(  # names of what signs an address, at all large stores among them; anew with every signature
    r"sig|tok|secret|cred|pass|pwd|session|expires|policy|accesskey|accessid|^x-|^s[vrtep]$|^spr$|^sk(oid|tid|[tesv])$|^jwt$",
    re.IGNORECASE,
)
_DOUBTFUL = re.compile(r"key|auth|code|hash", re.IGNORECASE)  # names of secrets, or of what tells files apart
_VERSION = re.compile(r"\?versionId=[^/]*$")
_SHORTENED = re.compile(r"[?&=]~[0-9a-f]{8}(&|$)")
_LONGEST = 20  # characters of a value that is told whole, whatever its parameter is called
_DIGITS = 8


@dataclass(frozen=True, slots=True)
class StoreFile:
    """One file of an input on a store.

    Attributes:
        name: its path beside the other files of the input.
        path: what the store knows it by; may hold secrets.
        size: bytes, or None where the store does not say.
        version: what changes with its content, as the store tells it, or "".
    """

    name: str
    path: str = field(repr=False)
    size: int | None
    version: str


class Url:
    """An input on a store; its text tells it from others without what is secret in its address.

    User and password, and values of parameters that sign an address, are struck out; other values that are long, or
    that may be keys, become digits of their hash. Two addresses that differ in what is struck out alone are the same
    input.

    Args:
        address: the URL.
        files: of the input, that which stands for it first; () where the store was not asked.
        called: what the slide is called where its files do not tell, or "".
    """

    __slots__ = ("_text", "address", "called", "files")

    def __init__(self, address: str, files: tuple[StoreFile, ...] = (), called: str = "") -> None:
        self.address, self.files, self.called = address, files, called
        self._text = told(address)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Url({self._text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    @property
    def name(self) -> str:
        """Name of the file."""
        return PurePosixPath(self._path).name

    @property
    def stem(self) -> str:
        """Name of the file without its suffix."""
        return PurePosixPath(self._path).stem

    @property
    def suffix(self) -> str:
        """What the name ends in, from the last dot on."""
        return PurePosixPath(self._path).suffix

    @property
    def parts(self) -> tuple[str, ...]:
        """Store, with what is asked of it, then folders and name, as far as they are told."""
        at, mark, query = self._text.partition("?")
        scheme, store, *rest = [part for part in at.split("/") if part]
        is_http = scheme.lower() in {"http:", "https:"}
        return scheme, f"{store}{mark}{query}", *(map(unquote, rest) if is_http else rest)

    @property
    def parent(self) -> str:
        """Where it lies, as it is told."""
        return self._text.partition("?")[0].rpartition("/")[0]

    @property
    def is_whole(self) -> bool:
        """Whether nothing was struck out of the address, so that it can be asked for."""
        return _STRUCK not in self.address and _SHORTENED.search(self.address) is None

    @property
    def _path(self) -> str:
        scheme = self.address.partition("://")[0]
        if scheme.lower() not in {"http", "https"}:  # there a question mark is a character like others
            return _VERSION.sub("", self.address)
        return unquote(urlsplit(self.address).path)

    def resolve(self) -> Url:
        """Itself: there are no links to follow."""
        return self

    def scrub(self, text: str) -> str:
        """A text of others, such as a message of the store, without the secrets of the address."""
        found = text.replace(self.address, self._text)
        for secret in sorted(_secrets(self.address), key=len, reverse=True):
            for form in {secret, unquote(secret), quote(secret), quote(unquote(secret), safe="")}:
                found = found.replace(form, _STRUCK)
        return _USER.sub(f"{_STRUCK}@", found)


Input = Path | Url


def as_input(text: str | Path | Url) -> Input:
    """An input as it is named: a path, or a URL, which is never taken for a path; ``file://`` is a path."""
    if not isinstance(text, str):
        return text
    if not is_url(text):
        return Path(text)
    if text.lower().startswith("file://"):
        from urllib.request import url2pathname  # brings much that no other address needs

        return Path(url2pathname(urlsplit(text).path))
    return Url(text)


def is_url(text: str) -> bool:
    """Whether a text begins as a URL does."""
    return _URL.match(text) is not None


def was_url(path: Path) -> bool:
    """Whether a path was made of a URL, of whose slashes one is lost."""
    return _COLLAPSED.match(path.as_posix()) is not None and not Path(path.parts[0]).exists()


def check_here(out: str | Path) -> None:
    """Make sure that results go to a folder, not to a store.

    Raises:
        OutputError: a URL is named.
    """
    text = str(out)
    if is_url(text) or was_url(Path(text)):
        address = text if is_url(text) else text.replace(":/", "://", 1)
        raise OutputError(
            f"results cannot be written to {told(address)}",
            expected="a folder of this machine, or of a disk that machines share",
            got="a store, where files cannot be put in place in one step, nor inputs be claimed",
            mend="name a folder, and copy it to the store when all is done",
        )


def told(text: str) -> str:
    """A URL as it may be written down; other text as it is."""
    if not is_url(text):
        return text
    text = text.partition("#")[0] if text.lower().startswith("http") else text
    before, mark, query = _USER.sub(f"{_STRUCK}@", text).partition("?")
    return before + mark + "&".join(map(_parameter, query.split("&")))


def _parameter(text: str) -> str:
    """One parameter of a query as it may be told."""
    name, mark, value = text.partition("=")
    if not mark:
        return name if len(name) <= _LONGEST else _digits(name)
    if _SECRET.search(name):
        return f"{name}={_STRUCK}"
    is_open = len(value) <= _LONGEST and not _DOUBTFUL.search(name)
    return text if is_open or _SHORTENED.search(f"={value}") else f"{name}={_digits(value)}"


def _secrets(address: str) -> set[str]:
    """Values in an address that are not told."""
    user = _USER.search(address)
    parts = {user[0][:-1], *re.split("[:@]", user[0][:-1])} if user else set()
    query = address.partition("?")[2].partition("#")[0]
    hidden = {value for name, value in parse_qsl(query) if _parameter(f"{name}={value}") != f"{name}={value}"}
    return {secret for secret in parts | hidden if len(secret) > 3}  # shorter ones stand in any text


def _digits(text: str) -> str:
    return f"~{hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}"
