"""Stores of inputs: S3, Google Cloud, HTTP and whatever else fsspec reaches; asked once, and told in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from histofactor.base.extras import install
from histofactor.errors import HistofactorError, ImageError, OptionError
from histofactor.records.urls import StoreFile, Url

TIMEOUT_S = 60.0  # without a byte, after which a connection counts as broken
_CONNECT_S = 15.0
_LONGEST, _ODD = 200, re.compile(r"[\x00\\:]")  # bytes of a name, and what none holds
_STRONG, _WEAK = ("ETag", "etag", "md5Hash", "Content-MD5", "crc32c"), ("Last-Modified", "LastModified", "mtime")
_WEAKEST = ("updated", "created")
_DENIED = (401, 403)
_GONE = (404, 410)
_NO_KEY = re.compile("NoCredentials|PartialCredentials|RefreshError|DefaultCredentials")
_MEND = {
    "s3": "give credentials in the way of the AWS tools, or FSSPEC_S3_ANON=true where all may read",
    "gs": "give credentials in the way of the Google Cloud tools, or FSSPEC_GS_TOKEN=anon where all may read",
}


def store_of(url: Url) -> tuple[Any, str]:
    """The file system of fsspec for a URL, and what it calls the file there.

    Raises:
        OptionError: what reads such stores is not installed, or there is nothing that does.
    """
    scheme = url.address.partition("://")[0].lower()
    try:
        from fsspec.core import url_to_fs
        from fsspec.registry import known_implementations
    except ImportError as error:
        raise OptionError(f"{url} lies on a store, for which parts are missing", mend=install("cloud")) from error
    if "::" in scheme or scheme not in known_implementations:
        known = "s3://, gs://, https:// and others of fsspec"
        raise OptionError(f"{url} cannot be read", expected=known, got=f"{scheme}://")
    try:
        fs, path = url_to_fs(url.address, **_options(scheme))
    except ImportError as error:
        mend = install("cloud") if scheme in {"s3", "s3a", "gs", "gcs", "http", "https"} else f"install it: {error.msg}"
        raise OptionError(f"{url} lies on a store, for which parts are missing", mend=mend) from error
    except ValueError as error:
        raise OptionError(f"{url} is no address", got=url.scrub(str(error))) from error
    return fs, str(path)


def _options(scheme: str) -> dict[str, Any]:
    """How long a store is waited for; what it found is never remembered, for it may change."""
    if scheme in {"http", "https"}:
        from aiohttp import ClientTimeout

        timeout = ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=TIMEOUT_S)
        return {"client_kwargs": {"timeout": timeout}, "use_listings_cache": False}
    if scheme in {"s3", "s3a"}:
        config = {"connect_timeout": _CONNECT_S, "read_timeout": TIMEOUT_S, "retries": {"max_attempts": 2}}
        return {"config_kwargs": config, "use_listings_cache": False}
    return {"use_listings_cache": False} if scheme in {"gs", "gcs"} else {}


@contextmanager
def asked(url: Url) -> Iterator[None]:
    """Whatever a store answers to a question about an input, told as ``ImageError``."""
    try:
        yield
    except HistofactorError:
        raise
    except Exception as error:
        raise refusal(url, error) from error


def refusal(url: Url, error: BaseException) -> ImageError:
    """Why a store does not give an input, without secrets."""
    scheme = url.address.partition("://")[0].lower()
    status, causes = status_of(error), list(_causes(error))
    if status in _DENIED or any(isinstance(one, PermissionError) for one in causes) or _needs_key(causes):
        mend = _MEND.get(scheme, "check the address, and whether it is still valid")
        got = f"{status}, not allowed" if status else "not allowed"
        return ImageError(f"{url} may not be read", expected="an input that may", got=got, mend=mend)
    if status in _GONE or (status is None and len(causes) == 1 and isinstance(error, FileNotFoundError)):
        return ImageError(f"{url} does not exist", expected="a file on the store", mend="check the address")
    if status is not None:
        got = f"{status} {getattr(causes[-1], 'message', '')!s:.80}".strip()
        return ImageError(f"the store of {url} cannot give it", got=got, mend="try again later")
    last = causes[-1]
    got = url.scrub(f"{type(last).__name__}: {last}".removesuffix(": "))
    return ImageError(f"the store of {url} cannot be reached", got=f"{got:.200}", mend="check the network")


def status_of(error: BaseException) -> int | None:
    """The status of HTTP that an error tells of, or one before it."""
    for one in _causes(error):
        status = getattr(one, "code" if type(one).__name__ == "HttpError" else "status", None)  # of gcsfs; of others
        if isinstance(status, int) and 400 <= status < 600:
            return status
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__


def _needs_key(causes: Sequence[BaseException]) -> bool:
    return any(_NO_KEY.search(type(one).__name__) for one in causes)


def file_from(info: Mapping[str, Any], name: str) -> StoreFile:
    """A file as a store tells of it."""
    size = info.get("size")
    for keys in (_STRONG, _WEAK, _WEAKEST):
        if version := next((f"{key} {_text(info[key])}" for key in keys if info.get(key)), ""):
            break
    return StoreFile(name, str(info["name"]), None if size is None else int(size), version)


def _text(version: Any) -> str:
    """A version as text; some stores tell times in two ways."""
    return str(version.timestamp() if isinstance(version, datetime) else version)


def look(url: Url, fs: Any, path: str, name: str) -> StoreFile:
    """Ask for one file.

    Raises:
        ImageError: there is none, it may not be read, or the store cannot be reached.
    """
    with asked(url):
        info = fs.info(path)
    if info.get("type") == "directory":
        raise ImageError(f"{url} is a folder", expected="one file of an input", mend="end it in / to name all in it")
    return file_from({**info, "name": path}, name)


def main_name(url: Url) -> str:
    """What the file that stands for an input is called where it is fetched to."""
    return safe_name(url.name or "input", url)


def safe_name(name: str, url: Url) -> str:
    """A name of a file below another, checked to lead nowhere else.

    Raises:
        ImageError: it does.
    """
    parts = PurePosixPath(name).parts
    if not parts or any(part in {"..", "/"} or len(part.encode()) > _LONGEST or _ODD.search(part) for part in parts):
        what = f"{url} has a file of a name that cannot be used"
        raise ImageError(what, expected="a plain name", got=f"{name!r:.80}")
    return "/".join(parts)
