"""What the site takes from elsewhere: commands, the Python interface, and pages that lie above docs/.

Written to docs/_generated when a build begins, from the code as it is.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from posixpath import normpath, relpath
from typing import TYPE_CHECKING

import typer
from typer.cli import get_docs_for_click

import histofactor
from histofactor.cli.main import app as commands

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parents[1]
FOLDER = "_generated"
SHOWN = {  # files of the repository that are pages of the site
    "CONTRIBUTING.md": "contributing",
    "SECURITY.md": "security",
    "CHANGELOG.md": "changes",
    "training/README.md": "training",
    "src/histofactor/encoders/embedded/MODEL_CARD.md": "model-card",
}
_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")
_OPTION = re.compile(r"```.*?```|`[^`]*`|(?<![\w-])(--[a-z][a-z-]*)", re.DOTALL)  # outside of code, where dashes change


def setup(app: Sphinx) -> dict[str, bool]:
    """Let Sphinx write the pages before it looks for them, and lead links to them."""
    app.connect("builder-inited", lambda _: write(DOCS / FOLDER))
    app.connect("source-read", _lead)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write(folder: Path) -> None:
    """Write all pages; one that is as it was keeps its time, so that it is not built again."""
    folder.mkdir(exist_ok=True)
    pages = {"commands": command_page(), "api": api_page()}
    pages |= {name: from_above(path) for path, name in SHOWN.items()}
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def command_page() -> str:
    """Every command with its arguments and options, as ``--help`` tells them."""
    command = typer.main.get_command(commands)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="histofactor", title="Commands")
    text = re.sub(r"^\*\*Commands\*\*:\n\n(?:\* .*\n)+\n", "", text, flags=re.MULTILINE)  # sections, cut short
    text = re.sub(r"^\$ ", "", text, flags=re.MULTILINE).replace("```console", "```text")
    return _OPTION.sub(lambda found: f"`{found[1]}`" if found[1] else found[0], text)


def api_page() -> str:
    """The public names by kind, each with its docstring."""
    kinds: dict[str, list[str]] = {"Functions": [], "Options": [], "Records": [], "Errors": []}
    for name in histofactor.__all__:
        kinds[_kind(name)].append(name)
    parts = [
        "# Python interface\n\nAll public names, each importable from `histofactor`. Shapes and units stand in their "
        "descriptions; [From Python](../howto/python.md) shows them at work."
    ]
    for kind, names in kinds.items():
        parts.append(f"## {kind}")
        parts += [_described(name, kind) for name in sorted(names, key=str.lower)]
    return "\n\n".join(parts) + "\n"


def _kind(name: str) -> str:
    public = getattr(histofactor, name)
    if not inspect.isclass(public):
        return "Functions"
    if issubclass(public, Exception):
        return "Errors"
    return "Options" if name.endswith("Options") or name in {"Inference", "Opening", "Outputs"} else "Records"


def _described(name: str, kind: str) -> str:
    directive = {"Functions": "autofunction", "Errors": "autoexception"}.get(kind, "autoclass")
    return f"```{{eval-rst}}\n.. {directive}:: histofactor.{name}\n```"


def from_above(path: str) -> str:
    """A page that lies above docs/, with its links as they are from docs/_generated."""
    text = (DOCS.parent / path).read_text(encoding="utf-8")
    here = path.rpartition("/")[0]
    return _LINK.sub(lambda link: relpath(normpath(f"{here}/{link[1]}".lstrip("/")), f"docs/{FOLDER}"), text)


def _lead(app: Sphinx, page: str, source: list[str]) -> None:
    """Lead links to files that are pages of the site to these pages, and list no pages that there are none of."""
    if page == app.config.root_doc:
        lines = source[0].split("\n")
        source[0] = "\n".join(line for line in lines if not line.endswith("*") or any(DOCS.glob(line)))
    here = normpath(f"docs/{page}").rpartition("/")[0]

    def led(link: re.Match[str]) -> str:
        name = SHOWN.get(normpath(f"{here}/{link[1]}"))
        return link[1] if name is None else relpath(f"docs/{FOLDER}/{name}.md", here)

    source[0] = _LINK.sub(led, source[0])
