"""What a file of results is called is said in one place."""

import ast
from pathlib import Path

import histofactor
from histofactor.base import names

ROOT = Path(histofactor.__file__).parent
NAMES = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}


def literals(text):
    """The strings of a module that are the name of a file of results, alone or at the end of a path."""
    constants = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
    return [value for value in constants if isinstance(value, str) and value.rsplit("/", 1)[-1] in NAMES]


def test_no_module_but_one_spells_the_name_of_a_file_of_results():
    modules = [path for path in ROOT.rglob("*.py") if path != Path(names.__file__)]
    spelt = {str(path.relative_to(ROOT)): found for path in modules if (found := literals(path.read_text()))}
    assert len(modules) > 100
    assert spelt == {}


def test_a_name_that_is_spelt_elsewhere_is_found():
    assert literals('path = folder / "overlay.png"') == ["overlay.png"]
    assert literals('open(f"{folder}/labels.ome.tif")') == ["/labels.ome.tif"]


def test_pages_link_files_by_their_names():
    for template in ROOT.rglob("*.jinja"):
        text = template.read_text()
        assert [name for name in NAMES if name in text] == []


def test_every_name_is_another():
    assert len(NAMES) == len([name for name in vars(names) if name.isupper()]) - len(("WRITTEN", "SEALED"))
