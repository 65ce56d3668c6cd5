"""No module leads back to itself: imports within functions count, those for type checkers alone do not."""

import ast
from pathlib import Path

import histofactor

ROOT = Path(histofactor.__file__).parent


def modules(root):
    """Every module under a folder by its name without the package's."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for path in root.rglob("*.py")
        if path != root / "__init__.py"
    }


def imported(path, names):
    """Those of the modules that a file imports when it runs."""
    tree = ast.parse(path.read_text())
    for block in ast.walk(tree):
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            block.body = [ast.Pass()]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("histofactor."):
            module = node.module.removeprefix("histofactor.")
            yield from {module, *(f"{module}.{alias.name}" for alias in node.names)} & names
        elif isinstance(node, ast.ImportFrom) and node.module == "histofactor":
            yield from {alias.name for alias in node.names} & names
        elif isinstance(node, ast.Import):
            yield from {alias.name.removeprefix("histofactor.") for alias in node.names} & names


def circles(root):
    """Modules that lead back to themselves."""
    paths = modules(root)
    below = {name: set(imported(path, paths.keys())) for name, path in paths.items()}
    found = set()
    for name in below:
        reached, waiting = set(), [name]
        while waiting:
            new = below[waiting.pop()] - reached
            reached |= new
            waiting += new
        if name in reached:
            found.add(name)
    return found


def test_no_module_leads_back_to_itself():
    assert len(modules(ROOT)) > 100
    assert circles(ROOT) == set()


def test_the_check_sees_a_circle(tmp_path):
    for name, text in {
        "a": "def f():\n    from histofactor.b import g\n",
        "b": "import histofactor.c\n",
        "c": "from histofactor import a\n",
        "d": "from histofactor.a import f\n",
        "e": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from histofactor.e import x\n",
    }.items():
        (tmp_path / f"{name}.py").write_text(text)
    assert circles(tmp_path) == {"a", "b", "c"}
