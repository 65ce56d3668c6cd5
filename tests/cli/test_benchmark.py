"""``histofactor benchmark`` on a public data set's layout, made small."""

import json

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
    (tmp_path / "source/Grade.csv").write_text(
        "name, patient ID, grade (GlaS)\ntrain_1, 7, benign\ntestA_2, 9, benign\n"
    )
    out = tmp_path / "out"
    arguments = ["benchmark", "glas", str(tmp_path / "source"), "-o", str(out), "-k", "8", "--fast"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "project" in result.output
    assert {path.name for path in out.iterdir()} == {
        "dataset",
        *(f"evaluation.{end}" for end in ("json", "csv", "html")),
    }
    result = CliRunner().invoke(app, [*arguments, "--published-split"])  # the data set is there, and taken
    assert result.exit_code == 0, result.output
    (one, _) = json.loads((out / "evaluation.json").read_text())["results"]
    assert [image["stem"] for image in one["scores"]["images"]] == ["testA_2"]


def test_a_published_split_without_training_images(histofactor, tmp_path):
    for part in ("img", "mask"):
        (tmp_path / f"3.testing/{part}").mkdir(parents=True)
        Image.new("L" if part == "mask" else "RGB", (16, 12)).save(tmp_path / f"3.testing/{part}/00.png")
    code, _, err = histofactor("benchmark", "wsss4luad", tmp_path, "-o", tmp_path / "out", "--published-split")
    assert code == 2
    assert "no published split" in err


def test_the_paper_stands_beside_ours_under_any_seed(histofactor, tmp_path):
    for number, institute in enumerate(("A1", "A1", "OL", "OL")):
        tissue = phantom((272, 260), seed=number, mpp=1.0)
        for name, picture in (("images", tissue.image), ("masks", tissue.truth.astype("uint8"))):
            (tmp_path / f"bcss/{name}").mkdir(parents=True, exist_ok=True)
            stem = f"TCGA-{institute}-000{number}-DX1_MPP-1.0000"
            Image.fromarray(picture).save(tmp_path / f"bcss/{name}/{stem}.png")
    made = {}
    for seed in (0, 1):
        options = ("-k", "4", "--methods", "project", "--published-split", "--paper", "--seed", seed, "--fast")
        code, stdout, err = histofactor("benchmark", "bcss", tmp_path / "bcss", "-o", tmp_path / f"{seed}", *options)
        assert code == 0, err
        made[seed] = json.loads((tmp_path / f"{seed}/evaluation.json").read_text())
        names = [one["method"] for one in made[seed]["results"]]
        assert names == ["project", "paper a", "paper b", "paper c", "paper d", "paper a, tiles"]
        assert all(name in stdout for name in (*names, "colour", "linear probe", "grid oracle"))
        assert f"seed {seed}" in made[seed]["protocol"]
        assert [*made[seed]["results"][0]["scores"]["sources"]["institute"]] == ["nmi", "ari", "tail"]
    first, second = ([one["bank"] for one in made[seed]["results"]] for seed in made)
    assert all(ours != theirs for ours, theirs in zip(first[:4], second[:4], strict=True))
