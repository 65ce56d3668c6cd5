"""Which slides the Genomic Data Commons has: a query of its public API.

See https://docs.gdc.cancer.gov/API/Users_Guide/Search_and_Retrieval/. Only the query is sent.
Open slides need no token.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from histofactor.errors import ImageError, OptionError

ENDPOINT = "https://api.gdc.cancer.gov"
KINDS = {"diagnostic": "Diagnostic Slide", "tissue": "Tissue Slide"}
_PAGE = 1000  # files per answer
_MAX_PAGES, _MAX_FILES = 1000, 10**6  # TCGA has some 30,000 slides
_MAX_BYTES = 2**23  # of an answer: a page has some 400 kB
_TIMEOUT_S = 60
_FIELDS = "file_id,file_name,file_size,md5sum,cases.submitter_id,cases.project.project_id"


@dataclass(frozen=True, slots=True)
class GdcFile:
    """One file of the Genomic Data Commons.

    Attributes:
        file_id: its UUID.
        name: file name.
        md5: checksum, 32 hexadecimal digits.
        size: bytes.
        project: for example ``TCGA-BRCA``, or "" where a manifest does not say; any text.
        case: submitter's name of the patient, or ""; any text.
    """

    file_id: str
    name: str
    md5: str
    size: int
    project: str = ""
    case: str = ""


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is not as it should be of a file, and what it should be."""

    field: str
    expected: str
    got: str


def wrong_field(file_id: str, name: str, md5: str, size: str) -> Wrong | None:
    """The first field of a file that is not valid, or None; names are plain, so nothing is written out of a folder.

    Args:
        file_id, name, md5, size: as in ``GdcFile``, the size in decimal digits.
    """
    plain = not re.search(r'[/\\:*?"<>|]', name) and not name.startswith(".") and not name.endswith((".", " ", ".part"))
    short = 0 < len(name.encode("utf-8", "surrogatepass")) <= 200
    checks = (
        ("filename", plain and short and name.isprintable(), "a plain file name of up to 200 bytes", name),
        ("md5", re.fullmatch("[0-9a-f]{32}", md5), "32 hexadecimal digits", md5),
        ("size", re.fullmatch("[1-9][0-9]{0,14}", size), "bytes", size),
        ("id", re.fullmatch("[0-9A-Za-z-]{1,64}", file_id), "letters, digits and dashes", file_id),
    )
    return next((Wrong(field, expected, f"{got!r:.80}") for field, right, expected, got in checks if not right), None)


def address_of(endpoint: str, path: str) -> str:
    """The address of a part of the API.

    Raises:
        OptionError: the endpoint is no address.
    """
    try:
        parts = urlsplit(endpoint)
        right = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or a host that can be none
        right = False
    if not right:
        raise OptionError(f"the endpoint {endpoint!r} is no address", expected="https://…")
    return f"{endpoint.rstrip('/')}/{path}"


def list_slides(
    projects: Sequence[str] = (), *, kind: str = "diagnostic", endpoint: str = ENDPOINT, page: int = _PAGE
) -> list[GdcFile]:
    """List the open slides of some projects.

    Args:
        projects: for example ``TCGA-BRCA``; none stands for all of TCGA.
        kind: ``diagnostic`` (FFPE) or ``tissue`` (frozen).
        endpoint: address of the API.
        page: files per answer.

    Returns:
        The slides, by project, case and name.

    Raises:
        OptionError: the kind is unknown.
        ImageError: the API cannot be reached, answers something else, or has no such slides.
    """
    if kind not in KINDS:
        raise OptionError(f"unknown kind of slide {kind!r}", expected=f"one of {', '.join(KINDS)}")
    wanted = [
        ("cases.project.program.name", ["TCGA"]),
        ("files.data_format", ["SVS"]),
        ("files.experimental_strategy", [KINDS[kind]]),
        ("files.access", ["open"]),
    ]
    if projects:
        wanted.append(("cases.project.project_id", list(projects)))
    content = [{"op": "in", "content": {"field": field, "value": values}} for field, values in wanted]
    query = {"filters": {"op": "and", "content": content}, "fields": _FIELDS, "format": "JSON", "sort": "file_id:asc"}
    found: dict[str, GdcFile] = {}
    for _ in range(_MAX_PAGES):
        files, total = _read_page(endpoint, _ask(endpoint, {**query, "size": page, "from": len(found)}))
        new = {file.file_id: file for file in files if file.file_id not in found}
        if len(new) < len(files) or (not files and len(found) < total):
            got = f"{len(found) + len(new):,} of {total:,} files" if not files else "the same file twice"
            raise _unexpected(endpoint, got)
        found |= new
        if len(found) >= total:
            break
    else:
        raise _unexpected(endpoint, f"{len(found):,} of {total:,} files in {_MAX_PAGES:,} answers")
    if not found:
        raise ImageError(
            "the Genomic Data Commons has no such slides",
            expected=f"open {kind} slides of {', '.join(projects) or 'TCGA'}",
            got="none",
            mend="check the names of the projects, such as TCGA-BRCA",
        )
    return sorted(found.values(), key=lambda file: (file.project, file.case, file.name))


