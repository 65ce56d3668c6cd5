"""The recipe of the container, as far as it can be checked without building it."""

import json
import re
import shlex
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def instructions(text):
    """(name, rest) of every instruction, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def recipe():
    return instructions((ROOT / "Dockerfile").read_text(encoding="utf-8"))


def stages(recipe):
    found = []
    for name, rest in recipe:
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append((name, rest))
    return found


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def copied(recipe):
    return [one for name, rest in recipe if name == "COPY" and "--from" not in rest for one in rest.split()[:-1]]


def is_sent(path, rules):
    """Whether a file at the top is sent to be built from; the last rule that matches it counts."""
    sent = True
    for rule in rules:
        if fnmatch(path, rule.lstrip("!")):
            sent = rule.startswith("!")
    return sent


def test_what_is_copied_is_there_and_sent(recipe):
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert {"src", "constraints.txt", "pyproject.toml", "hatch_build.py"} <= set(copied(recipe))
    for path in copied(recipe):
        assert (ROOT / path).exists(), path
        assert is_sent(path, rules), path
    for path in (".git", ".venv", "tests", "docs", "benchmarks"):
        assert not is_sent(path, rules), path


def test_what_the_build_of_the_package_reads_is_copied(recipe):
    assert project()["readme"] in copied(recipe)
    assert set(project()["license-files"]) <= set(copied(recipe))


def test_every_package_is_pinned(recipe):
    installs = [part for name, rest in recipe if name == "RUN" for part in re.findall(r"pip install [^;]*", rest)]
    assert len(installs) == 3
    assert all("-c constraints.txt" in one for one in installs)
    pins = re.findall(r"^([\w-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    named = {"torch", "torchvision", "ray"}
    assert named <= set(pins)
    assert all(set(re.findall(r"\b(torch|torchvision|ray)\b", one)) & named for one in installs)


def test_its_extras_are_those_of_the_package(recipe):
    (extras,) = [rest.split("=")[1] for name, rest in recipe if name == "ARG" and rest.startswith("EXTRAS=")]
    assert set(extras.split(",")) <= set(project()["optional-dependencies"])


def test_its_python_bears_the_package(recipe):
    (version,) = [rest.split("=")[1] for name, rest in recipe if name == "ARG" and rest.startswith("PYTHON=")]
    least = project()["requires-python"].removeprefix(">=")
    assert tuple(map(int, version.split("-")[0].split("."))) >= tuple(map(int, least.split(".")))


def test_it_runs_the_command_as_nobody_in_particular_and_asks_no_hub(recipe):
    last = dict(stages(recipe)[-1])
    (command,) = json.loads(last["ENTRYPOINT"])
    assert command in project()["scripts"]
    assert last["USER"].split(":")[0] not in {"root", "0"}
    assert [name for name, _ in stages(recipe)[-1]].index("USER") < [name for name, _ in recipe].index("ENTRYPOINT")
    settings = dict(one.split("=", 1) for one in shlex.split(last["ENV"]))
    assert settings["HF_HUB_OFFLINE"] == "1"
    assert settings["RAY_USAGE_STATS_ENABLED"] == "0"
    assert set(json.loads(last["VOLUME"])) == {settings["HF_HOME"], last["WORKDIR"]}
    assert all(volume in last["RUN"] for volume in json.loads(last["VOLUME"]))  # made, and given to the user


def test_it_names_no_host():
    assert re.findall(r"https?://|\w+\.(?:org|com|io)\b", (ROOT / "Dockerfile").read_text(encoding="utf-8")) == []


def test_the_build_is_for_cpu_or_cuda_alone(recipe):
    (chosen,) = [rest for name, rest in recipe if name == "RUN" and rest.startswith("case")]
    arms = re.findall(r"(\S+)\) ", chosen)
    assert arms[:2] == ["cuda", "cpu"]
    assert chosen.count("exit 1") == 2
