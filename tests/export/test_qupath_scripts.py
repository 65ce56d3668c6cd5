"""The scripts for QuPath."""

import re

import pytest

from histofactor.base.names import STATUS
from histofactor.errors import OptionError, OutputError
from histofactor.export.qupath_scripts import SCRIPTS, script, write_scripts


def test_they_are_written_once_and_changed_ones_stay(tmp_path):
    paths = write_scripts(tmp_path / "new" / "scripts")
    assert [path.name for path in paths] == [*SCRIPTS]
    assert [path.read_text(encoding="utf-8") for path in paths] == [*map(script, SCRIPTS)]
    assert write_scripts(tmp_path / "new" / "scripts") == paths
    mine = paths[1].read_text().replace('"histofactor"  ', '"/venv/bin/histofactor"  ')
    paths[1].write_text(mine)
    paths[0].unlink()
    with pytest.raises(OptionError, match="is not as it ships"):
        write_scripts(tmp_path / "new" / "scripts")
    assert paths[1].read_text() == mine
    assert not paths[0].exists()
    with pytest.raises(OutputError):
        write_scripts(tmp_path / "new" / "scripts" / SCRIPTS[1] / "below")


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_stands_on_its_own(name):
    text = script(name)
    code = re.sub(r'"(\\.|[^"\\])*"|//[^\n]*', "", text)
    for left, right in ("()", "[]", "{}"):
        assert code.count(left) == code.count(right)
    defined = set(re.findall(r"^def (\w+)\(", text, re.MULTILINE))
    assert {"resultsIn", "regionsOf", "replaceRegions", "withoutQuery", "tell"} == defined
    for simple in ("FileChoosers", "GsonTools", "PathIO"):
        assert (f"{simple}." in text) == (re.search(rf"^import [\w.]+\.{simple}$", text, re.MULTILINE) is not None)
    assert text.index("import static qupath.lib.scripting.QP.*") < text.index("def ")


def test_they_read_what_is_written():
    text = script("import_regions.groovy")
    for word in (f'"{STATUS}"', '"regions.geojson.gz"', '["input"]', '["source"] == "histofactor"', '["color"]'):
        assert word in text
