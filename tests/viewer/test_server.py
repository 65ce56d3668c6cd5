"""What answers are made of, and the page's own files."""

import re

from histofactor.viewer.server import OPENSEADRAGON, static_files


def test_all_modules_are_asked_for_at_once():
    """A page that learns of its modules one by one waits once for each import of an import."""
    files = static_files()
    modules = {name for name in files if name.endswith(".js")} - {OPENSEADRAGON, "main.js"}
    page = files["index.html"][0].decode()
    assert set(re.findall(r'rel="modulepreload" href="/static/([^"]+)"', page)) == modules
    assert len(modules) > 10
