"""The verbs are there, help is quick to load, mistakes end in one message."""

import subprocess
import sys

import pytest

import histofactor as package


def test_help_lists_the_verbs(histofactor):
    code, out, _ = histofactor("--help")
    assert code == 0
    for verb in ("segment", "demo", "evaluate", "doctor", "concepts", "encoders"):
        assert verb in out


def test_version(histofactor):
    code, out, _ = histofactor("--version")
    assert code == 0
    assert out == f"histofactor {package.__version__}\n"


@pytest.mark.parametrize("verb", ["segment", "demo", "evaluate", "doctor", "concepts", "encoders"])
def test_every_verb_has_help(histofactor, verb):
    code, out, _ = histofactor(verb, "--help")
    assert code == 0
    assert "Usage:" in out


def test_help_loads_nothing_heavy():
    program = (
        "import sys\nfrom histofactor.cli.main import main\nsys.argv = ['histofactor', 'segment', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('heavy:', {'torch', 'timm', 'numba', 'cv2', 'scipy'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "heavy: set()" in run.stdout


def test_unknown_verbs_and_options(histofactor):
    assert histofactor("dance")[0] == 2
    assert histofactor("segment", "x.png", "-o", "out", "--colour", "red")[0] == 2


def test_a_mistake_is_one_message_without_traceback(histofactor, tmp_path):
    code, out, err = histofactor("concepts", "show", tmp_path / "none.safetensors")
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert "expected:" in err
    assert "to mend:" in err
    assert "Traceback" not in err
