"""Every message that the page of troubleshooting quotes is one that the program tells."""

import ast
import re

import pytest

from docs.pages import ROOT

PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)


def sentences(tree):
    """Texts of a module but for docstrings, with … for what is filled in."""
    described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            yield re.sub(r"`[^`]*`", "…", "".join(parts))


@pytest.fixture(scope="module")
def told():
    """All texts of the source, one a line."""
    files = (ROOT / "src/histofactor").rglob("*.py")
    return "\n".join(text for file in files for text in sentences(ast.parse(file.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("message", QUOTED)
def test_message_is_told(message, told):
    assert message in told


def test_messages_are_found_and_others_are_not(told):
    assert len(QUOTED) > 50
    assert "the whole slide … is too blue" not in told
