"""What is missing is told with the command that installs it."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from histofactor.base.extras import install, need
from histofactor.errors import OptionError

ROOT = Path(__file__).parents[2]


def test_what_is_there_is_needed_without_a_word():
    need("this needs", "view", "json", "email.message")


def test_all_that_is_missing_is_told_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)  # another test may have it
    with pytest.raises(OptionError) as error:
        need("evaluation needs", "evaluate", "json", "sklearn.metrics", "no_such_module")
    assert error.value.what == "evaluation needs scikit-learn and no_such_module"
    assert error.value.mend == "pip install 'histofactor[evaluate]'"


def test_what_a_module_needs_itself_is_told(monkeypatch, tmp_path):
    (tmp_path / "part_of_an_extra.py").write_text("import what_it_needs")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(OptionError, match="this needs what_it_needs"):
        need("this needs", "view", "part_of_an_extra")


def test_every_extra_that_is_named_is_one():
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert install("ray") == "pip install 'histofactor[ray]'"
    sources = [path.read_text() for path in (ROOT / "src").rglob("*.py")]
    told = re.compile(r"""(?:install\(|need\("[\w ]+ needs?", )["'](\w+)["']""")
    named = {name for source in sources for name in told.findall(source)}
    assert {"cloud", "evaluate", "parquet", "plot", "ray", "spatialdata", "transformers", "view"} <= named
    assert named <= set(known)
    assert sum("pip install 'histofactor[" in source for source in sources) == 1  # nobody tells it in another way
