"""What is said of the package in several places is the same in all of them."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from histofactor.recipe import release

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CONDA = {  # what conda-forge calls them
    "huggingface-hub": "huggingface_hub", "opencv-python-headless": "py-opencv", "openslide-bin": "openslide",
    "torch": "pytorch",
}  # fmt: skip
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def floors(requirements):
    """Least version by name."""
    return dict(re.fullmatch(r"([\w-]+)\s*>=([\w.]+)", one).groups() for one in requirements)


def test_the_recipe_for_conda_needs_what_the_package_needs():
    text = (ROOT / "recipe/meta.yaml").read_text(encoding="utf-8")
    run = re.search(r"^  run:\n((?:    - .*\n)+)", text, re.MULTILINE)[1]
    wanted = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["view"]
    wanted = {CONDA.get(name, name): least for name, least in floors(wanted).items()}
    assert floors(re.findall(r"- (.*)", run)) == wanted | {"python": PROJECT["project"]["requires-python"].strip(">=")}


def imported_at_once(path):
    """Packages that a module imports as soon as it is imported itself."""
    for line in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(line, ast.Import):
            yield from (one.name.split(".")[0] for one in line.names)
        elif isinstance(line, ast.ImportFrom) and not line.level:
            yield line.module.split(".")[0]


def test_the_plain_install_has_what_modules_import():
    """But for those that are imported only once their extra was asked for, and was there."""
    theirs = packages_distributions()
    plain = {name.lower() for name in floors(PROJECT["project"]["dependencies"])}
    lacking = {}
    for path in (ROOT / "src/histofactor").rglob("*.py"):
        for name in {*imported_at_once(path)} - sys.stdlib_module_names - {"histofactor"}:
            if not {one.lower().replace("_", "-") for one in theirs.get(name, [])} & plain:
                lacking.setdefault(path.relative_to(ROOT / "src/histofactor").parent.as_posix(), set()).add(name)
    assert lacking == {
        "viewer": {"anyio", "starlette", "uvicorn"},
        "runs/execute": {"psutil", "ray"},
        "factor": {"triton"},  # which PyTorch brings where there is a GPU
    }


def test_who_to_cite():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "title", "message", "authors"} <= set(cited)
    assert cited["license"] == PROJECT["project"]["license"]
    assert [one["name"] for one in cited["authors"]] == [one["name"] for one in PROJECT["project"]["authors"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_targets_of_make(path):
    (job,) = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
    made = [step["run"].removeprefix("make ") for step in job["steps"] if step.get("run", "").startswith("make ")]
    assert len(made) == 1
    assert re.search(rf"^{made[0]}:", MAKEFILE, re.MULTILINE)


def test_the_wheel_is_tested_on_the_pythons_that_are_named():
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    assert re.search(r"^PYTHONS \?= (.*)", MAKEFILE, re.MULTILINE)[1].split() == [f"python{one}" for one in named]
    assert all(one in (ROOT / ".github/workflows/wheel.yml").read_text(encoding="utf-8") for one in named)


def test_every_extra_is_documented():
    page = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    assert [extra for extra in PROJECT["project"]["optional-dependencies"] if f"`{extra}`" not in page] == []


def test_every_requirement_is_pinned():
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("constraints.txt", "ecosystem.txt")]
    pins = re.findall(r"^([\w.-]+)==", "\n".join(texts), re.MULTILINE)
    pinned = {name.lower().replace("_", "-") for name in pins}
    extras = PROJECT["project"]["optional-dependencies"].values()
    for named in (PROJECT["project"]["dependencies"], *extras):
        assert {re.match(r"[\w-]+", one)[0].lower() for one in named} <= pinned


def test_a_tree_without_tags_leads_to_the_first_release():
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert release(PROJECT["tool"]["hatch"]["version"]["fallback-version"]) == "0.1.0"
