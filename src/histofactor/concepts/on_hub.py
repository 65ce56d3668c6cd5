"""Banks on the Hugging Face hub: sent as one commit, fetched at one, by functions of ``huggingface_hub``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from histofactor.base.digests import path_digest
from histofactor.base.names import CONCEPTS_PAGE
from histofactor.concepts.bank.file import BankFile, read_bank_file
from histofactor.concepts.bank.tensor_file import MAX_BYTES
from histofactor.encoders.hub import answers
from histofactor.encoders.terms import known_nowhere_else, terms_of
from histofactor.errors import BankError, EncoderError, HistofactorError, OptionError, OutputError
from histofactor.records.urls import told as shown

SCHEME = "hf://"
BANK, CARD, PAGE = "concepts.safetensors", "README.md", CONCEPTS_PAGE  # what a repository holds
_ADDRESS = re.compile(r"hf://([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})/?", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,199}", re.ASCII)
_SHA256 = re.compile("[0-9a-f]{64}")
_NO_XET = re.compile(r"404 Not Found.*/xet-write-token/")  # as the library that sends by Xet puts it
_LOG_IN = "run `hf auth login`, or set HF_TOKEN"


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a push.

    Attributes:
        address: of the repository, for a browser.
        commit: which it is at now.
        changed: whether that is a new one; else all was there already.
        private: whether the repository is.
        removed: files of earlier pushes that are of another bank, and went.
    """

    address: str
    commit: str
    changed: bool
    private: bool
    removed: tuple[str, ...]


@dataclass(slots=True)
class _Left:
    """A repository that was made for a push, and what is told of it where the push then fails.

    Attributes:
        page: of the repository.
        seen: ``private`` or ``public``.
        made: whether it was.
    """

    page: str
    seen: str
    made: bool = False

    @contextmanager
    def told(self) -> Iterator[None]:
        """Add to an error that the repository stays; it is not this program's to delete."""
        try:
            yield
        except OutputError as error:
            if not self.made:
                raise
            raise OutputError(
                f"{error.what}, and the {self.seen} repository that was made for it stays, empty for all that is known",
                expected=error.expected,
                got=error.got,
                mend=f"{error.mend}; then push again, or delete the repository at {self.page}/settings",
            ) from error


@dataclass(frozen=True, slots=True)
class Fetched:
    """A bank in the cache of the hub, read and found well.

    Attributes:
        path: of its file there.
        commit: it is of.
        sha256: of the file.
        file: all that it holds.
    """

    path: Path
    commit: str
    sha256: str
    file: BankFile


def hub_address() -> str:
    """Where the hub is, as it may be told: a user and a password in the address of a mirror are struck out."""
    from huggingface_hub import constants

    return shown(constants.ENDPOINT)


def repository_of(address: str) -> str:
    """USER/REPO of ``hf://USER/REPO``.

    Raises:
        OptionError: the address is something else.
    """
    found = _ADDRESS.fullmatch(address)
    if not found or ".." in address or "--" in found[1]:
        raise OptionError(
            "this is no address of a repository of the hub", expected="hf://USER/REPO", got=f"{address!r:.120}"
        )
    return found[1]


def send(repository: str, files: Mapping[str, bytes], *, public: bool, message: str) -> Sent:
    """Put files into a repository by one commit; a repository that is not there is made, private unless ``public``.

    Args:
        repository: USER/REPO.
        files: content by name, among them ``BANK``.
        public: whether everybody may see them.
        message: of the commit.

    Raises:
        OutputError: there is no token, the hub is not to be asked or cannot be, it refuses, or the repository is public
            and that was not asked for; one that was made stays, and the message says so.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, get_token

    what, page = f"{SCHEME}{repository} cannot be written", f"{hub_address()}/{repository}"
    left = _Left(page, "public" if public else "private")
    with left.told(), _told(what, repository, OutputError):
        _check_reachable()
        if get_token() is None:
            raise OutputError(what, expected="a token of the hub that may write", got="none", mend=_LOG_IN)
        api = HfApi(endpoint=constants.ENDPOINT)
        is_there = api.repo_exists(repository)
        api.create_repo(repository, private=not public, exist_ok=True)
        left.made = not is_there
        before = api.model_info(repository)
        if not before.private and not public:
            raise OutputError(
                f"{SCHEME}{repository} is public, and was there before",
                expected="a private repository, or --public",
                got="one that everybody can read; nothing was sent",
                mend="give --public if everybody may have this bank, or choose another repository",
            )
        held = {one.rfilename for one in before.siblings or ()}
        removed = (PAGE,) if PAGE in held and PAGE not in files else ()
        made = api.create_commit(
            repository,
            [
                *(CommitOperationAdd(name, content) for name, content in files.items()),
                *(CommitOperationDelete(name) for name in removed),
            ],
            commit_message=message,
        )
    return Sent(page, made.oid, made.oid != before.sha, bool(before.private), removed)


def fetch(address: str, revision: str | None = None) -> Fetched:
    """Fetch the bank of a repository into the hub's cache, and read it by the reader of banks alone.

    Where ``HF_HUB_OFFLINE`` is set, it is that of the cache.

    Args:
        address: ``hf://USER/REPO``.
        revision: a branch, a tag or a commit; None for the newest of the main branch.

    Raises:
        OptionError: the address or the revision is none.
        BankError: there is no such bank, it may not be had or cannot be fetched, is too large, another file than the
            hub told of, or no bank.
        EncoderError: its encoder is not known here.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url

    repository, there = repository_of(address), None
    if revision is not None and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise OptionError("this is no revision", expected="a branch, a tag or a commit", got=f"{revision!r:.120}")
    what = f"{SCHEME}{repository} cannot be fetched"
    with _told(what, repository, BankError, revision):
        if not constants.HF_HUB_OFFLINE:
            _check_reachable()
            url = hf_hub_url(repository, BANK, revision=revision, endpoint=constants.ENDPOINT)
            there = get_hf_file_metadata(url)
            if there.size is None or there.size > MAX_BYTES:
                raise BankError(
                    what,
                    expected=f"a bank of at most {MAX_BYTES:,} bytes",
                    got="a file whose size the hub does not tell" if there.size is None else f"{there.size:,} bytes",
                )
        path = Path(hf_hub_download(repository, BANK, revision=revision, endpoint=constants.ENDPOINT))
    told_now = there.etag if there is not None and there.commit_hash == path.parent.name else None
    digest, file = _check_digest(repository, path, told_now), read_bank_file(path)
    encoder = next(iter(file.banks.values())).encoder.name
    terms_of(encoder)
    if name := known_nowhere_else(encoder):
        raise EncoderError(f"the bank of {SCHEME}{repository} is for an encoder that is known nowhere else", got=name)
    return Fetched(path, path.parent.name, digest, file)


