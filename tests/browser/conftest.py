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


DRAWN = """() => window.histofactor.page().panes.every((pane) => pane.slide && pane.viewer.world.getItemCount()
  && pane.viewer.world.getItemAt(0).getFullyLoaded() && (!pane.layer || pane.layer.ready))"""


@pytest.fixture(scope="module")
def shown(chromium, whole_study):
    """A function that shows a study to look only, at a fragment of the address; one page serves a file of tests."""
    if OPENSEADRAGON not in static_files():
        pytest.skip("needs OpenSeadragon, which npm brings when histofactor is installed")
    with served(whole_study[0], read_only=True) as address:
        context = chromium.new_context(viewport={"width": 1300, "height": 850}, accept_downloads=True)
        page, faults = context.new_page(), []
        page.on("pageerror", lambda error: faults.append(f"{error}"))
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        base = page.url.split("#")[0]

        def show(fragment=""):
            page.goto("about:blank")
            page.goto(f"{base}#{fragment}")
            page.wait_for_selector("body[data-ready]")
            if "page=" not in fragment:
                page.wait_for_function(DRAWN)
            return page

        yield show
        context.close()
    assert faults == []


@pytest.fixture
def serve():
    """A function that serves a study until the test ends, or until ``end`` of it is called."""
    with ExitStack() as running:

        def serve(out, **options):
            return running.enter_context(served(out, **options))

        serve.end = running.close
        yield serve


class Look:
    """A page that looks at a study.

    Attributes:
        page: of the browser.
        out: the study.
        serve: serves a study, see the fixture.
    """

    def __init__(self, page, serve, out):
        self.page, self.out, self.serve = page, out, serve

    def __call__(self, **options):
        """Serve the study, open it and wait until slide and map are drawn; returns the page."""
        self.at(**options)
        self.drawn()
        return self.page

    def at(self, fragment="", target=None, **options):
        """Serve the study, or another one, and open it at a fragment of its address; returns the page."""
        return self.go(self.serve(target or self.out, **options), fragment)

    def go(self, address, fragment=""):
        """Open what is served; returns the page."""
        self.page.goto(address)
        self.page.wait_for_selector("body[data-ready]")
        if fragment:
            self.page.goto(f"{self.page.url.split('#')[0]}#{fragment}")
        return self.page

    def drawn(self):
        """Wait until all that is seen was loaded."""
        self.page.wait_for_function(DRAWN)
        self.page.wait_for_timeout(150)

    def settled(self):
        """Wait until the server has been told all that was changed."""
        self.page.evaluate("() => import('/static/store.js').then((store) => store.settled())")

    def choose(self, label):
        """Put the focus on a line of the legend; returns it."""
        line = self.page.locator(f'.class[data-label="{label}"]')
        line.focus()
        return line

    def name(self, label, text):
        """Name a phenotype by keys."""
        self.choose(label)
        self.page.keyboard.press("n")
        self.page.locator("dialog input").fill(text)
        self.page.keyboard.press("Enter")
        self.settled()

    def apply(self):
        """Apply what was changed, to the end."""
        self.page.locator("#apply:visible").wait_for()
        self.page.locator("#apply").click()
        self.page.get_by_text("are up to date.").wait_for(timeout=120_000)
        self.page.get_by_role("button", name="Close").click()


@pytest.fixture
def look(page, serve, study):
    """A page that looks at a copy of a study."""
    return Look(page, serve, study[0])
