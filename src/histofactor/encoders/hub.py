"""Files of the hub: from its cache, or fetched at a pinned revision."""

from __future__ import annotations

import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from histofactor.errors import EncoderError
from histofactor.records import EncoderSpec
from histofactor.records.urls import told

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

_PATIENCE_S = 3.0  # for the hub to answer


def fetch_weights(spec: EncoderSpec) -> Path:
    """The weights file of an encoder from the hub's cache or the hub, at the pinned revision if there is one.

    Raises:
        EncoderError: the hub cannot be reached or does not let the user in; the message says what to do.
    """
    source = spec.source
    by_hand = f"pass a local copy of {source.filename or 'its weights'} with --weights FILE"
    if not source.repository:
        folder = Path(spec.name.partition(":")[2])
        if (folder / source.filename).is_file():
            return folder / source.filename
        raise EncoderError(f"encoder {spec.name!r} has no weights on the hub", mend=by_hand)
    return fetch_file(source.repository, source.filename, source.revision, by_hand, spec)


def fetch_file(
    repository: str, filename: str, revision: str | None, by_hand: str = "", spec: EncoderSpec | None = None
) -> Path:
    """A file of a repository from the hub's cache or the hub.

    Args:
        repository, filename, revision: what to fetch; no revision stands for the newest.
        by_hand: what a user without the hub can do.
        spec: the encoder that it belongs to, for the message.

    Raises:
        EncoderError: it cannot be had.
    """
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError

    what = f"the weights of {spec.name}" if spec is not None else f"{filename} of {repository}"
    by_hand = by_hand or "give a local folder"
    try:
        held = try_to_load_from_cache(repository, filename, revision=revision)
        if isinstance(held, str):
            return Path(held)
        if constants.HF_HUB_OFFLINE:
            raise ConnectionError("HF_HUB_OFFLINE is set, so that the hub is not asked")
        if not answers(constants.ENDPOINT):
            raise ConnectionError(f"no answer from {told(constants.ENDPOINT)}")
        return Path(hf_hub_download(repository, filename, revision=revision))
    except (OSError, ValueError) as error:
        answer = error if isinstance(error, HfHubHTTPError) else error.__cause__
        if isinstance(answer, HfHubHTTPError):
            expected, got, mend = _refusal(answer, repository, filename, revision)
            licence = f", whose licence is {spec.licence}" if spec is not None else ""
            raise EncoderError(
                f"the hub does not hand out {what}",
                expected=f"{expected}{licence}",
                got=got,
                mend=f"{mend}, or {by_hand}",
            ) from error
        raise EncoderError(
            f"{what} are not on this machine and the hub cannot be reached"
            if spec is not None
            else f"{what} is not on this machine and the hub cannot be reached",
            expected=f"{repository} at revision {revision or 'of today'}",
            got=str(error).splitlines()[0] if str(error) else type(error).__name__,
            mend=f"connect once to download them, or {by_hand}; the encoder 'embedded' needs no download",
        ) from error


def _refusal(error: HfHubHTTPError, repository: str, filename: str, revision: str | None) -> tuple[str, str, str]:
    """What the hub was to have, what it says instead, and what to do: each of its refusals is another matter."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    page, log_in = _page(constants.ENDPOINT, repository), "run `hf auth login`"
    if isinstance(error, GatedRepoError):
        return f"access to {repository}", "a gated repository without access", f"ask for access on {page} and {log_in}"
    if isinstance(error, RepositoryNotFoundError):
        got = "no repository of that name, or a private one that this token may not see"
        return f"the repository {repository}", got, f"look whether it is still at {page}, {log_in} if it is private"
    if isinstance(error, RevisionNotFoundError):
        got = f"a repository without the revision {revision or 'main'}"
        return f"{repository} at that revision", got, f"look at {page} whether it was moved, or update histofactor"
    if isinstance(error, EntryNotFoundError):
        got = f"no such file at revision {revision or 'main'}"
        return f"{filename} in {repository}", got, f"look at {page} whether it was moved, or update histofactor"
    status = error.response.status_code if error.response is not None else 0
    if status in {401, 403}:
        return f"access to {repository}", f"a refusal ({status})", f"{log_in} with a token that may read {page}"
    return f"an answer about {repository}", str(error).splitlines()[0], "try again later"


def answers(address: str) -> bool:
    """Whether a server answers at all, within three seconds; names that are not resolved can take long."""
    found: list[bool] = []

    def ask() -> None:
        request = urllib.request.Request(address, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE_S):
                found.append(True)
        except urllib.error.HTTPError:
            found.append(True)
        except (OSError, HTTPException):
            found.append(False)

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE_S)
    return bool(found) and found[0]


def _page(endpoint: str, repository: str) -> str:
    return f"{told(endpoint).removeprefix('https://')}/{repository}"
