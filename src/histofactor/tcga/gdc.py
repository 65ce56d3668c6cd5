"""Which slides the Genomic Data Commons has: a query of its public API.

See https://docs.gdc.cancer.gov/API/Users_Guide/Search_and_Retrieval/. Only the query is sent.
Open slides need no token.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

import numpy as np

from histofactor.errors import ImageError, OptionError

ENDPOINT = "https://api.gdc.cancer.gov"
KINDS = {"diagnostic": "Diagnostic Slide", "tissue": "Tissue Slide"}
_PAGE = 1000  # files per answer
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
        project: for example ``TCGA-BRCA``, or "" where a manifest does not say.
        case: submitter's name of the patient, or "".
    """

    file_id: str
    name: str
    md5: str
    size: int
    project: str = ""
    case: str = ""


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
    total, start = 1, 0
    while start < total:
        answer = _ask(endpoint, {**query, "size": page, "from": start})
        try:
            hits, total = answer["data"]["hits"], int(answer["data"]["pagination"]["total"])
            files = [_file(hit) for hit in hits]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise _unexpected(endpoint, f"an answer without {error}") from error
        found |= {file.file_id: file for file in files}
        start += len(files)
        if not files:
            break
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


def _file(hit: dict[str, Any]) -> GdcFile:
    case = hit["cases"][0]
    return GdcFile(
        str(hit["file_id"]),
        str(hit["file_name"]),
        str(hit["md5sum"]),
        int(hit["file_size"]),
        str(case["project"]["project_id"]),
        str(case["submitter_id"]),
    )


def _ask(endpoint: str, query: dict[str, Any]) -> Any:
    """The answer to one query."""
    address = endpoint.rstrip("/") + "/files"
    if not address.startswith(("http://", "https://")):
        raise OptionError(f"the endpoint {endpoint!r} is no address", expected="https://…")
    request = urllib.request.Request(address, json.dumps(query).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise _unexpected(endpoint, f"{error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        raise ImageError(
            f"cannot reach {endpoint}", got=str(error), mend="check the connection and try again"
        ) from error
    except ValueError as error:
        raise _unexpected(endpoint, "something that is not JSON") from error


def _unexpected(endpoint: str, got: str) -> ImageError:
    return ImageError(
        f"{endpoint} did not answer as the Genomic Data Commons does",
        expected="a list of files",
        got=got,
        mend="try again later, or check --endpoint",
    )
