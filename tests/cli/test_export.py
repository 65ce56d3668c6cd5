"""``histofactor export``."""

import sys

import pytest

pytest.importorskip("geopandas")


def test_parquet_beside_the_results(histofactor, study):
    out, _ = study
    code, told, err = histofactor("export", out, "--parquet")
    assert code == 0
    files = [out / name / file for name in ("a", "b") for file in ("regions.parquet", "phenotypes.parquet")]
    assert told.splitlines() == [*(f"wrote {file}" for file in files), "2 of 2 exported"]
    assert "note" not in err
    assert all(file.exists() for file in files)
    code, told, err = histofactor("export", out, "--parquet")
    assert code == 1
    assert told == "0 of 2 exported\n"
    assert err.count("exists; --overwrite replaces it") == 2
    assert histofactor("export", out / "a", "--parquet", "--overwrite")[0] == 0


def test_mistakes(histofactor, study, monkeypatch):
    out, _ = study
    code, _, err = histofactor("export", out)
    assert code == 2
    assert "--spatialdata, --parquet or both" in err
    monkeypatch.setitem(sys.modules, "spatialdata", None)
    code, _, err = histofactor("export", out, "--spatialdata")
    assert code == 2
    assert "this needs spatialdata" in err
    assert "pip install 'histofactor[spatialdata]'" in err


def test_parquet_without_pyarrow(histofactor, study, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = histofactor("export", study[0], "--parquet")
    assert code == 2
    assert "this needs pyarrow" in err
    assert "pip install 'histofactor[spatialdata]'" in err


def test_an_interruption_is_told(histofactor, study, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("histofactor.runs.exported.export_all", stop)
    code, _, err = histofactor("export", study[0], "--parquet")
    assert code == 130
    assert "interrupted; what was exported is whole" in err
