"""Layers import only downwards."""

import ast
from pathlib import Path

import pytest

import histofactor

ROOT = Path(histofactor.__file__).parent
LAYERS = {
    "records": 1, "errors": 1,
    "slides.grid": 2, "factor": 2, "evaluation.metrics": 2, "masks.decode": 2, "masks.torch_decode": 2,
    "masks.tiles": 2, "masks.arcs": 2, "masks.thin": 2, "masks.unlike": 2,
    "slides": 3, "encoders": 3, "concepts": 3, "masks.polygons": 3, "export": 3, "tcga": 3,
    "pipeline": 4, "evaluation": 4,
    "cli": 5,
}  # fmt: skip


def layer(module):
    """Layer of ``slides.grid`` and the like; the package itself and bare rooms hold nothing but a sentence."""
    parts = module.split(".")
    for length in (2, 1):
        if ".".join(parts[:length]) in LAYERS:
            return LAYERS[".".join(parts[:length])]
    return 0


def imported(path):
    """Modules of histofactor that a file imports, without the package's name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "histofactor":
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name.removeprefix("histofactor.") for name in names)
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix("histofactor.") for a in node.names if a.name.startswith("histofactor."))


MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    own = layer(name)
    assert own or path.name == "__init__.py", f"{name} belongs to no layer"
    above = [other for other in imported(path) if layer(other) > own]
    assert not above


def test_the_check_sees_a_climb(tmp_path):
    climber = tmp_path / "climber.py"
    climber.write_text("from histofactor.pipeline import segment\nimport histofactor.cli.main\n")
    assert sorted(layer(name) for name in imported(climber)) == [4, 5]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_short(path):
    assert len(path.read_text().splitlines()) <= 310
