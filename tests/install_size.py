"""How much does it install, package by package?

    python tests/install_size.py [--torch WHEEL-OR-REQUIREMENT] [--torch-index URL] [--extras view] [--at-most MB]

Installs the project into an empty environment of the Python that runs this, without pip, at the versions of
constraints.txt, and adds up what every package wrote. Bytecode, which pip compiles unless it is told not to, is counted
beside. With --torch or --torch-index PyTorch comes first, at whatever version is there. Fails where what is installed
without bytecode takes more than --at-most.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from importlib.metadata import Distribution, distributions
from importlib.util import cache_from_source
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OF_TORCH = re.compile(r"(torch|torchvision)==")


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--torch", help="a wheel or a requirement, such as torch==2.13.0+cpu")
    asked.add_argument("--torch-index", metavar="URL", help="index of PyTorch's builds for CPUs, to take it from")
    asked.add_argument("--extras", default="", help="extras of the project, with commas between")
    asked.add_argument("--at-most", type=float, metavar="MB", help="fail where it takes more, bytecode left out")
    asked = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        site = install(Path(folder), asked.torch, asked.torch_index, asked.extras)
        subprocess.run([sys.executable, "-m", "compileall", "-qq", site], check=False)  # as pip does, whatever fails
        found = sorted((measure(one) for one in distributions(path=[str(site)])), reverse=True)
    print(f"{'MB':>9} {'bytecode':>9}")
    for size, bytecode, name in found:
        print(f"{size / 1e6:9.1f} {bytecode / 1e6:9.1f}  {name}")
    size, bytecode = (sum(one[column] for one in found) / 1e6 for column in (0, 1))
    python = ".".join(map(str, sys.version_info[:2]))
    print(f"Python {python}: {size:,.0f} MB in {len(found)} packages, and {bytecode:,.0f} MB of bytecode")
    return int(asked.at_most is not None and size > asked.at_most)


def install(folder: Path, torch: str | None, index: str | None, extras: str) -> Path:
    """Install into an environment below ``folder``; returns where its packages lie."""
    env = folder / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", env], check=True)
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    first = torch or ("torch" if index else None)
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pin for pin in pins if not (first and OF_TORCH.match(pin))), encoding="utf-8")
    (site,) = env.glob("lib/python3*/site-packages")
    pip = [sys.executable, "-m", "pip", "--python", env / "bin" / "python", "--quiet", "--disable-pip-version-check"]
    into = [*pip, "install", "--no-compile", "-c", constraints]
    if first:
        places = ["--index-url", index] if index else []
        subprocess.run([*into, *places, "--no-deps", first], check=True)
        (found,) = distributions(path=[str(site)])
        with constraints.open("a", encoding="utf-8") as file:  # else a torchvision of another release takes its place
            file.write(f"\n{found.name}=={found.version}\n")
    subprocess.run([*into, f"{ROOT}[{extras}]" if extras else ROOT], check=True)
    return site


def measure(package: Distribution) -> tuple[int, int, str]:
    """Bytes of its files, and of their bytecode, with its name and version."""
    files = [Path(str(file.locate())) for file in package.files or () if file.suffix != ".pyc"]
    compiled = [Path(cache_from_source(str(file))) for file in files if file.suffix == ".py"]
    size, bytecode = (sum(one.lstat().st_size for one in each if one.is_file()) for each in (files, compiled))
    return size, bytecode, f"{package.name} {package.version}"


if __name__ == "__main__":
    sys.exit(main())
