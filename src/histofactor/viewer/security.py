"""Who may ask for what: every request passes here before anything else sees it.

The token in the printed address becomes a cookie. The Host header must be one of ours, so that no name that an outsider
controls leads here (DNS rebinding); what changes anything needs a header that no other site can send. No request of
another site is answered, and none is allowed to read an answer (no CORS).
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CSRF_HEADER = "x-histofactor-csrf"
MAX_BODY_BYTES = 2**16
_READS = {"GET", "HEAD"}
_OWN_SITES = {"same-origin", "none"}  # what a browser says of who asks; another port of this machine is "same-site"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_LIBRARY_STYLE = "'sha256-9xTiqzfwFaL2SGb1rmr8gysEwVVjIvqWAgmZgqFqpEE='"  # the one that OpenSeadragon 6.1.1 puts in
_HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; script-src 'self'; style-src 'self' {_LIBRARY_STYLE}; "
        "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
_CLOSED = (
    "<!doctype html><meta charset=utf-8><title>histofactor</title>"
    "<p>This page opens with the address that <code>histofactor view</code> printed, which holds a token. "
    "If you have opened it in this browser before: <a href=/>go on</a>."
)


@dataclass(frozen=True, slots=True)
class Access:
    """What a request must show.

    Attributes:
        hosts: values of the Host header that are ours, in lower case.
        port: where we listen.
        addresses: whether any IP address in the Host header is ours too; a name that an outsider controls is none.
        token: of the printed address, and of the cookie.
        csrf: value of ``CSRF_HEADER``.
    """

    hosts: frozenset[str]
    port: int
    addresses: bool = False
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def cookie(self) -> str:
        """Its name; cookies of one host are shared by all ports."""
        return f"histofactor-{self.port}"

    def is_called(self, host: str) -> bool:
        """Whether a Host header is ours."""
        if host.lower() in self.hosts:
            return True
        address, _, port = host.rpartition(":")
        return self.addresses and port == str(self.port) and _is_address(address)


def hosts_of(host: str, port: int) -> frozenset[str]:
    """Host headers under which a server is reached that listens at an address.

    Args:
        host: a name or an address; "" or one of all interfaces stands for any address, but for no name.
        port: where it listens.
    """
    own = f"[{host}]" if ":" in host else host
    return frozenset(f"{name}:{port}".lower() for name in {*_LOOPBACK, own} if name)


def _is_address(text: str) -> bool:
    """Whether this is an IP address as a Host header has it."""
    try:
        if text.startswith("[") and text.endswith("]"):
            IPv6Address(text[1:-1])
        else:
            IPv4Address(text)
    except ValueError:
        return False
    return True


class Guard:
    """Lets through what shows what ``Access`` asks for; as ASGI middleware.

    Args:
        app: what answers then.
        access: what is asked for.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no web sockets here
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        answer = self._refusal(scope)
        await (answer or self._app)(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        """What is answered in the place of the app, or None."""
        headers, method = Headers(scope=scope), scope["method"]
        if len(headers.getlist("host")) != 1 or not self._access.is_called(headers["host"]):
            return refused(421, "this server is not called so")
        if headers.get("sec-fetch-site", "none") not in _OWN_SITES and scope["path"] != "/":
            return refused(403, "no other site may ask")
        if method in _READS and scope["path"] == "/" and (given := _token_of(scope)):
            if not hmac.compare_digest(given.encode(), self._access.token.encode()):
                return HTMLResponse(_CLOSED, 401)
            answer = RedirectResponse("/", 303)
            answer.set_cookie(self._access.cookie, self._access.token, httponly=True, samesite="strict", path="/")
            return answer
        if not self._knows(headers):
            return HTMLResponse(_CLOSED, 401) if scope["path"] == "/" else refused(401, "the cookie is missing")
        return None if method in _READS else self._unlike_a_write(headers)

    def _knows(self, headers: Headers) -> bool:
        """Whether the cookie is ours."""
        try:
            jar: Mapping[str, object] = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        value = getattr(jar.get(self._access.cookie), "value", "")
        return hmac.compare_digest(value.encode(), self._access.token.encode())

    def _unlike_a_write(self, headers: Headers) -> Response | None:
        """Why what would change something is refused, or None."""
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"http://{headers['host'].lower()}":
            return refused(403, "no other site may change anything")
        if not hmac.compare_digest(headers.get(CSRF_HEADER, "").encode(), self._access.csrf.encode()):
            return refused(403, "the header against cross-site requests is missing")
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return refused(415, "what changes anything is JSON")
        length = headers.get("content-length", "")
        if not re.fullmatch("[0-9]{1,9}", length) or int(length) > MAX_BODY_BYTES:
            return refused(413, "the request is too long, or does not tell its length")
        return None


def refused(status: int, what: str) -> JSONResponse:
    """An answer that says why there is no other."""
    return JSONResponse({"error": {"what": what}}, status)


def _token_of(scope: Scope) -> str:
    """The token in an address, or ""."""
    given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
    return given[0] if given else ""
