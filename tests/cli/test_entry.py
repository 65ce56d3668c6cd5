"""An interruption ends in one line, whenever it comes."""

import signal
import subprocess
import sys
import time

import pytest

import histofactor

# An import is interrupted, in a library that lets it pass, makes another error of it, or drops it.
RUN = """
import signal, sys
class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            {act}
sys.meta_path.insert(0, Interrupts())
sys.argv = ["histofactor", "doctor"]
from histofactor.cli.entry import main
main()
"""
PLAIN = "signal.raise_signal(signal.SIGINT)"
CONVERTED = """
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                raise ImportError("failed to import")
"""
DROPPED = """
            class Dropped:
                def __del__(self):
                    signal.raise_signal(signal.SIGINT)
            Dropped()
"""


def ended(code):
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    return run.returncode, run.stderr


@pytest.mark.parametrize("act", [PLAIN, CONVERTED, DROPPED])
@pytest.mark.parametrize("module", ["histofactor.cli.main", "typer", "numpy"])
def test_an_interrupted_import(act, module):
    code, err = ended(RUN.format(module=module, act=act))
    assert code == 130
    assert "Traceback" not in err
    assert err == "interrupted\n"


def test_other_faults_keep_their_traceback():
    code, err = ended(RUN.format(module="typer", act="raise RuntimeError('not foreseen')"))
    assert code == 1
    assert "Traceback" in err
    assert "not foreseen" in err


def test_exit_codes_of_the_verbs_stay():
    code = "import sys; sys.argv = ['histofactor', 'concepts', 'show', 'none.safetensors']\n"
    code += "from histofactor.cli.entry import main; main()"
    assert ended(code)[0] == 2


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.3])
def test_interrupted_from_outside(after_s):
    code = "import histofactor.cli.entry as entry, sys; sys.argv = ['histofactor', 'doctor']\n"
    code += "run = entry._run\nentry._run = lambda: (print('begun', flush=True), run())\nentry.main()"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in ({130} if after_s < 0.1 else {130, 0, 1, -signal.SIGINT})  # it may have ended before
    assert "Traceback" not in err


def test_the_package_is_the_command():
    run = [sys.executable, "-m", "histofactor"]
    assert subprocess.run([*run, "--version"], capture_output=True, text=True, check=True).stdout == (
        f"histofactor {histofactor.__version__}\n"
    )
    told = subprocess.run([*run, "segment"], capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert told.stderr.startswith("Usage: python -m histofactor segment ")
