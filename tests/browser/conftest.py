"""Viewers for a real browser to open."""

import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from histofactor.viewer.server import OPENSEADRAGON, static_files


@contextmanager
def served(out: Path, **options):
    """Serve a study from a thread; yields the address to open."""
    import uvicorn

    from histofactor.viewer.app import make_app
    from histofactor.viewer.apply import Applying
    from histofactor.viewer.security import Access, hosts_of
    from histofactor.viewer.serve import _listening
    from histofactor.viewer.server import Server
    from histofactor.viewer.study import open_view

    with open_view(out, **options) as view, _listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        server = Server(view, Access(hosts_of("127.0.0.1", port), port), Applying(out))
        config = uvicorn.Config(make_app(server), log_level="error", lifespan="off", timeout_graceful_shutdown=1)
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}/?token={server.access.token}"
        finally:
            running.should_exit = True
            thread.join()
            server.applying.close()
            server.pool.close()


@pytest.fixture
def page(chromium, serve):  # closed before what it looks at
    """A page of which no error, nothing that the policy forbids and no unwanted answer is passed over."""
    if OPENSEADRAGON not in static_files():
        pytest.skip("needs OpenSeadragon, which npm brings when histofactor is installed")
    context = chromium.new_context(viewport={"width": 1300, "height": 850}, accept_downloads=True)
    one, faults = context.new_page(), []
    one.allowed = []  # parts of messages that a test expects
    one.on("pageerror", lambda error: faults.append(f"{error}"))
    one.on("console", lambda told: faults.append(f"{told.text} {told.location}") if told.type == "error" else None)
    yield one
    context.close()
    assert [fault for fault in faults if not any(part in fault for part in one.allowed)] == []


def opened(page, address, fragment=""):
    """Open the viewer and wait until slide and map are drawn."""
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    if fragment:
        page.goto(f"{page.url.split('#')[0]}#{fragment}")
    return page


def drawn(page):
    """Wait until all that is seen was loaded."""
    page.wait_for_function(
        """() => window.histofactor.page().panes.every((pane) => pane.slide && pane.viewer.world.getItemCount()
          && pane.viewer.world.getItemAt(0).getFullyLoaded() && (!pane.layer || pane.layer.ready))"""
    )
    page.wait_for_timeout(150)


@pytest.fixture
def serve():
    """A function that serves a study until the test ends."""
    with ExitStack() as running:
        yield lambda out, **options: running.enter_context(served(out, **options))


@pytest.fixture
def show(page):
    """Functions for tests: open, drawn."""
    return opened, drawn
