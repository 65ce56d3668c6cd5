"""The command line in this process."""

import sys

import pytest

from histofactor.cli.main import main


@pytest.fixture
def histofactor(monkeypatch, capsys):
    """Run ``histofactor ARGUMENTS``; returns (exit code, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["histofactor", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        return stop.value.code or 0, out, err

    return run
