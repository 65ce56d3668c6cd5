"""``histofactor tcga``: list, then fetch."""

from dataclasses import replace


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


def test_projects_that_mean_something_to_a_terminal(histofactor, gdc, tmp_path):
    gdc.files = [replace(file, project="[red]\x1b[31m<b>") for file in gdc.files]
    gdc.hits = lambda query, hits=gdc.hits: hits({**query, "filters": {"content": [
        *query["filters"]["content"],
        {"content": {"field": "cases.project.project_id", "value": ["[red]\x1b[31m<b>"]}},
    ]}})  # fmt: skip
    code, out, _ = histofactor("tcga", "list", "-o", tmp_path / "m.tsv", "--endpoint", gdc.endpoint)
    assert code == 0
    assert r"[red]\x1b[31m<b>" in out
    assert "\x1b" not in out


def test_many_projects(histofactor, gdc, tmp_path):
    gdc.files = [replace(gdc.files[0], file_id=f"a-{i}", project=f"P-{i:03}") for i in range(150)]
    gdc.hits = lambda query, hits=gdc.hits: hits({**query, "filters": {"content": [
        *query["filters"]["content"],
        {"content": {"field": "cases.project.project_id", "value": [f"P-{i:03}" for i in range(150)]}},
    ]}})  # fmt: skip
    code, out, _ = histofactor("tcga", "list", "-o", tmp_path / "m.tsv", "--endpoint", gdc.endpoint)
    assert code == 0
    assert "P-099" in out
    assert "P-100" not in out
    assert "and 50 more projects" in out
