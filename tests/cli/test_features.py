"""``histofactor features``, and what reads them back."""

import json
import re

import numpy as np
import tifffile
import zarr
from PIL import Image

from histofactor.concepts.bank.file import read_bank_file


def make(tissue, folder):
    folder.mkdir()
    Image.fromarray(tissue[:160, :200]).save(folder / "a.png")
    Image.fromarray(tissue[100:, 150:]).save(folder / "b.png")


def labels(folder):
    return tifffile.imread(folder / "labels.ome.tif")


def test_segment_reads_features_back(histofactor, tissue, tmp_path):
    make(tissue, tmp_path / "in")
    (tmp_path / "in/bad.png").write_text("x")
    segment = ("segment", "--concepts", "embedded", "--fast")
    histofactor(*segment, tmp_path / "in", "-o", tmp_path / "image", "--source-mpp", 1)
    for dtype, least in (("float32", 1.0), ("float16", 0.999)):
        folder, out = tmp_path / dtype, tmp_path / f"out-{dtype}"
        code, stdout, err = histofactor(
            "features", tmp_path / "in", "-o", folder, "--source-mpp", 1, "--fast", "--dtype", dtype
        )
        assert code == 1
        assert "features of 2 of 3 inputs" in stdout
        assert "bad.png" in err
        assert {path.name for path in folder.iterdir()} == {"a.features.zarr", "b.features.zarr"}
        code, stdout, err = histofactor(*segment, folder, "-o", out)
        assert code == 0, err
        assert "2 of 2 segmented" in stdout
        for name in ("a", "b"):
            assert (labels(out / name) == labels(tmp_path / "image" / name)).mean() >= least
            names = {path.name for path in (out / name).iterdir()}
            assert names == {path.name for path in (tmp_path / "image" / name).iterdir()}
        assert "2 by an earlier run" in histofactor(*segment, folder, "-o", out)[1]
    stamp = (folder / "a.features.zarr/zarr.json").stat().st_mtime_ns
    _, stdout, _ = histofactor("features", tmp_path / "in", "-o", folder, "--source-mpp", 1, "--fast")
    assert "(2 by an earlier run)" in stdout
    assert (folder / "a.features.zarr/zarr.json").stat().st_mtime_ns == stamp
    again = ("features", tmp_path / "in", "-o", folder, "--source-mpp", 0.9, "--fast")
    code, stdout, err = histofactor(*again)
    assert (code, "features of 0 of 3" in stdout) == (1, True)
    assert "float16 of embedded" in err
    assert "give --overwrite" in err
    assert (folder / "a.features.zarr/zarr.json").stat().st_mtime_ns == stamp
    _, stdout, _ = histofactor(*again, "--overwrite")
    assert "features of 2 of 3" in stdout
    assert "earlier run" not in stdout
    (tmp_path / "in/a.png").unlink()
    code, _, err = histofactor(*segment, folder / "a.features.zarr", "-o", tmp_path / "gone")
    assert code == 0, err
    notes = json.loads((tmp_path / "gone/a/segmentation.json").read_text())["notes"]
    assert any("left white" in note and "is gone" in note for note in notes)


def test_concepts_are_learned_from_features_as_from_images(histofactor, tissue, tmp_path):
    make(tissue, tmp_path / "in")
    histofactor("features", tmp_path / "in", "-o", tmp_path / "F", "--source-mpp", 1, "--fast", "--dtype", "float32")
    train = ("concepts", "train", "-k", "4,8", "--fast", "--windows", 0)
    code, _, err = histofactor(*train, tmp_path / "in", "-o", tmp_path / "i.safetensors", "--source-mpp", 1)
    assert code == 0, err
    code, _, err = histofactor(*train, tmp_path / "F", "-o", tmp_path / "f.safetensors")
    assert code == 0, err
    of_image, of_features = (read_bank_file(tmp_path / f"{name}.safetensors") for name in "if")
    assert of_features.banks[8].encoder == of_image.banks[8].encoder
    slides = of_features.card["slides"]
    assert [slide["tokens"] for slide in slides] == [slide["tokens"] for slide in of_image.card["slides"]]
    assert of_features.banks[8].vectors.shape == of_image.banks[8].vectors.shape
    code, _, err = histofactor("segment", tmp_path / "F", "-o", tmp_path / "study", "-k", 4)
    assert code == 0, err
    assert "learned K = " in err
    assert np.unique(labels(tmp_path / "study/a")).max() <= 4
    code, _, err = histofactor("estimate", tmp_path / "F", "--concepts", "embedded")
    assert code == 1
    assert re.search("features: nothing of it is encoded", err)


def test_a_type_that_there_is_not(histofactor, tissue, tmp_path):
    make(tissue, tmp_path / "in")
    code, _, err = histofactor("features", tmp_path / "in", "-o", tmp_path / "F", "--dtype", "int8")
    assert code == 2
    assert "float16, float32" in err


def test_other_features_are_not_written_over_and_what_was_killed_is_cleared(histofactor, tissue, tmp_path):
    make(tissue, tmp_path / "in")
    given = ("features", tmp_path / "in/a.png", "-o", tmp_path / "F", "--source-mpp", 1, "--fast")
    (tmp_path / "F/.0123456789ab-a.features.zarr").mkdir(parents=True)
    code, _, err = histofactor(*given, "--dtype", "float32")
    assert code == 0, err
    assert [path.name for path in (tmp_path / "F").iterdir()] == ["a.features.zarr"]
    for more in ([], ["--no-resume"]):
        code, _, err = histofactor(*given, *more)
        assert code == 1
        assert "got float32 of embedded" in err.replace("\n", " ")
        assert zarr.open_group(tmp_path / "F/a.features.zarr", mode="r")["tokens"].dtype == np.float32
    assert histofactor(*given, "--overwrite")[0] == 0
    assert zarr.open_group(tmp_path / "F/a.features.zarr", mode="r")["tokens"].dtype == np.float16


def test_resolutions_that_features_do_not_have_are_refused(histofactor, tissue, tmp_path):
    make(tissue, tmp_path / "in")
    histofactor("features", tmp_path / "in/a.png", "-o", tmp_path / "F", "--source-mpp", 1, "--fast")
    segment = ("segment", tmp_path / "F", "-o", tmp_path / "out", "--concepts", "embedded", "--fast")
    code, _, err = histofactor(*segment, "--source-mpp", 0.25)
    assert code == 1
    assert "features of an image of 1 µm/px" in err
    assert "--source-mpp 0.25" in err
    code, _, err = histofactor(*segment, "--source-mpp", 1)
    assert code == 0, err
