"""``histofactor benchmark`` on a public data set's layout, made small."""

from PIL import Image
from typer.testing import CliRunner

from histofactor.cli.main import app
from histofactor.slides.phantom import phantom


def test_from_the_publishers_folder_to_scores(tmp_path):
    for seed, stem in enumerate(("train_1", "testA_2")):
        tissue = phantom((160, 120), seed=seed, mpp=1.0)
        (tmp_path / "source").mkdir(exist_ok=True)
        Image.fromarray(tissue.image).save(tmp_path / f"source/{stem}.bmp")
        Image.fromarray((tissue.truth == 3).astype("uint8")).save(tmp_path / f"source/{stem}_anno.bmp")
    out = tmp_path / "out"
    arguments = ["benchmark", "glas", str(tmp_path / "source"), "-o", str(out), "-k", "8", "--fast"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "project" in result.output
    assert {path.name for path in out.iterdir()} == {
        "dataset",
        *(f"evaluation.{end}" for end in ("json", "csv", "html")),
    }
