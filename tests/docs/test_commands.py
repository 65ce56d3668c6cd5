"""Every command and every program that README and docs show is run, in the order in which they stand."""

import contextlib
import io
import re
import sys

import numpy as np
import pytest
import typer

from docs.pages import PAGES, ROOT, inline_on, options_on, shown_on
from docs.world import lay_out, make_world, outside
from histofactor.cli.main import app, main

# Not run, and why. Everything else that stands in a block is.
NOT_RUN = {
    r"make .*": "this project is tested with them; their targets are looked up below",
    r"pip install .*": "they make the environment that the tests run in",
    r"histofactor encoders check uni": "it asks the hub",
    r"histofactor view out": "it serves until it is stopped; tests of the viewer do that",
    r"histofactor benchmark NAME SOURCE .*": "a form with words to fill in",
    r"histofactor .*--engine ray.*": "it starts Ray; tests of the engine do that",
    r"histofactor concepts name .*--(suggest|accept) .*": "it needs a model; tests of the verb make one",
    r"histofactor .*hf://.*": "it asks the hub; tests do that on loopback",
    r"histofactor .*s3://.*": "it asks a store; tests do that on loopback",
    r"histofactor export out --spatialdata": "it needs the extra spatialdata; `make test-ecosystem` does that",
    r"import spatialdata\n(?s:.*)": "likewise",
}
OF_OTHERS = {
    "--before",  # of benchmarks/same_bytes.py
    "--array", "--cpus-per-task", "--gres", "--mem", "--nodes", "--ntasks-per-node", "--requeue", "--time",  # of Slurm
    "--head", "--min-nodes",  # of Ray
    "--index-url", "--no-compile",  # of pip
    "--build-arg", "--gpus", "--network", "--rm", "--shm-size",  # of Docker
}  # fmt: skip
TARGETS = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
COMMAND = typer.main.get_command(app)


def run(arguments, folder):
    """Run a command of a page in a folder; returns its exit code and all that it said."""
    told = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.chdir(folder),
        contextlib.redirect_stdout(told),
        contextlib.redirect_stderr(told),
    ):
        patch.setattr(sys, "argv", ["histofactor", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
    return stop.value.code or 0, told.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The world that all pages share, and the copy of it that is never touched."""
    folder, kept = (tmp_path_factory.mktemp("docs") / name for name in ("world", "kept"))
    make_world(folder, kept, run)
    return folder, kept


@pytest.mark.parametrize("page", PAGES)
def test_commands_run_in_their_order(page, made, monkeypatch, gdc):
    shown = [one for one in shown_on(page) if not any(re.fullmatch(rule, one.text) for rule in NOT_RUN)]
    if not shown:
        pytest.skip(f"{page} shows no command")
    folder, kept = made
    lay_out(folder, kept)
    outside(monkeypatch, gdc)
    rng = np.random.default_rng(0)
    names = {"X": rng.random((50, 8), np.float32), "H": rng.random((4, 8), np.float32)}  # what a reader has
    for one in shown:
        if one.python:
            with contextlib.chdir(folder):
                exec(compile(one.text, f"{page}:{one.line}", "exec"), names)
            continue
        code, told = run(expanded(one.arguments, folder), folder)
        assert code == 0, f"{one}\n{told}"


def expanded(arguments, folder):
    """Arguments as a shell hands them on: patterns become files."""
    found = [sorted(map(str, folder.glob(one))) if "*" in one else [one] for one in arguments]
    return [argument for group in found for argument in group]


@pytest.mark.parametrize("page", PAGES)
def test_commands_named_in_sentences_exist_and_take_these_options(page):
    for one in (*inline_on(page), *shown_on(page)):
        if one.python or one.text.startswith("pip"):
            continue
        if one.text.startswith("make"):
            assert set(re.findall(r"[a-z][\w-]*", one.text.removeprefix("make").split("SEED")[0])) <= TARGETS, one
            continue
        verb, rest = COMMAND, one.arguments
        while hasattr(verb, "commands") and rest and not rest[0].startswith("-"):
            assert rest[0] in verb.commands, one
            verb, rest = verb.commands[rest[0]], rest[1:]
        known = {name for option in verb.params for name in (*option.opts, *option.secondary_opts)}
        given = {part.split("=")[0].strip("[]") for part in rest if part.lstrip("[").startswith("-")}
        assert given <= known | {"--help"}, one


@pytest.mark.parametrize("page", PAGES)
def test_options_exist(page):
    assert options_on(page) <= every_option(COMMAND) | OF_OTHERS | {"--help"}


def every_option(command):
    """Names of the options of a command and of all below it."""
    found = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    return found.union(*(every_option(one) for one in getattr(command, "commands", {}).values()))


def test_what_is_not_run_is_shown_somewhere():
    texts = [one.text for page in PAGES for one in shown_on(page)]
    assert all(any(re.fullmatch(rule, text) for text in texts) for rule in NOT_RUN)
