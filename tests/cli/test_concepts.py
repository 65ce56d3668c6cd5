"""``histofactor concepts``: import, train, show."""

import numpy as np
import pytest
from PIL import Image

from histofactor.concepts.bank.file import load_banks, read_bank_file


def test_import_published_bank(histofactor, shared, tmp_path):
    out = tmp_path / "uni.safetensors"
    code, stdout, _ = histofactor("concepts", "import", shared / "banks/uni.joblib", "--encoder", "uni", "-o", out)
    assert code == 0
    assert "8, 16, 32, 64, 128, 256" in stdout
    banks = load_banks(out)
    assert banks[256].vectors.shape == (256, 1024)
    assert banks[8].encoder.name == "uni"
    assert banks[8].encoder.revision is None
    assert banks[8].mpp == 0.5
    code, stdout, _ = histofactor("concepts", "show", out)
    assert code == 0
    assert "blocks[-1]" in stdout


def test_import_writes_beside_the_file_by_default(histofactor, tmp_path):
    np.save(tmp_path / "c.npy", np.ones((4, 1536), np.float32))
    assert histofactor("concepts", "import", tmp_path / "c.npy", "--encoder", "prov-gigapath")[0] == 0
    assert list(load_banks(tmp_path / "c.safetensors")) == [4]


@pytest.mark.parametrize(
    ("values", "encoder", "word"),
    [
        (np.ones((4, 1000), np.float32), "uni", "1024"),
        (np.full((4, 1024), np.nan, np.float32), "uni", "NaN"),
        (np.ones((4, 1024), np.float32), "unix", "unknown encoder"),
    ],
)
def test_imports_that_make_no_sense(histofactor, tmp_path, values, encoder, word):
    np.save(tmp_path / "c.npy", values)
    code, _, err = histofactor("concepts", "import", tmp_path / "c.npy", "--encoder", encoder)
    assert code == 2
    assert word in err
    assert not (tmp_path / "c.safetensors").exists()


def test_train_and_use(histofactor, tissue, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(tissue).save(folder / "a.png")
    (folder / "bad.png").write_text("no image")
    bank = tmp_path / "bank.safetensors"
    code, stdout, err = histofactor("concepts", "train", folder, "-k", "3,5", "-o", bank, "--source-mpp", 1)
    assert code == 1, err  # one input was left out
    assert "3, 5" in stdout
    assert "left out" in err
    assert sorted(load_banks(bank)) == [3, 5]
    out = tmp_path / "out"
    code, _, _ = histofactor("segment", folder / "a.png", "-o", out, "--concepts", bank, "-k", 5, "--source-mpp", 1)
    assert code == 0


def test_lists_of_numbers(histofactor, tmp_path):
    code, _, err = histofactor("concepts", "train", tmp_path, "-k", "8;16", "-o", tmp_path / "b")
    assert code == 2
    assert "8,16,32" in err


def test_the_recipe_of_the_paper_from_a_manifest(histofactor, gdc, tmp_path):
    gdc.fill_with_images()
    manifest, bank = tmp_path / "m.tsv", tmp_path / "bank.safetensors"
    assert histofactor("tcga", "list", "-o", manifest, "--per-project", 2, "--endpoint", gdc.endpoint)[0] == 0
    gdc.fail_every = 3
    arguments = ("--preset", "tcga", "-k", "2,4", "--source-mpp", 1, "--endpoint", gdc.endpoint, "-o", bank)
    code, out, err = histofactor("concepts", "train", manifest, *arguments)
    assert code == 0, err
    assert "from 4 inputs" in out
    file = read_bank_file(bank)
    assert file.banks[4].parents is None
    assert file.card["options"]["pool"] == "tile"
    assert file.card["groups"] == {"TCGA-A": 2, "TCGA-B": 2}
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "bank.html",
        "bank.safetensors",
        "m.tsv",
    ]


def test_an_unknown_preset(histofactor, tmp_path):
    code, _, err = histofactor("concepts", "train", tmp_path, "--preset", "magic", "-o", tmp_path / "b")
    assert code == 2
    assert "expected: tcga" in err
