"""What the server answers."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

import histofactor
from histofactor.base.names import REGIONS, SMALL, TABLE
from histofactor.errors import HistofactorError, OptionError
from histofactor.viewer import concepts, edit, pictures
from histofactor.viewer.origin import Origin, error_parts
from histofactor.viewer.rows import is_behind, slide_row
from histofactor.viewer.security import Guard, refused
from histofactor.viewer.server import OPENSEADRAGON, Server
from histofactor.viewer.slide import told
from histofactor.viewer.study import concepts_state, level_of
from histofactor.viewer.tiles import OVERLAP_PX, TILE_PX

_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_Answer = Callable[[Request], Response]


def make_app(server: Server) -> Guard:
    """The application, behind its guard."""
    slow, quick = CapacityLimiter(max(2, os.cpu_count() or 1)), CapacityLimiter(4)

    def route(
        path: str, answer: Callable[[Server, Request], Response], limiter: CapacityLimiter | None = None
    ) -> BaseRoute:
        return Route(path, _told_errors(lambda request: answer(server, request), limiter or quick), methods=["GET"])

    routes = [
        Route("/", _at_once(server, _index), methods=["GET"]),
        Route("/static/{name}", _at_once(server, _static), methods=["GET"]),
        route("/api/study", _study),
        route(
            "/api/concepts", lambda one, request: JSONResponse(concepts_state(one.view, pictures.asked_level(request)))
        ),
        route("/api/concepts/{label}", _card),
        route("/api/table", _table, CapacityLimiter(1)),
        route("/api/apply", lambda one, _: JSONResponse(one.applying.told())),
        route(f"/api/{TABLE}", pictures.cohort),
        route("/api/slides/{id}", _slide),
        route("/api/slides/{id}/point", _point),
        route("/api/slides/{id}/" + TABLE, pictures.slide_file(TABLE, "text/csv")),
        route("/api/slides/{id}/" + REGIONS, pictures.slide_file(REGIONS, "application/gzip")),
        route("/thumbs/{id}.jpg", pictures.slide_file(SMALL, "image/jpeg")),
        route("/tiles/{id}/{version}/{level}_{column}_{row}.jpg", pictures.tile, slow),
        route("/labels/{id}/{version}/{level}_{column}_{row}.bin", pictures.label_tile),
        route("/heat/{id}/{version}/{what}.bin", pictures.heat, slow),
        route("/patches/{version}/{label}/{rank}.jpg", pictures.patch, slow),
        Route("/api/{what}", _writes(server), methods=["POST"]),
    ]
    return Guard(Starlette(routes=routes), server.access)


def _at_once(server: Server, answer: Callable[[Server, Request], Response]) -> Callable[[Request], Awaitable[Response]]:
    """An answer from memory, which needs no thread."""

    async def endpoint(request: Request) -> Response:
        return answer(server, request)

    return endpoint


def _told_errors(answer: _Answer, limiter: CapacityLimiter) -> Callable[[Request], Awaitable[Response]]:
    """An answer made in a thread, whose errors are told as JSON; no one waits who has gone."""

    async def endpoint(request: Request) -> Response:
        async with limiter:
            if await request.is_disconnected():
                return Response(status_code=499)
            return await anyio.to_thread.run_sync(_safely, answer, request)

    return endpoint


def _safely(answer: _Answer, request: Request) -> Response:
    try:
        return answer(request)
    except edit.Outdated as error:
        return JSONResponse({"error": error_parts(error), "outdated": True}, 409)
    except HistofactorError as error:
        missing = isinstance(error, OptionError) and request.method == "GET"
        return JSONResponse({"error": error_parts(error)}, 404 if missing else 422)


def _writes(server: Server) -> Callable[[Request], Awaitable[Response]]:
    """Everything that changes something."""
    one_at_a_time = CapacityLimiter(1)

    def changed(wanted: Mapping[str, Any]) -> Response:
        notes = edit.change(server.view, wanted)
        return JSONResponse({**concepts_state(server.view), "notes": notes})

    def apply(wanted: Mapping[str, Any]) -> Response:
        server.applying.start()
        return JSONResponse(server.applying.told())

    def cancel(wanted: Mapping[str, Any]) -> Response:
        server.applying.cancel()
        return JSONResponse(server.applying.told())

    answers = {"edit": changed, "apply": apply, "cancel": cancel}

    async def endpoint(request: Request) -> Response:
        answer = answers.get(request.path_params["what"])
        if answer is None:
            return refused(404, "there is nothing of that name")
        if server.view.why_read_only:
            return refused(403, server.view.why_read_only)
        try:
            wanted = json.loads(await request.body() or b"{}")
        except (ValueError, RecursionError):
            wanted = None
        if not isinstance(wanted, dict):
            return refused(400, "this is no JSON object")
        async with one_at_a_time:
            return await anyio.to_thread.run_sync(_safely, lambda _: answer(wanted), request)

    return endpoint


def _index(server: Server, request: Request) -> Response:
    content, kind = server.static["index.html"]
    return Response(content, media_type=kind)


def _static(server: Server, request: Request) -> Response:
    if (name := request.path_params["name"]) not in server.static:
        return refused(404, "there is no such file")
    content, kind = server.static[name]
    cached = {"cache-control": "private, max-age=86400" if name == OPENSEADRAGON else "no-cache"}
    return Response(content, media_type=kind, headers=cached)


def _study(server: Server, request: Request) -> Response:
    view = server.view
    slides = [[id_, view.inputs[id_].name] for id_ in (view.inputs if view.alone else view.slides)]
    return JSONResponse({
        "name": view.title, "version": histofactor.__version__, "csrf": server.access.csrf,
        "why_read_only": view.why_read_only, "slides": slides, "first": view.first, "tile": TILE_PX,
        "overlap": OVERLAP_PX, "alone": view.alone,
    })  # fmt: skip


def _card(server: Server, request: Request) -> Response:
    study = level_of(server.view, pictures.asked_level(request))
    if study is None:
        raise OptionError("the study has no concepts of its own")
    return JSONResponse(concepts.card(study.file, study.k, pictures.number(request, "label"), server.view))


def _table(server: Server, request: Request) -> Response:
    """What is told of slides, some of them where ``ids`` names them."""
    view, asked = server.view, request.query_params.get("ids")
    ids = [id_ for id_ in asked.split(",") if id_ in view.slides] if asked is not None else list(view.slides)
    rows = {id_: {**slide_row(view, id_), "behind": is_behind(view, id_)} for id_ in ids}
    return JSONResponse(rows)


def _slide(server: Server, request: Request) -> Response:
    """All that is needed to show a slide; what cannot be shown of it says why."""
    id_ = request.path_params["id"]
    slide = server.view.slide(id_)
    sealed = slide.sealed

    def source() -> Origin:
        with pictures.opened(server, id_):
            return slide.origin.find()

    labels, labels_fault = told(lambda: slide.labels)
    origin, source_fault = told(source)
    server.view.checks.put(id_, origin, source_fault)
    told_labels = None if labels is None else {"sizes": labels.sizes, "bytes": labels.dtype.itemsize}
    return JSONResponse({
        "id": id_, "name": sealed.source.name, "size": sealed.size, "mpp": sealed.mpp,
        "l0_per_px": sealed.l0_per_px, "bank": sealed.bank, "k": sealed.k, "labels": told_labels,
        "labels_version": pictures.labels_version(sealed),
        "tiles_version": "none" if origin is None else pictures.tiles_version(origin),
        "labels_fault": labels_fault, "source_fault": source_fault,
        "source_warning": None if origin is None else origin.warning, "warnings": slide.warnings,
        "weights": slide.has_weights, "row": slide_row(server.view, id_),
    })  # fmt: skip


def _point(server: Server, request: Request) -> Response:
    slide = server.view.slide(request.path_params["id"])
    width, height = slide.sealed.size
    given = [request.query_params.get(name, "") for name in "xy"]
    x, y = (float(text) if _DECIMAL.fullmatch(text) else -1.0 for text in given)
    if not (0 <= x < width and 0 <= y < height):
        raise OptionError("the place is not on the slide", expected=f"a place within {width} × {height} px")
    scale, size = slide.sealed.l0_per_px, slide.labels.sizes[0]
    at = (min(int(place / per_px), limit - 1) for place, per_px, limit in zip((x, y), scale, size, strict=True))
    token = slide.token(x, y)
    told_token = None if token is None else {
        "strongest": token.strongest, "margin": token.margin, "residual": token.residual,
    }  # fmt: skip
    return JSONResponse({"label": slide.labels.at(*at), "token": told_token})
