"""``histofactor tcga``: list, then fetch."""


def test_list_then_fetch(histofactor, gdc, tmp_path):
    manifest, folder = tmp_path / "m.tsv", tmp_path / "slides"
    code, out, _ = histofactor(
        "tcga", "list", "--project", "TCGA-A", "--per-project", 4, "-o", manifest, "--endpoint", gdc.endpoint
    )
    assert code == 0
    assert "TCGA-A" in out
    assert "4 slides" in out
    gdc.fail_every = 4
    code, out, _ = histofactor("tcga", "fetch", manifest, "-o", folder, "--endpoint", gdc.endpoint)
    assert code == 0
    assert "fetched 4 of 4" in out
    assert len(list(folder.iterdir())) == 4


def test_files_that_cannot_be_had(histofactor, gdc, tmp_path):
    manifest = tmp_path / "m.tsv"
    histofactor("tcga", "list", "-o", manifest, "--endpoint", gdc.endpoint)
    del gdc.content["id-03"]
    code, out, err = histofactor(
        "tcga", "fetch", manifest, "-o", tmp_path / "s", "--endpoint", gdc.endpoint, "--tries", 1
    )
    assert code == 1
    assert "fetched 19 of 20" in out
    assert "slide 3.svs" in err


def test_mistakes(histofactor, tmp_path):
    code, _, err = histofactor("tcga", "fetch", tmp_path / "none.tsv", "-o", tmp_path)
    assert code == 2
    assert "cannot read the manifest" in err
