"""``histofactor qupath-scripts``."""

from histofactor.export.qupath_scripts import SCRIPTS


def test_they_are_written_where_it_says(histofactor, tmp_path, monkeypatch):
    code, out, _ = histofactor("qupath-scripts", "-o", tmp_path / "scripts")
    assert code == 0
    assert out.splitlines() == [f"wrote {tmp_path / 'scripts' / name}" for name in SCRIPTS]
    monkeypatch.chdir(tmp_path)
    assert histofactor("qupath-scripts")[0] == 0
    (tmp_path / "qupath-scripts" / SCRIPTS[0]).write_text("mine")
    code, _, err = histofactor("qupath-scripts")
    assert code == 2
    assert "not as it ships" in err
