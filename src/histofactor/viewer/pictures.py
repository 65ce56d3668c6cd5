"""Answers that are files: tiles, layers, patches and tables."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from histofactor.base.names import TABLE
from histofactor.errors import OptionError
from histofactor.slides.reader import Slide
from histofactor.viewer import concepts
from histofactor.viewer.origin import SAME, Origin
from histofactor.viewer.server import Server
from histofactor.viewer.slide import Sealed
from histofactor.viewer.study import level_of
from histofactor.viewer.tiles import read_tile, tile_of

FOREVER = {"cache-control": "private, max-age=86400, immutable"}  # what an address tells never changes
_NUMBER = re.compile("[0-9]{1,9}")


def tiles_version(origin: Origin) -> str:
    """What tells the px of a slide from those of another file that takes its place, or took it before."""
    return origin.content[:12] or "none"


def opened(server: Server, id_: str) -> AbstractContextManager[Slide]:
    """The input of a slide, open until the block ends; raises ImageError as ``StudyView.open_input``."""
    view = server.view
    return server.pool.use(f"{id_}-{tiles_version(view.origin(id_).find())}", lambda: view.open_input(id_))


def labels_version(sealed: Sealed) -> str:
    """What tells a label map from one that takes its place."""
    return sealed.labels[:12]


def cohort(server: Server, request: Request) -> Response:
    """The table of all slides."""
    return _file(server.view.out / TABLE, f"{server.view.title}-phenotypes.csv", "text/csv")


def slide_file(name: str, kind: str) -> Callable[[Server, Request], Response]:
    """An answer that is a file of the results of a slide."""

    def answer(server: Server, request: Request) -> Response:
        slide = server.view.slide(request.path_params["id"])
        return _file(slide.folder / name, f"{slide.name}-{name}", kind)

    return answer


def _file(path: Path, called: str, kind: str) -> Response:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OptionError(f"{path.name} is not there", got=error.strerror or str(error)) from error
    plain = "".join(one if one.isascii() and (one.isalnum() or one in "-._ ") else "_" for one in called)
    headers = {} if kind == "image/jpeg" else {"content-disposition": f'attachment; filename="{plain}"'}
    return Response(content, media_type=kind, headers=headers)


def number(request: Request, name: str) -> int:
    """A number in an address; raises OptionError where it is none, or has more digits than anything counts here."""
    text = request.path_params[name]
    if not _NUMBER.fullmatch(text):
        raise OptionError("there is nothing of that number")
    return int(text)


def _place(request: Request) -> tuple[int, int, int]:
    return number(request, "level"), number(request, "column"), number(request, "row")


def _check_version(request: Request, version: str) -> None:
    """Refuse what was there before: what an address tells is kept for long."""
    if request.path_params["version"] != version:
        raise OptionError("there is something else now", mend="look again")


def tile(server: Server, request: Request) -> Response:
    """A tile of a slide."""
    id_, place = request.path_params["id"], _place(request)
    _check_version(request, tiles_version(server.view.slide(id_).origin.find()))
    return Response(tile_file(server, id_, place), media_type="image/jpeg", headers=FOREVER)


def tile_file(server: Server, id_: str, place: tuple[int, int, int]) -> bytes:
    """A tile of a slide as a JPEG file, those that were made last from memory.

    Args:
        server: what answers are made of.
        id_: of the slide.
        place: level, column and row.

    Raises:
        OptionError: there is no such slide or tile.
        ImageError: as ``SlideView.open_source``.
    """
    slide = server.view.slide(id_)
    part = tile_of(slide.sealed.size, *place)

    def made() -> bytes:
        with opened(server, id_) as source:
            return read_tile(source, part)

    return server.cache.get((id_, tiles_version(slide.origin.find()), *place), made)


def label_tile(server: Server, request: Request) -> Response:
    """A tile of a label map."""
    slide = server.view.slide(request.path_params["id"])
    _check_version(request, labels_version(slide.sealed))
    return _packed(slide.label_tile(*_place(request)), {})


def heat(server: Server, request: Request) -> Response:
    """Margin or residual of a slide's tokens."""
    what = request.path_params["what"]
    if what not in {"margin", "residual"}:
        raise OptionError("there is no such layer", expected="margin or residual")
    slide = server.view.slide(request.path_params["id"])
    _check_version(request, labels_version(slide.sealed))
    found = slide.heat(what)
    if found is None:
        raise OptionError("no weights were kept of this slide", mend="segment it again with --keep-weights")
    height, width = found.values.shape
    facts = {"size": [width, height], "l0_per_px": list(found.l0_per_px)}
    return _packed(found.values.tobytes(), {"x-heat": json.dumps(facts)})


def _packed(content: bytes, headers: Mapping[str, str]) -> Response:
    """Bytes, packed on the way."""
    headers = {**FOREVER, **headers, "content-encoding": "gzip"}
    return Response(gzip.compress(content, 1, mtime=0), media_type="application/octet-stream", headers=headers)


def patch(server: Server, request: Request) -> Response:
    """A typical place of a concept; where its slide may be another one, it is looked up anew each time."""
    study, label, rank = level_of(server.view, asked_level(request)), number(request, "label"), number(request, "rank")
    found = [] if study is None else concepts.patches(study.file, study.k, label, server.view)
    if rank >= len(found):
        raise OptionError("there is no such patch")
    one = found[rank]
    origin = server.view.origin(one.id).find()

    def made() -> bytes:
        with opened(server, one.id) as slide:
            return concepts.read_patch(one, origin, slide)

    key = "patch", one.id, tiles_version(origin), origin.state, one.example.x, one.example.y, one.example.side
    headers = FOREVER if origin.state == SAME else {"cache-control": "no-store"}
    return Response(server.cache.get(key, made), media_type="image/jpeg", headers=headers)


def asked_level(request: Request) -> int | None:
    """The level that is asked for, of a bank alone."""
    text = request.query_params.get("k", "")
    return int(text) if re.fullmatch("[0-9]{1,6}", text) else None