def draw(
    files: Sequence[GdcFile], per_project: int | None, *, one_per_case: bool = False, seed: int = 0
) -> list[GdcFile]:
    """A balanced choice of slides.

    Args:
        files: from ``list_slides``.
        per_project: so many of each project at most, drawn at random; None takes all.
        one_per_case: no patient gives two.
        seed: of the draw.

    Returns:
        Those chosen, in their order.
    """
    order = np.random.default_rng(seed).permutation(len(files))
    cases: set[tuple[str, str]] = set()
    counts: dict[str, int] = {}
    chosen = []
    for index in order.tolist():
        file = files[index]
        if one_per_case and (file.project, file.case) in cases:
            continue
        if per_project is not None and counts.get(file.project, 0) >= per_project:
            continue
        cases.add((file.project, file.case))
        counts[file.project] = counts.get(file.project, 0) + 1
        chosen.append(index)
    return [files[index] for index in sorted(chosen)]


def _read_page(endpoint: str, answer: Any) -> tuple[list[GdcFile], int]:
    """The files of one answer, and how many there are in all."""
    try:
        hits, total = answer["data"]["hits"], answer["data"]["pagination"]["total"]
        files = [_file(hit) for hit in hits]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _unexpected(endpoint, f"an answer without {error}"[:200]) from error
    if type(total) is not int or not 0 <= total <= _MAX_FILES:
        raise _unexpected(endpoint, f"{total!r:.40} files in all")
    return files, total


def _file(hit: dict[str, Any]) -> GdcFile:
    """One file of an answer.

    Raises:
        KeyError, TypeError, ValueError, IndexError: it is not as it should be.
    """
    case = hit["cases"][0]
    file_id, name, md5 = hit["file_id"], hit["file_name"], hit["md5sum"]
    size, project, submitter = hit["file_size"], case["project"]["project_id"], case["submitter_id"]
    if type(size) is not int or not all(isinstance(text, str) for text in (file_id, name, md5, project, submitter)):
        raise TypeError("texts and a whole number of bytes of every file")
    if wrong := wrong_field(file_id, name, md5, str(size)):
        raise ValueError(f"a valid {wrong.field} of every file: {wrong.got}")
    return GdcFile(file_id, name, md5, size, project, submitter)


def _ask(endpoint: str, query: dict[str, Any]) -> Any:
    """The answer to one query."""
    request = urllib.request.Request(
        address_of(endpoint, "files"), json.dumps(query).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            content = answer.read(_MAX_BYTES + 1)
    except urllib.error.HTTPError as error:
        raise _unexpected(endpoint, f"{error.code} {error.reason}") from error
    except (OSError, HTTPException, ValueError) as error:  # ValueError: sent on to what is no address
        raise ImageError(
            f"cannot reach {endpoint}", got=str(error), mend="check the connection and try again"
        ) from error
    if len(content) > _MAX_BYTES:
        raise _unexpected(endpoint, f"an answer of more than {_MAX_BYTES:,} bytes")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _unexpected(endpoint, "something that is not JSON") from error


def _unexpected(endpoint: str, got: str) -> ImageError:
    return ImageError(
        f"{endpoint} did not answer as the Genomic Data Commons does",
        expected="a list of files",
        got=got,
        mend="try again later, or check --endpoint",
    )
