"""Does the wheel work where nothing but it is installed?

    python tests/wheel.py [--torch-index URL] python3.11 python3.12 python3.13

Builds it into dist/, installs it into an empty environment of each Python that is found, and runs the demo there, away
from the sources. Pythons that are not found are named; it fails where none is found or any of them fails.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")
LIBRARY = "histofactor/viewer/static/vendor/openseadragon.min.js"


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("pythons", nargs="+", metavar="PYTHON")
    asked.add_argument("--torch-index", help="index of PyTorch's builds for CPUs, to take it from before all else")
    asked = asked.parse_args()
    wheel = build(ROOT / "dist")
    library = "with" if holds(wheel) else "WITHOUT"
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, {library} the viewer's library")
    found = {name: version for name in asked.pythons if (version := version_of(name))}
    for name, version in found.items():
        with tempfile.TemporaryDirectory() as folder:
            size_mb = try_out(name, wheel, Path(folder), asked.torch_index)
        print(f"{name} ({version}): installed in {size_mb:,.0f} MB, and the demo ran")
    for name in set(asked.pythons) - set(found):
        print(f"{name}: NOT FOUND, so not tested")
    return 0 if found else 1


def build(dist: Path) -> Path:
    """Build the wheel alone into an emptied folder."""
    shutil.rmtree(dist, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        builder = Path(folder, "bin", "python")
        subprocess.run([builder, *PIP, "wheel", "--no-deps", "-w", dist, ROOT], check=True)
    (wheel,) = dist.glob("histofactor-*.whl")
    return wheel


def holds(wheel: Path) -> bool:
    """Whether the viewer can be started from it."""
    return LIBRARY in zipfile.ZipFile(wheel).namelist()


def version_of(python: str) -> str:
    """Of an interpreter that can be started, or ""."""
    told = subprocess.run(
        [python, "-c", "import platform, venv; print(platform.python_version())"],
        capture_output=True, text=True, check=False,
    ) if shutil.which(python) else None  # fmt: skip
    return told.stdout.strip() if told and told.returncode == 0 else ""


def try_out(python: str, wheel: Path, folder: Path, torch_index: str | None) -> float:
    """Install the wheel and run what a first user runs; returns MB that the environment takes."""
    subprocess.run([python, "-m", "venv", folder / "env"], check=True)
    inside = folder / "env" / "bin"
    install = (inside / "python", *PIP, "install", "-c", ROOT / "constraints.txt")
    if torch_index:
        subprocess.run([*install, "--no-deps", "--index-url", torch_index, "torch", "torchvision"], check=True)
    subprocess.run([*install, f"{wheel}[view]"], check=True)
    size = sum(path.lstat().st_size for path in (folder / "env").rglob("*") if path.is_file())
    away = folder / "away"
    away.mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=away, env=clean, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
        return done.stdout

    home = Path(run(inside / "python", "-c", "import histofactor; print(histofactor.__file__)").strip())
    if not home.is_relative_to(folder):
        raise SystemExit(f"histofactor was taken from {home}, not from the wheel")
    told = run(inside / "histofactor", "--version").split()[1]
    if told != wheel.name.split("-")[1]:
        raise SystemExit(f"the wheel is of version {wheel.name.split('-')[1]}, and the program says {told}")
    run(inside / "histofactor", "doctor")
    run(inside / "histofactor", "demo", "-o", "demo")
    inputs = json.loads((away / "demo" / "run.json").read_text(encoding="utf-8"))["inputs"]
    if {one["status"] for one in inputs} != {"done"} or len(inputs) != 3:
        raise SystemExit(f"the demo did not segment its three inputs: {inputs}")
    run(inside / "histofactor", "concepts", "show", "demo")
    return size / 1e6


if __name__ == "__main__":
    sys.exit(main())