def _check_digest(repository: str, path: Path, told: str | None) -> str:
    """The SHA-256 of a file in the cache; one that is not as the hub told is taken out of it, and no longer there.

    Args:
        repository: USER/REPO, for the message.
        path: in the cache, which calls large files by their SHA-256.
        told: what the hub told, or None.

    Raises:
        BankError: it is another file.
    """
    digest, held = path_digest(path), path.resolve()
    for stated in (told, held.name):
        if stated is not None and _SHA256.fullmatch(stated) and stated != digest:
            held.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            raise BankError(
                f"{SCHEME}{repository} is not the file that the hub told of",
                expected=f"SHA-256 {stated}",
                got=f"{digest}; it was taken out of the cache",
                mend="fetch it again; if that does not help, tell whoever shared it",
            )
    return digest


def _check_reachable() -> None:
    """Raise ConnectionError where the hub is not to be asked, or does not answer."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise ConnectionError("HF_HUB_OFFLINE is set, so that the hub is not asked")
    if not answers(constants.ENDPOINT):
        raise ConnectionError(f"no answer from {hub_address()}")


@contextmanager
def _told(
    what: str, repository: str, kind: type[OutputError | BankError], revision: str | None = None
) -> Iterator[None]:
    """Turn what goes wrong with the hub into one message."""
    from huggingface_hub import constants, errors

    def told(expected: str, got: str, mend: str) -> HistofactorError:
        return kind(what, expected=expected, got=got, mend=mend)

    try:
        yield
    except errors.GatedRepoError as error:
        raise told("access to it", "a gated repository", f"ask for access on its page, then {_LOG_IN}") from error
    except errors.RepositoryNotFoundError as error:
        got = "none of that name, or one that this token may not see"
        raise told("a repository", got, f"check the name; if it is private, {_LOG_IN}") from error
    except errors.RevisionNotFoundError as error:
        raise told("a revision that it has", f"{revision!r}", "name a branch, a tag or a commit") from error
    except errors.LocalEntryNotFoundError as error:
        got = "it is not on this machine, and HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else _first_line(error)
        raise told("an answer of the hub", got, "connect once to fetch it") from error
    except errors.EntryNotFoundError as error:
        raise told(f"{BANK} in it", "a repository without", "ask whoever named it where its bank is") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in {401, 403}:
            mend = f"make a token that may write there, then {_LOG_IN}"
            raise told("a token that is let in", f"a refusal ({status})", mend) from error
        raise told("an answer of the hub", _first_line(error), "try again later") from error
    except (OSError, ValueError, LookupError, RuntimeError, errors.HTTPError) as error:  # type: ignore[attr-defined]
        if _NO_XET.search(str(error)):
            mend = "set HF_HUB_DISABLE_XET=1, so that they go by Git LFS"
            raise told("a hub that takes large files by Xet", "one that does not know it (404)", mend) from error
        mend = "unset it to do this" if constants.HF_HUB_OFFLINE else "connect, or try again later"
        raise told("an answer of the hub", _first_line(error), mend) from error


def _first_line(error: BaseException) -> str:
    """What an error says first, and what the one says that led to it."""
    from huggingface_hub import constants

    text = str(error).replace(constants.ENDPOINT, hub_address()) if constants.ENDPOINT else str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = lines[0] if lines else type(error).__name__
    cause = "" if error.__cause__ is None else _first_line(error.__cause__)
    return said if cause in {"", said} else f"{said} ({cause})"
