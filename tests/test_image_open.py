"""Pillow decodes only what is meant: without ``formats`` it would hand PostScript to another program."""

import ast
from pathlib import Path

import pytest

import histofactor

ROOT = Path(histofactor.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))


def open_calls(source):
    """Calls of ``Image.open`` (or of ``PIL.Image.open``) in a module's text."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call for call in calls if ast.unparse(call.func).endswith("Image.open")]


def imports_open(source):
    """Whether a module takes ``open`` out of Pillow, where no call could be told."""
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    return any(node.module == "PIL.Image" and "open" in {name.name for name in node.names} for node in imports)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_image_is_opened_as_formats_that_are_named(path):
    source = path.read_text()
    assert not imports_open(source)
    bare = [call.lineno for call in open_calls(source) if "formats" not in {word.arg for word in call.keywords}]
    assert not bare


def test_the_check_sees_a_bare_call():
    assert len(open_calls("from PIL import Image\nImage.open('a')\nPIL.Image.open(b, formats=('PNG',))")) == 2
    assert imports_open("from PIL.Image import open")
