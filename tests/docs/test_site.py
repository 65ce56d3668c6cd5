"""What the site takes from the code and from above docs/ is all there, and is as the code has it."""

import importlib.util
import re
import runpy

import pytest
import typer

import histofactor
from docs.pages import ROOT
from histofactor.cli.main import app


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/_site/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def verbs(command, name):
    """Names of a command and of all below it."""
    yield name
    for below, one in getattr(command, "commands", {}).items():
        yield from verbs(one, f"{name} {below}")


def test_every_command_has_its_place_with_all_its_options(generate):
    page, command = generate.command_page(), typer.main.get_command(app)
    places = re.findall(r"^#+ `(histofactor [^`]+)`$", page, re.MULTILINE)
    assert sorted(places) == sorted(list(verbs(command, "histofactor"))[1:])
    segment = page.partition("# `histofactor segment`")[2].partition("# `histofactor ")[0]
    named = {name for option in command.commands["segment"].params for name in (*option.opts, *option.secondary_opts)}
    assert len(named) > 30
    assert [name for name in named - {"inputs"} if name not in segment] == []


def test_options_in_sentences_are_code(generate):
    page = generate.command_page()
    assert "(`--shard`)" in page
    assert "``" not in page.replace("```", "")
    assert re.findall(r"(?<![\w-])--[a-z]", re.sub(r"```.*?```|`[^`]*`", "", page, flags=re.DOTALL)) == []


def test_what_one_build_leaves_is_no_page_of_the_next(generate):
    conf = runpy.run_path(str(ROOT / "docs/conf.py"))
    assert {"_build", "jupyter_execute"} <= {*conf["exclude_patterns"]}


def test_every_public_name_is_described_once(generate):
    described = re.findall(r"^\.\. (\w+):: histofactor\.(\w+)$", generate.api_page(), re.MULTILINE)
    assert sorted(name for _, name in described) == histofactor.__all__
    kinds = {name: kind for kind, name in described}
    assert (kinds["segment"], kinds["LabelMap"], kinds["BankError"]) == ("autofunction", "autoclass", "autoexception")


def test_links_of_pages_above_lead_to_the_same_files(generate):
    assert "](../design.md)" in generate.from_above("CONTRIBUTING.md")
    assert "](../../training/README.md)" in generate.from_above("CONTRIBUTING.md")


def test_links_to_files_that_are_pages_lead_to_the_pages(generate):
    source = ["see [security](../SECURITY.md), [the card](../src/x.md) and [here](#here)"]
    generate._lead(page_tree(), "primer", source)
    assert source == ["see [security](_generated/security.md), [the card](../src/x.md) and [here](#here)"]
    source = ["[security](../SECURITY.md#report)"]
    generate._lead(page_tree(), "howto/name", source)
    assert source == ["[security](../SECURITY.md#report)"]  # docs/SECURITY.md is no such page


def page_tree():
    """An application whose first page is another."""
    return type("App", (), {"config": type("Config", (), {"root_doc": "index"})})


def test_lists_of_pages_that_there_are_none_of_are_left_out(generate):
    source = ["start\nnothing/*\nhowto/*"]
    generate._lead(page_tree(), "index", source)
    assert source == ["start\nhowto/*"]
