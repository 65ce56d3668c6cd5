"""``histofactor estimate`` as a user meets it."""

import pytest
from PIL import Image

from histofactor.cli.estimate import duration


def test_estimate(histofactor, tmp_path, tissue):
    Image.fromarray(tissue[:128, :160]).save(tmp_path / "a.png")
    arguments = ("--concepts", "embedded", "--source-mpp", 1, "--fast")
    code, out, err = histofactor("estimate", tmp_path, *arguments)
    assert code == 0, err
    assert "160 × 128" in out
    assert "1 inputs, 0.0" in out
    assert "1 windows with 1 views of each place counted" in out
    assert "memory at the peak: " in out
    assert list(tmp_path.iterdir()) == [tmp_path / "a.png"]
    (tmp_path / "b.png").write_bytes(b"x")
    code, out, err = histofactor("estimate", tmp_path, *arguments)
    assert code == 1
    assert "cannot be read: " in err
    assert "b.png" in err
    assert histofactor("estimate", *arguments)[0] == 2


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (99, "99 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations(seconds, text):
    assert duration(seconds) == text
