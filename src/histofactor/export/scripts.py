"""Scripts of pages: our own, in the page itself, and allowed by their hash alone."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class Script:
    """A script for a page.

    Attributes:
        text: what stands between ``<script>`` and ``</script>``, to the byte.
        source: what a Content-Security-Policy allows it by (https://www.w3.org/TR/CSP3/#grammardef-hash-source).
    """

    text: str
    source: str


def load_script(name: str) -> Script:
    """Read a script of this room.

    Args:
        name: of its file.
    """
    text = resources.files("histofactor.export").joinpath(name).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return Script(text, f"'sha256-{digest}'")
