"""The help of every verb says what every option is where it is not given."""

import pytest
import typer

from histofactor.cli.defaults import state_defaults
from histofactor.cli.main import app


def verbs(command, path=()):
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from verbs(inner, (*path, name))
    else:
        yield " ".join(path), command


VERBS = dict(verbs(typer.main.get_command(app)))


def told(command, name):
    """(option, help text as it is shown) of every option."""
    context = command.make_context(name, [], resilient_parsing=True)
    for option in command.params:
        if option.param_type_name == "option" and option.name != "help":
            yield option, option.get_help_record(context)[1]


@pytest.mark.parametrize("name", VERBS)
def test_every_option_states_its_default(name):
    for option, text in told(VERBS[name], name.split()[-1]):
        assert "default" in text.lower() or "required]" in text, option.opts


def test_what_is_stated_is_so():
    stated = {option.opts[0]: text for option, text in told(VERBS["segment"], "segment")}
    assert stated["--ome-zarr"].endswith("[default: no-ome-zarr]")
    assert stated["--relearn"].endswith("default: no.")
    assert stated["--tissue-mask"].endswith("default: none.")
    assert "[default: auto]" in stated["--device"]
    assert "default: the header's" in stated["--source-mpp"]
    assert "[required]" in stated["-o"]


def test_options_without_a_default_are_found():
    small = typer.Typer(add_completion=False)

    @small.command()
    def verb(flag: bool = typer.Option(False, "--flag", help="Do it."), n: int | None = typer.Option(None, help="x")):
        pass

    bare = typer.main.get_command(small)
    assert not any("default" in text for _, text in told(bare, "verb"))
    state_defaults(small)
    texts = [text for _, text in told(typer.main.get_command(small), "verb")]
    assert texts == ["Do it; default: no.", "x; default: none."]
