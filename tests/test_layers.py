"""Every room has its own floor and imports only from floors below; inside a room nothing goes in a circle."""

import ast
from pathlib import Path

import pytest

import histofactor

ROOT = Path(histofactor.__file__).parent
FLOORS = [
    {"errors", "records", "base"}, {"recipe"}, {"factor"}, {"slides"}, {"encoders", "masks"}, {"concepts"},
    {"segmentation"}, {"export"}, {"tcga"}, {"runs"}, {"evaluation", "viewer"}, {"cli"}, {"__main__"},
]  # fmt: skip
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
GROUND = {"errors": 0, "records": 1, "base": 2}  # the ground floor holds no room, so its parts lie in this order
HOME = {name: module.removeprefix("histofactor.") for name, module in histofactor._HOME.items()}
MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


NAMES = {name_of(path) for path in MODULES}


def imported(path, names=frozenset(NAMES), *, typing=True):
    """Modules of histofactor that a file imports anywhere, also inside functions, without the package's name.

    A public name of the package stands for the module that it comes from; relative imports, which would pass unseen,
    are refused. With ``typing`` false, what is imported for annotations alone is left out.
    """
    tree = ast.parse(path.read_text())
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            skipped |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if not typing and id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}, line {node.lineno}: a relative import"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "histofactor":
            yield HOME.get(node.attr, "")
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "histofactor":
            module = node.module.removeprefix("histofactor").removeprefix(".")
            for alias in node.names:
                whole = f"{module}.{alias.name}".removeprefix(".")
                yield whole if whole in names else module or HOME.get(alias.name, "")
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix("histofactor.") for a in node.names if a.name.startswith("histofactor."))


def climbs(name, others):
    """Imports of a module that do not point to a floor below, or to its own room."""
    room = name.split(".")[0]
    for other in filter(None, others):
        there = other.split(".")[0]
        if there == room:
            continue
        if FLOOR[room] == FLOOR[there] == 0 and GROUND[there] < GROUND[room]:
            continue
        if FLOOR[there] >= FLOOR[room]:
            yield other


def circle(graph):
    """A circle of modules in a graph from each to those it imports, or []."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        path.append(name)
        for other in graph.get(name, ()):
            if found := visit(other):
                return found
        path.pop()
        done.add(name)
        return []

    return next(filter(None, map(visit, sorted(graph))), [])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    assert name_of(path).split(".")[0] in FLOOR
    typing = path != ROOT / "errors.py"  # an error names the record that it tells of, for annotations alone
    assert list(climbs(name_of(path), imported(path, typing=typing))) == []


def test_no_circle_in_any_room():
    assert circle({name_of(path): sorted(set(imported(path, typing=False))) for path in MODULES}) == []


def test_the_check_sees_climbs_and_siblings(tmp_path):
    climber = tmp_path / "climber.py"
    climber.write_text(
        "from histofactor.runs import task\n"
        "import histofactor.cli.main\n"
        "def late():\n    from histofactor.masks.decode import decode\n"
        "from histofactor.slides.reader import open_slide\n"
        "from histofactor import segment_many, __version__\n"
        "import histofactor\n\ndef lazy():\n    histofactor.evaluate(histofactor.__version__)\n"
    )
    found = list(climbs("encoders.x", imported(climber)))
    assert sorted(found) == ["cli.main", "evaluation.run", "masks.decode", "runs.segment_many", "runs.task"]
    climber.write_text("from ..masks import decode\n")
    with pytest.raises(AssertionError, match="relative import"):
        list(imported(climber))
    assert list(climbs("viewer.x", ["evaluation.run"])) == ["evaluation.run"]
    assert list(climbs("records", ["base.files"])) == ["base.files"]


def test_the_check_sees_circles():
    assert circle({"a": ["b"], "b": ["c"], "c": ["b"]}) == ["b", "c", "b"]
    assert circle({"a": ["b", "c"], "b": ["c"], "c": []}) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_short(path):
    assert len(path.read_text().splitlines()) <= 300
