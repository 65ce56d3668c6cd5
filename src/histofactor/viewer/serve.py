"""A study served to a browser on this machine."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from histofactor.errors import OptionError
from histofactor.viewer.app import make_app
from histofactor.viewer.apply import Applying
from histofactor.viewer.security import Access, hosts_of
from histofactor.viewer.server import OPENSEADRAGON, Server, static_files
from histofactor.viewer.study import open_view
from histofactor.viewer.warm import warmed

PORT, _TRIES = 8750, 20
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
_NO_LIBRARY = "OpenSeadragon is missing from this installation of histofactor"
_MEND = "install a wheel of histofactor, or with npm at hand: python -m pip install --force-reinstall --no-deps ."


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """How a study is served.

    Attributes:
        host: the address to listen at.
        port: where; None takes the first free one from ``PORT`` on, 0 any.
        read_only: change nothing.
        slides: where inputs are looked for that are not where they were.
        on_ready: called with the address to open, and with sentences to be told.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    read_only: bool = False
    slides: Path | None = None
    on_ready: Callable[[str, list[str]], None] = lambda address, notes: None


def serve(target: Path, options: ServeOptions) -> None:
    """Serve a study, or a bank alone, until the process is interrupted.

    Args:
        target: an output folder of ``segment``, or a bank.
        options: how.

    Raises:
        OptionError: it is neither, the port is taken, or the page's library is not installed.
        BankError: the bank cannot be read, is of a newer version, or was changed by something else.
    """
    if OPENSEADRAGON not in static_files():
        raise OptionError(_NO_LIBRARY, mend=_MEND)
    with (
        open_view(target, read_only=options.read_only, moved=options.slides) as view,
        _listening(options.host, options.port) as listener,
    ):
        port = listener.getsockname()[1]
        access = Access(hosts_of(options.host, port), port, addresses=options.host not in _LOOPBACK)
        server = Server(view, access, Applying(view.out))
        notes = [] if not view.why_read_only else [f"read-only: {view.why_read_only}"]
        if view.alone and options.slides is not None and not view.inputs:
            notes.append(f"{options.slides} holds none of the slides that the bank was learned from")
        if options.host not in _LOOPBACK:
            notes.append(
                f"warning: listening at {options.host}: whoever reaches this machine and knows the address below sees "
                "the study, over a connection that is not encrypted"
            )
        host = _EVERYWHERE.get(options.host, options.host)
        if host != options.host:
            notes.append(f"from elsewhere, put the IP address of this machine in the place of {host}")
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{port}/?token={access.token}"
        config = uvicorn.Config(
            make_app(server), log_level="error", access_log=False, server_header=False, lifespan="off",
            timeout_graceful_shutdown=3,
        )  # fmt: skip
        try:
            with warmed(server):
                options.on_ready(address, notes)
                uvicorn.Server(config).run(sockets=[listener])
        finally:
            server.applying.close()
            server.pool.close()


@contextmanager
def _listening(host: str, port: int | None) -> Iterator[socket.socket]:
    """A socket that listens, until the block ends."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # told, or asyncio lets small answers wait
    if os.name == "posix":  # a port that was left a moment ago; elsewhere this would take it from who listens there
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        _bind(listener, host, port)
        yield listener
    finally:
        listener.close()


def _bind(listener: socket.socket, host: str, port: int | None) -> None:
    tries = range(PORT, PORT + _TRIES) if port is None else (port,)
    for number in tries:
        try:
            listener.bind((host, number))
            listener.listen(128)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and number != tries[-1]:
                continue
            what = f"cannot listen at port {number} of {host}"
            taken = error.errno in (errno.EADDRINUSE, errno.EACCES)
            mend = "choose another one with --port, or leave --port out" if taken else "choose another --host"
            raise OptionError(what, got=error.strerror or str(error), mend=mend) from error
        return
