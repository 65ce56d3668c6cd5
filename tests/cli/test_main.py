"""The verbs are there, help is quick to load, mistakes end in one message."""

import os
import subprocess
import sys
from pathlib import Path

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


CALL = "from histofactor.cli.main import main; main()"


def run(arguments, **options):
    command = [sys.executable, "-c", CALL, *arguments]
    return subprocess.run(command, check=False, stderr=subprocess.PIPE, timeout=60, **options)


@pytest.mark.parametrize("arguments", [["encoders", "list"], ["encoders", "list", "--json"], ["--help"]])
def test_a_reader_who_goes_away_is_no_error(arguments):
    reads, writes = os.pipe()
    os.close(reads)
    found = run(arguments, stdout=writes)
    os.close(writes)
    assert (found.returncode, found.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [["encoders", "list"], ["encoders", "list", "--json"], ["--help"]])
def test_a_full_disk_behind_the_output_is_told(arguments):
    with Path("/dev/full").open("wb") as full:
        found = run(arguments, stdout=full)
    assert found.returncode == 2
    assert found.stderr.decode().splitlines()[0] == "error: cannot write the output of this command"
    assert "No space left" in found.stderr.decode()
    assert "Traceback" not in found.stderr.decode()


@pytest.mark.parametrize("stream", [1, 2])
def test_a_stream_that_is_closed_is_no_error(stream):
    found = subprocess.run(
        ["sh", "-c", f'"$0" "$@" {stream}>&-', sys.executable, "-c", CALL, "encoders", "list"],
        check=False, capture_output=True, timeout=60,
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, b"")


def test_other_errors_of_the_system_keep_their_traceback(monkeypatch, histofactor):
    def fail():
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr("histofactor.cli.main.app", fail)
    with pytest.raises(OSError, match="somewhere"):
        histofactor("doctor")


def test_names_that_the_terminal_cannot_show(tmp_path):
    code = "import sys; from histofactor.cli.main import main; main()"
    name = os.fsencode(tmp_path) + b"/caf\xe9\x1b[31m.safetensors"
    environment = {**os.environ, "PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    found = subprocess.run([sys.executable, "-c", code, "concepts", "show", name], env=environment, capture_output=True,
                           check=False, timeout=60)  # fmt: skip
    assert found.returncode == 2
    assert rb"caf\udce9\x1b[31m.safetensors" in found.stderr
    assert b"\x1b" not in found.stderr
