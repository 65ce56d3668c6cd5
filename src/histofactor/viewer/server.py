"""What all answers of the server are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from histofactor.viewer.apply import Applying
from histofactor.viewer.security import Access
from histofactor.viewer.study import StudyView
from histofactor.viewer.tiles import ByteCache, SlidePool

OPENSEADRAGON = "openseadragon.min.js"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}


def static_files() -> dict[str, tuple[bytes, str]]:
    """Content and type of the files of the page, by name; read once, so that no request opens any."""
    folder = Path(str(resources.files("histofactor.viewer").joinpath("static")))
    files = [path for path in (*folder.iterdir(), *(folder / "vendor").glob("*.js")) if path.suffix in _TYPES]
    return {path.name: (path.read_bytes(), _TYPES[path.suffix]) for path in files}


@dataclass(frozen=True, slots=True)
class Server:
    """What answers are made of.

    Attributes:
        view: the study.
        access: who may ask.
        applying: what goes on in the background.
    """

    view: StudyView
    access: Access
    applying: Applying
    pool: SlidePool = field(default_factory=SlidePool)
    cache: ByteCache = field(default_factory=ByteCache)
    static: Mapping[str, tuple[bytes, str]] = field(default_factory=static_files)
