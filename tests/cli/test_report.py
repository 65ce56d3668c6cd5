"""``histofactor report``."""

import sys

from PIL import Image


def test_derived_again_and_told(histofactor, tissue, tmp_path, monkeypatch):
    Image.fromarray(tissue[:96, :96]).save(tmp_path / "a.png")
    out = tmp_path / "out"
    command = (
        "segment",
        tmp_path / "a.png",
        tmp_path / "none.png",
        "--concepts",
        "embedded",
        "-o",
        out,
        "--source-mpp",
        1,
        "-k",
        8,
        "--fast",
    )
    assert histofactor(*command)[0] == 1
    before = {name: (out / name).read_bytes() for name in ("run.json", "phenotypes.csv", "report.html")}
    for name in before:
        (out / name).unlink()
    code, told, _ = histofactor("report", out)
    assert code == 0
    for name, content in before.items():
        assert (out / name).read_bytes() == content
        assert f"wrote {out / name}" in told
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, told, err = histofactor("report", out)
    assert code == 0
    assert "phenotypes.parquet" not in told
    assert err.splitlines() == [
        "note: phenotypes.parquet is not written, since pyarrow is not installed: pip install 'histofactor[parquet]'"
    ]


def test_a_folder_that_holds_none(histofactor, tmp_path):
    code, _, err = histofactor("report", tmp_path)
    assert code == 2
    assert "no results" in err
