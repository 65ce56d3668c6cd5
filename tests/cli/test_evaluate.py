"""``histofactor evaluate`` on a data set made of phantoms."""

import json
import shutil

import pytest
from PIL import Image

from histofactor.encoders import hub
from histofactor.evaluation.data import adapters
from histofactor.slides.phantom import CLASSES, phantom


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    for name in ("images", "labels"):
        (folder / name).mkdir()
    patients = ["name,patient"]
    for seed in range(3):
        tissue = phantom((400, 400), seed=seed, mpp=1.0)
        Image.fromarray(tissue.image).save(folder / f"images/{seed}.png")
        Image.fromarray(tissue.truth).save(folder / f"labels/{seed}.png")
        patients.append(f"{seed},p{seed}")
    facts = {"name": "phantoms", "mpp": 1.0, "classes": dict(enumerate(CLASSES)), "ignore": None}
    (folder / "dataset.json").write_text(json.dumps(facts))
    (folder / "images.csv").write_text("\n".join(patients) + "\n")
    return folder


def test_scores_are_written_and_shown(histofactor, dataset, tmp_path):
    out = tmp_path / "out"
    code, stdout, err = histofactor("evaluate", dataset, "-o", out, "-k", "8", "--methods", "project,cluster")
    assert code == 0, err
    assert "mIoU" in stdout
    results = json.loads((out / "evaluation.json").read_text())["results"]
    assert [result["method"] for result in results] == ["project", "cluster"]
    assert all(0.1 < result["scores"]["mean_iou"] <= 1 for result in results)
    assert (out / "evaluation.csv").read_text().count("\n") == 3
    for name in ("colour", "linear probe", "grid oracle"):
        assert name in stdout
    assert "keep their label" not in stdout
    assert "no patients are given" not in stdout + err


def test_that_no_patients_were_given_is_told(histofactor, dataset, tmp_path):
    folder = shutil.copytree(dataset, tmp_path / "data")
    (folder / "images.csv").unlink()
    options = ("-k", "8", "--methods", "project", "--fast")
    code, stdout, err = histofactor("evaluate", folder, "-o", tmp_path / "out", *options)
    assert code == 0, err
    assert "every image counts as a patient of its own" in stdout + err


def test_a_fixed_split(histofactor, dataset, tmp_path):
    (tmp_path / "train.txt").write_text("# patients\np0\n\n1\n")
    (tmp_path / "test.txt").write_text("p2\n")
    options = ("--train-split", tmp_path / "train.txt", "--test-split", tmp_path / "test.txt")
    out = tmp_path / "out"
    code, stdout, err = histofactor(
        "evaluate", dataset, "-o", out, "-k", "8", "--methods", "project", "--fast", *options, "--stability", "1"
    )
    assert code == 0, err
    assert "keep their label" in stdout
    (result,) = json.loads((out / "evaluation.json").read_text())["results"]
    assert [image["patient"] for image in result["scores"]["images"]] == ["p2"]
    code, _, err = histofactor("evaluate", dataset, "-o", out, *options[:2])
    assert code == 2
    assert "half a split" in err


def test_a_folder_that_is_no_data_set(histofactor, tmp_path):
    code, _, err = histofactor("evaluate", tmp_path, "-o", tmp_path / "out")
    assert code == 2
    assert "dataset.json" in err


@pytest.mark.parametrize("verb", ["evaluate", "benchmark"])
def test_an_error_advises_options_that_there_are(histofactor, dataset, tmp_path, verb, monkeypatch):
    monkeypatch.setattr(hub, "answers", lambda address: False)
    arguments = [dataset] if verb == "evaluate" else ["glas", tmp_path]
    monkeypatch.setattr(adapters, "adapt", lambda *given, **named: dataset)
    code, _, err = histofactor(verb, *arguments, "-o", tmp_path / "out", "--encoder", "uni")
    assert code == 2
    assert "the weights of uni are not on this machine" in err
    advised = {word.strip(".,;:()`") for word in err.split() if word.startswith("--")}
    assert "--weights" in advised
    offered = histofactor(verb, "--help")[1]
    for option in (*advised, "--layer", "--device", "--precision", "--source-mpp", "--mpp"):
        assert option in offered


def test_options_of_the_encoder_reach_it(histofactor, dataset, tmp_path):
    given = ("-k", 8, "--methods", "project", "--fast")
    code, _, err = histofactor(
        "evaluate", dataset, "-o", tmp_path / "out", *given, "--mpp", 2, "--source-mpp", 2, "--device", "cpu"
    )
    assert code == 0, err
    assert json.loads((tmp_path / "out/evaluation.json").read_text())["dataset"]["mpp"] == 2
    for wrong, told in (("--device", "no device"), ("--layer", "no layer"), ("--precision", "precision")):
        code, _, err = histofactor("evaluate", dataset, "-o", tmp_path / "o", *given, wrong, "nonsense")
        assert code == 2
        assert told in err
