"""``histofactor concepts``: import and show."""

import numpy as np
import pytest

from histofactor.concepts.bank.file import load_banks


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
