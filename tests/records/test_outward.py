import ast
from pathlib import Path

import pytest

import histofactor
from histofactor import records
from histofactor.records.outward import public

FILES = sorted(Path(records.__file__).parent.glob("*.py"))


def asked_for(path):
    """Names that a module asks the public surface for."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "public":
            yield ast.literal_eval(node.args[0])


def test_records_ask_for_public_functions_alone():
    names = [name for path in FILES for name in asked_for(path)]
    assert {"to_anndata", "to_geodataframe", "to_spatialdata"} <= set(names) <= set(histofactor.__all__)


def test_a_method_is_the_function_of_its_name(monkeypatch):
    given = []
    monkeypatch.setattr("histofactor.export.spatial.to_spatialdata", lambda *args, **how: given.append((args, how)))
    one = records.Segmentation(None, None, None, None, None, {})
    one.to_spatialdata(tile_tokens=3)
    assert given == [((one,), {"tile_tokens": 3})]


def test_unknown_names():
    with pytest.raises(AttributeError, match="nonsense"):
        public("nonsense")
