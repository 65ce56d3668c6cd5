"""``histofactor view``: what it tells before and as it serves."""

import sys

import pytest
from typer.testing import CliRunner

from histofactor.cli.main import app
from histofactor.errors import OptionError
from histofactor.viewer import serve as served

RUN = CliRunner()


@pytest.fixture
def asked(monkeypatch):
    """What the server was asked to do; it is ready at once."""
    found = []

    def serve(target, options):
        found.append((target, options))
        options.on_ready("http://127.0.0.1:1/?token=x", ["read-only: \x1b[31mso"])

    monkeypatch.setattr(served, "serve", serve)
    return found


def test_options_reach_the_server_and_the_address_is_told(asked, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    answer = RUN.invoke(app, ["view", "OUT", "--slides", str(tmp_path), "--read-only", "--port", "9"])
    assert answer.exit_code == 0, answer.output
    ((target, options),) = asked
    assert str(target) == "OUT"
    assert (options.host, options.port, options.read_only, options.slides) == ("127.0.0.1", 9, True, tmp_path)
    assert "look at http://127.0.0.1:1/?token=x" in answer.stdout
    assert "\\x1b[31mso" in answer.output
    assert opened == []
    assert RUN.invoke(app, ["view", "OUT", "--open"]).exit_code == 0
    assert opened == ["http://127.0.0.1:1/?token=x"]
    assert asked[1][1].port is None


def test_what_is_missing_is_told(monkeypatch, tmp_path):
    answer = RUN.invoke(app, ["view", "OUT", "--slides", str(tmp_path / "none")])
    assert isinstance(answer.exception, OptionError)
    assert "is no folder" in str(answer.exception)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    answer = RUN.invoke(app, ["view", "OUT"])
    assert "needs uvicorn" in str(answer.exception)
    assert answer.exception.mend == "pip install 'histofactor[view]'"


@pytest.mark.parametrize("port", ["-1", "65536", "x"])
def test_a_port_is_a_number_of_one(port):
    assert RUN.invoke(app, ["view", "OUT", "--port", port]).exit_code == 2
